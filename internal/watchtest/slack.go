package watchtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/watch"
)

// Message is one message that Slack has.
type Message struct {
	TS, Key, Thread string        // Thread is "" in the channel
	Call            incident.Call // what posted it
	First           incident.Root // the root as it was posted
	Shows           incident.Root // the root as it was edited last
	At              time.Time     // when it was posted
	Edits           int
	Repeat          bool // it was marked as a copy of another
	Moved           bool // it was edited to say that it continues elsewhere
	Deleted         bool
	News            []string // what it says that no post before it did, as "ins-a stopped"; sorted
}

// InChannel reports whether people see the message without opening a thread.
func (m Message) InChannel() bool { return m.Thread == "" || m.Call.Post.Broadcast }

// Webhook makes Slack one that finds nothing again and edits nothing.
func (w *World) Webhook() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bot = false
}

// Route is where a Watcher posts.
func (w *World) Route() incident.Route {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bot {
		return "C0WORLD"
	}
	return "webhook:1"
}

// Slack returns the messages that Slack has, in order.
func (w *World) Slack() []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.slack)
}

// News returns what messages say that no message before them said, as "ins-a stopped", in the order of the
// messages. Of a copy nothing is news.
func (w *World) News() (news []string) {
	seen := make(map[string]bool)
	for _, m := range w.Slack() {
		if !seen[m.Key] {
			news = append(news, m.News...)
		}
		seen[m.Key] = true
	}
	return news
}

// DeleteMessage deletes a message, as a person might.
func (w *World) DeleteMessage(ts string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(w.slack, func(m Message) bool { return m.TS == ts })
	if at >= 0 {
		w.slack[at].Deleted = true
	}
}

// find is where a message is; below 0 if it is not there.
func (w *World) find(route incident.Route, ts string) int {
	return slices.IndexFunc(w.slack, func(m Message) bool {
		return m.TS == ts && m.Call.Route == route &&
			!m.Deleted
	})
}

type slack run

var _ watch.Notifier = (*slack)(nil)

// ops are what a Fault calls what a Call does.
var ops = map[incident.Do]string{
	incident.Send: "send", incident.Look: "look", incident.Ask: "ask", incident.Edit: "edit",
	incident.Copies: "copies",
	incident.Void:   "void", incident.Leave: "leave",
}

// Do makes one call, and answers as Slack would.
func (s *slack) Do(_ context.Context, call incident.Call, doc incident.Document) (out incident.Outcome) {
	r := (*run)(s)
	err := r.do(ops[call.Do], call.Key, func() error {
		out = r.takes(call, doc)
		return out.Err
	})
	switch {
	case err == nil || errors.Is(err, out.Err) && out.Err != nil:
		return out
	case errors.Is(err, ErrDown):
		return incident.Outcome{Class: incident.ChannelDown, Err: err}
	case errors.Is(err, ErrRefused):
		return incident.Outcome{Class: incident.Content, Err: err}
	case errors.Is(err, ErrTemporary):
		return incident.Outcome{Class: incident.Temporary, Err: err}
	}
	return incident.Outcome{Class: incident.Unknown, Err: err}
}

// takes does what a call asks for.
func (r *run) takes(call incident.Call, doc incident.Document) incident.Outcome {
	at := r.find(call.Route, call.TS)
	gone := incident.Outcome{Class: incident.Gone, Err: errors.New("message_not_found")}
	switch call.Do {
	case incident.Ask:
	case incident.Send:
		if call.TS != "" && at < 0 {
			return gone
		}
		m := Message{TS: fmt.Sprintf("%d.%06d", r.now.Unix(), len(r.slack)+1), Key: call.Key, Thread: call.TS,
			Call: call, At: r.now,
			First: copyOf(doc.Root), Shows: copyOf(doc.Root), News: news(doc.Root)}
		r.slack = append(r.slack, m)
		if !call.Route.Bot() {
			return incident.Outcome{}
		}
		return incident.Outcome{TS: m.TS}
	case incident.Look:
		for _, m := range r.slack {
			if m.Key == call.Key && m.Call.Route == call.Route && !m.Deleted {
				return incident.Outcome{TS: m.TS}
			}
		}
		return incident.Outcome{Class: incident.NotThere}
	case incident.Copies:
		var found []incident.Copy
		for _, m := range r.slack {
			if strings.HasPrefix(m.Key, call.Key) && m.Call.Route == call.Route && !m.Deleted {
				found = append(found, incident.Copy{Key: m.Key, TS: m.TS})
			}
		}
		return incident.Outcome{Found: found}
	default:
		if at < 0 {
			return gone
		}
		m := &r.slack[at]
		m.Edits++
		m.Shows = copyOf(doc.Root)
		m.Repeat, m.Moved = m.Repeat || call.Do == incident.Void, m.Moved || call.Do == incident.Leave
	}
	return incident.Outcome{}
}

// copyOf is a root as it is now.
func copyOf(r *incident.Root) (c incident.Root) {
	b, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		panic(err) // heads are stored so
	}
	return c
}

// kinds are what News calls a row.
var kinds = map[incident.RowKind]string{
	incident.Stopped: "stopped", incident.Failing: "failing", incident.Removed: "removed",
	incident.Partly: "rebound",
	incident.Added:  "added", incident.CameAndWent: "came and went", incident.Recovered: "recovered",
	incident.Back:     "back",
	incident.Replaced: "replaced",
}

// news is what a root says that no post has said.
func news(r *incident.Root) (says []string) {
	for _, i := range r.Incidents {
		if i.Rev <= r.Delivery.Shown {
			continue
		}
		switch {
		case i.About.Notice():
			says = append(says, i.Key+" "+string(i.About))
		case i.About.Blind() && i.Readable:
			says = append(says, i.Key+" readable")
		case i.About.Blind():
			says = append(says, i.Key+" unreadable: "+string(i.About))
		}
		if i.End != "" && !i.About.Notice() {
			says = append(says, i.Key+" is over: "+string(i.End))
		}
		for _, m := range i.Machines {
			if m.Rev > r.Delivery.Shown && !m.Held() {
				says = append(says, m.ID+" "+kinds[m.Kind()])
			}
		}
	}
	slices.Sort(says)
	return says
}
