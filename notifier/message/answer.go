package message

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// Webhook is the message as Slack takes it where no bot posts it: by an incoming webhook, as the answer to a
// command, or at the address that comes with one. public shows such an answer to everybody in the channel,
// and not only to who asked.
func (m Message) Webhook(public bool) *slack.WebhookMessage {
	off := false
	w := &slack.WebhookMessage{Text: m.Text, UnfurlLinks: &off, UnfurlMedia: &off}
	if len(m.Blocks) > 0 {
		w.Blocks = &slack.Blocks{BlockSet: m.Blocks}
	}
	if m.Attachment.Color != "" {
		w.Attachments = []slack.Attachment{m.Attachment}
	}
	if public {
		w.ResponseType = slack.ResponseTypeInChannel
	}
	return w
}

// Answer is the message as the body of the answer to a command: see Webhook.
func (m Message) Answer(public bool) ([]byte, error) {
	w := m.Webhook(public)
	if !public {
		w.ResponseType = slack.ResponseTypeEphemeral
	}
	return json.Marshal(struct {
		Type        string             `json:"response_type"`
		Text        string             `json:"text"`
		Blocks      *slack.Blocks      `json:"blocks,omitempty"`
		Attachments []slack.Attachment `json:"attachments,omitempty"`
	}{w.ResponseType, w.Text, w.Blocks, w.Attachments})
}

// stale is from how old on what ticks stored says that they may have stopped: a quiet one stores something
// every 5 minutes.
const stale = 10 * time.Minute

// Status renders in short how things stand: what is open, what is silenced, and what could not be read.
func Status(r report.Report, s Style) Message {
	pools := r.WorstFirst()
	p := s.reportPage(r, pools)
	p.look, p.title = look{"large_green_circle", "#2eb886"}, "No incident is open on "+watched(r)
	worst := incident.OK
	for _, o := range r.Open {
		worst = max(worst, o.Degree())
	}
	if n := len(r.Open); n > 0 {
		p.look, p.title = look{"large_orange_circle", "#e8912d"}, text.Plural(n, "incident")+" open on "+watched(r)
	}
	switch {
	case worst >= incident.Degraded:
		p.look = look{"red_circle", "#a30200"}
	case r.Note != "" || len(r.Unread()) > 0:
		p.look = look{"warning", "#daa038"}
	}
	switch n := len(r.Unread()); {
	case n == 1 && len(r.Pools) == 1:
		p.title += ", which cannot be read"
	case n > 0:
		p.title += fmt.Sprintf(", %d cannot be read", n)
	}
	return p.message(func(room room) []block {
		var blocks []block
		if r.Age >= stale {
			blocks = append(blocks, block{lineOf(bold("No tick has stored anything for "+text.Duration(r.Age)),
				words(": clbwatch may have stopped, or cannot reach its state."))})
		}
		if note := text.Clean(r.Note, maxWhy+100); note != "" {
			blocks = append(blocks, block{lineOf(bold("Note"), words("  "+note))})
		}
		blocks = append(blocks, silenceBlocks(r, room)...)
		blocks = append(blocks, s.openBlocks(r, room)...)
		return append(blocks, s.unreadBlocks(r.Unread(), room)...)
	})
}

// watched are the load balancers of a report: by name if there is one.
func watched(r report.Report) string {
	if len(r.Pools) == 1 {
		return text.Short(report.Name(r.Pools[0].CLB), maxNameInTitle)
	}
	return text.Plural(len(r.Pools), "load balancer")
}

// List renders the silences that are active. why is why some may be missing, or nil.
func List(active []incident.Silence, why error, s Style) Message {
	r := report.Report{Silences: active}
	p := page{look: neutral, title: "No silence is active", url: s.console() + "/clb", style: s}
	if n := len(active); n > 0 {
		p.title = text.Plural(n, "silence") + " active"
		p.context = []line{{words("end one by its number, as in: end 7")}}
	}
	return p.message(func(room room) []block {
		blocks := silenceBlocks(r, room)
		if why != nil {
			blocks = append(blocks, block{lineOf(bold("Note"), words("  The silences cannot be listed, so some may "+
				"be missing here: "+text.Clean(why.Error(), maxWhy)))})
		}
		return blocks
	})
}

// Made is what somebody did about silences: those that were made, of which there is at least one, or the one
// that was ended.
type Made struct {
	Silences []incident.Silence
	Covers   string // such as "3 load balancers, 41 backends, 2 of them out"; "" if it is not known
	Replaces string // the numbers of the silences in whose place they are; "" for none
	Again    bool   // it was so already
	Still    string // the number of a silence that covers the same as one that was ended; "" for none
	By       string // who asked for it
	But      error  // what was not done, or may not have been; nil if all was
}

