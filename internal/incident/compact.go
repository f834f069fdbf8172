package incident

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"clbwatch/internal/lb"
)

// The state is stored with every head, so it must be small. There may be 20,000 load balancers that cannot be
// read: their records are stored in a form of their own, without names, that takes at most 150 bytes for
// each.

// blindRecord is the stored form of an incident about reading.
type blindRecord struct {
	ID       string    `json:"id"`
	Key      string    `json:"k"`
	About    About     `json:"a"`
	Label    string    `json:"l,omitempty"`
	Title    string    `json:"n,omitempty"`
	Why      int       `json:"w,omitempty"`
	Times    int       `json:"x,omitempty"`
	Readable bool      `json:"r,omitempty"`
	Rev      int       `json:"v,omitempty"`
	Quiet    int       `json:"o,omitempty"` // revisions since Loud, and one; 0 if that is 0
	End      End       `json:"end,omitempty"`
	At       unixTimes `json:"at"` // Began, LastGood, Changed, Closed
}

// unixTimes are times in seconds since 1970, without the zero ones at the end; 0 is the zero time.
type unixTimes []int64

func unixTimesOf(all ...time.Time) (c unixTimes) {
	for _, t := range all {
		if t.IsZero() {
			c = append(c, 0)
		} else {
			c = append(c, t.Unix())
		}
	}
	for len(c) > 0 && c[len(c)-1] == 0 {
		c = c[:len(c)-1]
	}
	return c
}

func (c unixTimes) time(n int) time.Time {
	if n >= len(c) || c[n] == 0 {
		return time.Time{}
	}
	return time.Unix(c[n], 0).UTC()
}

// wholeIncident is the stored form of any other incident.
type wholeIncident struct {
	*plainIncident
	Before figures `json:"before,omitempty"`
	Now    figures `json:"now,omitempty"`
	Worst  figures `json:"worst,omitempty"`
}

type plainIncident Incident // without its methods

// figures are an lb.Capacity, without the zeros at the end.
type figures []int

func figuresOf(c lb.Capacity) figures {
	f := figures{c.Running, c.Total, c.Weight, c.Serving, c.Lost, c.Out, c.Ill, c.Unknown}
	for len(f) > 0 && f[len(f)-1] == 0 {
		f = f[:len(f)-1]
	}
	return f
}

func (f figures) capacity() (c lb.Capacity) {
	all := []*int{&c.Running, &c.Total, &c.Weight, &c.Serving, &c.Lost, &c.Out, &c.Ill, &c.Unknown}
	for n, to := range all {
		if n < len(f) {
			*to = f[n]
		}
	}
	return c
}

// MarshalJSON stores an incident in the shortest form.
func (i *Incident) MarshalJSON() ([]byte, error) {
	if !i.About.Blind() {
		return plainly(wholeIncident{(*plainIncident)(i), figuresOf(i.Before), figuresOf(i.Now),
			figuresOf(i.Worst)})
	}
	b := blindRecord{ID: i.ID, Key: i.Key, About: i.About, Label: i.Label, Title: i.Title, Why: i.Why,
		Times: i.Times, Readable: i.Readable, Rev: i.Rev, End: i.End,
		At: unixTimesOf(i.Began, i.LastGood, i.Changed, i.Closed)}
	if i.Loud > 0 {
		b.Quiet = i.Rev - i.Loud + 1
	}
	return plainly(b)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (i *Incident) UnmarshalJSON(text []byte) error {
	var form struct {
		About About `json:"a"`
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return err
	}
	if !form.About.Blind() {
		*i = Incident{}
		w := wholeIncident{plainIncident: (*plainIncident)(i)}
		err := json.Unmarshal(text, &w)
		i.Before, i.Now, i.Worst = w.Before.capacity(), w.Now.capacity(), w.Worst.capacity()
		return err
	}
	var b blindRecord
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	*i = Incident{ID: b.ID, Key: b.Key, About: b.About, Label: b.Label, Title: b.Title, Why: b.Why,
		Times: b.Times, Readable: b.Readable, Rev: b.Rev, End: b.End,
		Began: b.At.time(0), LastGood: b.At.time(1), Changed: b.At.time(2), Closed: b.At.time(3),
		Alone: true, Stable: b.End != ""}
	i.Level = i.level(Rules{})
	if b.Quiet > 0 {
		i.Loud = i.Rev - b.Quiet + 1
	}
	return nil
}

// plainly is JSON in which <, > and & take one byte each, not six.
func plainly(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// Unreads is what cannot be read and is not reported yet, by its key.
type Unreads map[string]Unread

// unreadRecord is the stored form of an Unread.
type unreadRecord struct {
	Key   string    `json:"k"`
	About About     `json:"a"`
	Ticks int       `json:"n,omitempty"`
	Why   int       `json:"w,omitempty"`
	At    unixTimes `json:"at"` // Since, LastGood
}

// MarshalJSON stores them sorted by key, without the keys.
func (all Unreads) MarshalJSON() ([]byte, error) {
	records := make([]unreadRecord, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		u := all[key]
		at := unixTimesOf(u.Since, u.LastGood)
		records = append(records, unreadRecord{u.Key, u.About, u.Ticks, u.Why, at})
	}
	return plainly(records)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (all *Unreads) UnmarshalJSON(text []byte) error {
	var records []unreadRecord
	if err := json.Unmarshal(text, &records); err != nil {
		return err
	}
	*all = make(Unreads, len(records))
	for _, r := range records {
		u := Unread{Key: r.Key, About: r.About, Ticks: r.Ticks, Why: r.Why}
		u.Since, u.LastGood = r.At.time(0), r.At.time(1)
		(*all)[u.key()] = u
	}
	return nil
}
