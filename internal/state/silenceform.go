package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
)

const (
	// SilencePrefix is what the keys of silences begin with, below the root of the state.
	SilencePrefix = "silence/"
	// MaxObject bounds what is stored under one key of Objects, in bytes.
	MaxObject = 4 << 10

	endSuffix     = ".end"
	silenceSchema = 1
	// maxAhead is how far the clock of who made or ended a silence may be ahead: from there on it could be
	// active for years.
	maxAhead = time.Hour
)

// silenceDigits is the number of a silence. A longer one is not ours, so that nobody can use up the numbers.
var silenceDigits = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)

// silenceNumber is the number that an ID stands for.
func silenceNumber(id string) (n int64, ok bool) {
	if !silenceDigits.MatchString(id) {
		return 0, false
	}
	n, err := strconv.ParseInt(id, 10, 64)
	return n, err == nil
}

func silenceKey(n int64) string { return SilencePrefix + strconv.FormatInt(n, 10) }

func endKey(n int64) string { return silenceKey(n) + endSuffix }

// SilenceOf is the number of the silence that a key belongs to, and whether it is the key of its end. Where
// ok is false it is no such key.
func SilenceOf(key string) (n int64, end, ok bool) {
	id, below := strings.CutPrefix(key, SilencePrefix)
	id, end = strings.CutSuffix(id, endSuffix)
	n, number := silenceNumber(id)
	return n, end, below && number
}

// SilenceKeys are the keys of a silence, in the order in which they may be deleted: an end that went first
// would make the silence active again.
func SilenceKeys(n int64) []string { return []string{silenceKey(n), endKey(n)} }

// silenceObjects is what a listing shows of one silence.
type silenceObjects struct {
	made, ended bool
	endedAt     time.Time // when the end was written
}

// listed lists the silences that are there, by number. foreign is an error that names what else is there.
func (s *Silences) listed(ctx context.Context) (there map[int64]silenceObjects, foreign, err error) {
	objects, err := s.Store.ListObjects(ctx, SilencePrefix)
	if err != nil {
		return nil, nil, fmt.Errorf("list silences: %w", err)
	}
	there = make(map[int64]silenceObjects)
	var odd []error
	for _, o := range objects {
		n, end, ok := SilenceOf(o.Name)
		if !ok {
			odd = append(odd, advice.Add(fmt.Errorf("%.80q is not the name of a silence", o.Name),
				"see whether something else writes there, and remove it"))
			continue
		}
		one := there[n]
		if end {
			one.ended, one.endedAt = true, o.Modified
		} else {
			one.made = true
		}
		there[n] = one
	}
	return there, few(odd), nil
}

// few joins errors, the first few of them.
func few(errs []error) error {
	more := error(nil)
	if n := len(errs) - maxNamed; n > 0 {
		more = fmt.Errorf("and %d more", n)
	}
	return errors.Join(errors.Join(errs[:min(len(errs), maxNamed)]...), more)
}

// unreadable says which object cannot be read, or made sense of.
func unreadable(key string, err error) error {
	err = fmt.Errorf("%s: %w", key, err)
	if errors.Is(err, ErrDamaged) {
		return advice.Add(err, "delete "+key+" from the state: nothing else depends on it")
	}
	return err
}

// storedSilence is what a silence is stored as.
type storedSilence struct {
	Schema int    `json:"schema"`
	Nonce  string `json:"nonce"` // of who wrote it
	incident.Silence
}

// storedEnd is what the end of one is stored as.
type storedEnd struct {
	Schema int       `json:"schema"`
	By     string    `json:"by,omitempty"` // untrusted text
	At     time.Time `json:"at"`
}

func encodeSilence(s incident.Silence, nonce string, now time.Time) ([]byte, error) {
	if err := checkSilence(s, now); err != nil {
		return nil, err
	}
	return encodeObject(storedSilence{silenceSchema, nonce, s})
}

func encodeEnd(by string, at, now time.Time) ([]byte, error) {
	if err := checkEnd(by, at, now); err != nil {
		return nil, err
	}
	return encodeObject(storedEnd{silenceSchema, by, at})
}

func encodeObject(v any) ([]byte, error) {
	content, err := json.Marshal(v)
	if err == nil && len(content) > MaxObject {
		err = fmt.Errorf("it has %d bytes, at most %d are allowed", len(content), MaxObject)
	}
	return content, err
}

// decodeSilence reads what is stored as silence n. Its error is ErrDamaged unless another version wrote it.
func decodeSilence(n int64, content []byte, now time.Time) (incident.Silence, error) {
	var s storedSilence
	if err := decodeObject(content, &s); err != nil {
		return incident.Silence{}, err
	}
	if want := strconv.FormatInt(n, 10); s.ID != want {
		return incident.Silence{}, fmt.Errorf("%w: it calls itself %.20q", ErrDamaged, s.ID)
	}
	if err := checkSilence(s.Silence, now); err != nil {
		return incident.Silence{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s.Silence, nil
}

// decodeEnd reads what is stored as the end of a silence. Its error is ErrDamaged unless another version
// wrote it.
func decodeEnd(content []byte, now time.Time) (at time.Time, by string, err error) {
	var e storedEnd
	if err := decodeObject(content, &e); err != nil {
		return at, "", err
	}
	if err := checkEnd(e.By, e.At, now); err != nil {
		return at, "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return e.At, e.By, nil
}

// decodeObject reads one JSON object that has a schema.
func decodeObject(content []byte, to any) error {
	var v struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(content, &v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if v.Schema > silenceSchema {
		return fmt.Errorf("it has schema %d, this version knows only %d", v.Schema, silenceSchema)
	}
	if v.Schema < silenceSchema || !utf8.Valid(content) {
		return fmt.Errorf("%w: it has no schema, or is not UTF-8", ErrDamaged)
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// checkSilence is an error if a silence is not as the store keeps them.
func checkSilence(s incident.Silence, now time.Time) error {
	switch {
	case (s.What == "") == (s.Incident == ""):
		return errors.New("it is about load balancers or about an incident, and not about both or neither")
	case s.Made.IsZero() || s.Made.After(now.Add(maxAhead)):
		return fmt.Errorf("it was made at %s, and it is %s now", stamp(s.Made), stamp(now))
	case !s.Until.After(s.Made) || s.Until.Sub(s.Made) > incident.MaxSilence:
		return fmt.Errorf("it was made at %s and lasts until %s; at most 7 days are allowed", stamp(s.Made),
			stamp(s.Until))
	case !s.Ended.IsZero() || s.EndedBy != "":
		return errors.New("it has ended before it was made")
	}
	return checkTexts(s.What, s.Incident, s.Why, s.By)
}

// checkEnd is an error if the end of a silence is not as the store keeps them.
func checkEnd(by string, at, now time.Time) error {
	if at.IsZero() || at.After(now.Add(maxAhead)) {
		return fmt.Errorf("it ended at %s, and it is %s now", stamp(at), stamp(now))
	}
	return checkTexts(by)
}

func checkTexts(all ...string) error {
	for _, text := range all {
		if len(text) > incident.MaxSilenceText {
			return fmt.Errorf("a text has %d bytes, at most %d are allowed", len(text),
				incident.MaxSilenceText)
		}
		if !utf8.ValidString(text) {
			return errors.New("a text is not UTF-8")
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