// Silenced renders what somebody did about silences.
func Silenced(m Made, s Style) Message {
	first := m.Silences[0]
	ended := !first.Ended.IsZero()
	p := page{look: neutral, url: s.console() + "/clb", style: s}
	what := text.Short(report.SilenceScope(first), maxNameInTitle)
	if n := len(m.Silences); n > 1 {
		what = text.Plural(n, "load balancer")
	}
	who, when := m.By, line{words("until "), date(first.End())}
	switch {
	case ended && m.Again:
		p.title, who, when = "Silence had ended already: "+what, first.EndedBy, line{date(first.End())}
		if first.Until.Before(first.Ended) {
			who = "" // it ended by itself
		}
	case ended:
		p.title, when = "Silence ended: "+what, line{date(first.Ended)}
	case first.Incident != "":
		p.title = "Acknowledged: " + what
	default:
		p.title = "Silenced: " + what
	}
	if m.But != nil {
		p.look, p.title = look{"warning", "#daa038"}, p.title+", but not all was done"
	}
	if name, ok := person(who); ok {
		name.text = text.Short(name.text, maxByCells)
		p.context = append(p.context, line{words("by "), name})
	}
	p.context = append(p.context, when)
	if len(m.Silences) == 1 { // first, as in view.context
		p.context = append([]line{{words(report.SilenceName(first))}}, p.context...)
	}
	return p.message(func(room) []block {
		var b block
		if m.But != nil {
			b = append(b, lineOf(words(text.Clean(m.But.Error(), maxText/4))))
		}
		if why := text.Short(text.Clean(first.Why, incident.MaxSilenceText), wholeText); why != "" && !ended {
			b = append(b, lineOf(bold("Reason"), words("  "+why)))
		}
		if len(m.Silences) > 1 {
			for _, one := range m.Silences {
				b = append(b, lineOf(words(report.SilenceName(one)+"  "), bold(text.Short(report.SilenceScope(one),
					maxNameCells))))
			}
		}
		for _, says := range m.says(first, ended) {
			b = append(b, lineOf(words(says)))
		}
		if len(b) == 0 {
			return nil
		}
		return []block{b}
	})
}

// says are sentences about what the silences cover, what became of others, and what follows.
func (m Made) says(first incident.Silence, ended bool) (all []string) {
	verb := "Covers "
	if ended {
		verb = "Covered "
	}
	if m.Covers != "" && !(ended && m.Again) {
		all = append(all, verb+text.Clean(m.Covers, maxText/4)+".")
	}
	if m.Replaces != "" {
		all = append(all, "It takes the place of silence "+text.Clean(m.Replaces, maxNameCells)+".")
	}
	if m.Still != "" {
		all = append(all, "Silence "+text.Clean(m.Still, maxNameCells)+" goes on, and covers the same.")
	}
	switch {
	case ended && m.Again:
		return all
	case m.Again:
		return append(all, "It was so already.")
	case ended:
	case first.All:
		all = append(all, "Not even degraded or DOWN breaks through.")
	case first.Incident != "":
		all = append(all, "It ends with the incident, or when it gets worse.")
	}
	return append(all, "Takes effect with the next tick, within a minute.")
}

// Help renders how to use a command, one line for each use, after what was wrong, if anything was. command is
// its name, such as "/clb".
func Help(command, wrong string, uses [][2]string, s Style) Message {
	p := page{
		look:  look{"information_source", "#8d9096"},
		title: "How to use " + text.Clean(command, maxNameCells),
		url:   s.console() + "/clb",
		style: s,
	}
	if wrong != "" {
		p.look, p.title = look{"warning", "#daa038"}, text.Clean(wrong, maxTitle)
	}
	return p.message(func(room) []block {
		var b block
		for _, u := range uses {
			b = append(b, lineOf(span{text: text.Clean(command, maxNameCells) + " " + u[0], code: true},
				words("  "+u[1])))
		}
		if len(b) == 0 {
			return nil
		}
		return []block{b}
	})
}

// Refused renders why something was not done, or not answered, which the title says.
func Refused(title string, why error, s Style) Message {
	p := page{look: look{"warning", "#daa038"}, title: title, url: s.console() + "/clb", style: s}
	return p.message(func(room) []block {
		return []block{{lineOf(words(text.Clean(why.Error(), maxText/2)))}}
	})
}
