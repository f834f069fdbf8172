// Package message renders incidents and reports for Slack: words, layout, blocks. It knows no transport,
// decides nothing about what is news, and refuses to let text from the cloud become markup or a message
// exceed Slack's limits.
package message

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/incident"
)

// Message is one message. Without Blocks it is text only: an edit then has to take the blocks away that were
// there.
type Message struct {
	// Text is what a phone shows, and all that a screen reader reads; without Blocks it is everything. It is
	// mrkdwn of at most 3,000 bytes.
	Text       string
	Blocks     []slack.Block    // the title and its context
	Attachment slack.Attachment // the details behind a coloured bar; the zero value if there are none
	Plain      string           // all of it as Text, for when Slack refuses the blocks; "" of incident.Bare
}

// Style is what people set about messages.
type Style struct {
	// Mention is who is mentioned where a Call asks for it: the ID of a user or user group, or "here",
	// "channel", "everyone"; "" for nobody.
	Mention    string
	ConsoleURL string         // where links lead; "" is https://console.cloud.tencent.com
	RunbookURL string         // a link in every root, with {clb}, {label} and {region} filled in; "" for none
	Zone       *time.Location // of times where Slack cannot show them in the reader's zone; nil is UTC
	// Buttons: open roots have some. Without an app that answers them, people would see a warning sign
	Buttons bool

	terminal bool // Plain is for a terminal, where nothing is parsed
}

// Of renders what a call posts or edits, from the document as it is. It is the one function where news
// becomes a message. Calls that carry no message are rendered as the root.
func Of(doc incident.Document, call incident.Call, s Style) Message {
	p, details := pageOf(doc, call, s)
	switch call.Form {
	case incident.Bare:
		return Message{Text: bare(doc, call)}
	case incident.Plain:
		return p.message(details).textOnly()
	case incident.NoMention:
		if s.Mention != "" {
			p.context = append(p.context, line{words("the mention is left out: Slack refused it")})
		}
		p.mention = ""
	}
	return p.message(details)
}

// pageOf is the head of the message, and what makes as much of its details as there is room for.
func pageOf(doc incident.Document, call incident.Call, s Style) (page, func(room) []block) {
	switch {
	case call.Do == incident.Void:
		return voidPage(doc, s)
	case call.Do == incident.Leave:
		return leavePage(doc, s)
	case call.Do != incident.Send, call.Post.Root:
		return rootPage(doc, call.Post, s)
	}
	return updatePage(doc, call.Post, s)
}

// rootPage is the message in the channel: how things are, then what came and went.
func rootPage(doc incident.Document, p incident.Post, s Style) (page, func(room) []block) {
	v := viewOf(doc, s)
	pg := v.page(p)
	pg.title, pg.struck, pg.after = inBetween(pg.title, p), doc.Resolved(), v.ending()
	pg.context = slices.Concat(pg.context, v.acknowledged(), v.lifted(0))
	pg.buttons = v.buttons()
	if u := v.runbook(); u != "" && !v.Notice() {
		pg.context = append(pg.context, line{{text: "Runbook", url: u}})
	}
	return pg, func(r room) []block { return slices.Concat(namesBlock(p), v.details(r)) }
}

// page is what messages about an incident have in common.
func (v view) page(p incident.Post) page {
	pg := page{look: v.look(), title: v.headline(), url: v.link(), context: v.context(), style: v.style}
	if p.Mention {
		pg.mention = v.style.Mention
	}
	if p.Repeat {
		pg.context = append(pg.context, line{words("may be a repeat")})
		pg.note = "may be a repeat"
	}
	return pg
}

// voidPage is what becomes of a message that arrived twice.
func voidPage(doc incident.Document, s Style) (page, func(room) []block) {
	v := viewOf(doc, s)
	pg := page{look: neutral, title: "Repeat of " + v.numbers(), url: v.link(), style: s}
	pg.context = []line{{words("the same message is in this channel already")}}
	return pg, func(room) []block { return nil }
}

// leavePage is the last word of a root in a channel that is not used any more.
func leavePage(doc incident.Document, s Style) (page, func(room) []block) {
	v := viewOf(doc, s)
	pg := page{look: neutral, title: v.headline(), url: v.link(), context: v.context(), style: s}
	pg.after = line{words("continues in another channel")}
	if r := doc.Delivery.Route; r.Bot() {
		if id := token(string(r)); id != "" && id == string(r) {
			there := span{text: "another channel", channel: id}
			pg.context = append(pg.context, line{words("it continues in "), there})
		}
	}
	return pg, func(room) []block { return nil }
}

// namesBlock names other incidents whose news people may not have.
func namesBlock(p incident.Post) []block {
	if len(p.Names) == 0 {
		return nil
	}
	return []block{{lineOf(bold("Slack may not have shown, or did not take, earlier news of "),
		words(incidents(p.Names)+"; it is in "), span{text: "clbwatch history", code: true})}}
}

// incidents are numbers of incidents as part of a sentence, "incident 12" or "incidents 12, 15 and 20 to 31",
// the first few.
func incidents(ids []string) string {
	runs := runsOf(ids)
	const shown = 8
	more := 0
	for _, r := range runs[min(len(runs), shown):] {
		more += r.n
	}
	var parts []string
	for _, r := range runs[:min(len(runs), shown)] {
		switch r.n {
		case 1:
			parts = append(parts, r.first)
		case 2:
			parts = append(parts, r.first, r.last)
		default:
			parts = append(parts, r.first+" to "+r.last)
		}
	}
	word := "incidents "
	if len(ids) == 1 {
		word = "incident "
	}
	s := word + strings.Join(parts, ", ")
	if more > 0 {
		s += " and " + plural(more, "more")
	}
	return s
}

// run is a row of incidents whose numbers follow each other.
type run struct {
	first, last string
	n           int
}

func runsOf(ids []string) (runs []run) {
	for _, id := range ids {
		id = cmp.Or(token(id), "?")
		if n := len(runs) - 1; n >= 0 && follows(runs[n].last, id) {
			runs[n].last = id
			runs[n].n++
			continue
		}
		runs = append(runs, run{id, id, 1})
	}
	return runs
}
