package message

import (
	"fmt"
	"regexp"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// silenceBlocks list the silences that are active, a line for each.
func silenceBlocks(r report.Report, room room) []block {
	if len(r.Silences) == 0 {
		return nil
	}
	b := block{lineOf(bold(fmt.Sprintf("Silences (%d)", len(r.Silences))))}
	shown := min(len(r.Silences), room.clbs)
	for _, s := range r.Silences[:shown] {
		b = append(b, lineOf(silenceLine(s, wholeText, wholeText)...))
	}
	if more := len(r.Silences) - shown; more > 0 {
		b = append(b, lineOf(words(fmt.Sprintf("… and %d more", more))))
	}
	return []block{b}
}

// silenceLine says what is silenced, until when, by whom and why, with at most so many cells of each text:
// all of them are untrusted.
func silenceLine(s incident.Silence, cells, whyCells int) line {
	l := line{words(report.SilenceName(s) + "  "), bold(text.Short(report.SilenceScope(s), cells)),
		words("  until "), date(s.End())}
	l = append(l, by(" ", s.By, cells)...)
	if why := text.Short(text.Clean(s.Why, incident.MaxSilenceText), whyCells); why != "" {
		l = append(l, words(": "+why))
	}
	return l
}

// by says who made a silence, after some space; nil if nobody is named.
func by(space, who string, cells int) line {
	p, ok := person(who)
	if !ok {
		return nil
	}
	p.text = text.Short(p.text, cells)
	return line{words(space + " by "), p}
}

var userForm = regexp.MustCompile(`^[UW][A-Z0-9]{7,20}$`)

// person is who made a silence: a user of Slack if it is the ID of one, which has digits, else a name as it
// is; false if nobody is named.
func person(by string) (span, bool) {
	name := text.Clean(by, incident.MaxSilenceText)
	if name == by && userForm.MatchString(by) && strings.ContainsAny(by, "0123456789") {
		return span{text: by, user: by}, true
	}
	return words(name), name != ""
}

// silenced says that a silence covers the load balancer of an incident, and until when; nil if none does.
func (v view) silenced(i *incident.Incident) line {
	if i.Silence == "" || !i.Open() && !i.About.Notice() {
		return nil
	}
	l := line{words("  ·  silenced")}
	if q, ok := v.silence(i.Silence); ok {
		l = append(l, words(" until "), date(q.Until))
	}
	return l
}

// silence is what is known of a silence.
func (v view) silence(id string) (q incident.Silence, ok bool) {
	if v.doc.Silence == nil {
		return q, false
	}
	return v.doc.Silence(id)
}

// acknowledged says who has the incidents, and since when: a line for each acknowledgement.
func (v view) acknowledged() (lines []line) {
	of := make(map[string]int)
	var ids []string // in the order of their incidents
	open := 0
	for _, i := range v.Incidents {
		if !i.Open() {
			continue
		}
		if open++; i.Ack == "" {
			continue
		}
		if of[i.Ack]++; of[i.Ack] == 1 {
			ids = append(ids, i.Ack)
		}
	}
	for _, id := range ids[:min(len(ids), maxNamed)] {
		says := "acknowledged"
		if of[id] < open {
			says = fmt.Sprintf("%d of %d acknowledged", of[id], open)
		}
		l := line{words(says)}
		if q, ok := v.silence(id); ok {
			l = append(append(l, by("", q.By, maxByCells)...), words(" since "), date(q.Made))
		}
		lines = append(lines, l)
	}
	return lines
}

// The context is one text, of which Slack takes 3,000 characters; an & counts as five.
const (
	maxNamed    = 2  // silences, and acknowledgements, that a message names in its context
	maxWhyCells = 60 // of the reason for one
	maxByCells  = 30 // of who made it, and of the glob

	wholeText = incident.MaxSilenceText // no text takes more cells than bytes
)

// lifted names the silences after which a message is the first: it may be why it comes only now.
func (v view) lifted(shown int) (lines []line) {
	seen := make(map[string]bool)
	for _, i := range v.Incidents {
		if i.LiftedBy == "" || i.Lifted <= shown || seen[i.LiftedBy] || len(lines) == maxNamed {
			continue
		}
		seen[i.LiftedBy] = true
		q, ok := v.silence(i.LiftedBy)
		switch {
		case !ok:
		case q.Incident != "":
			lines = append(lines, append(line{words("had been acknowledged")}, by("", q.By, maxByCells)...))
		default:
			lines = append(lines, append(line{words("after ")}, silenceLine(q, maxByCells, maxWhyCells)...))
		}
	}
	return lines
}

// untold are load balancers about which a silence holds everything back: a message that is posted for another
// reason shows how they stand, and that they are silenced.
func (v view) untold(r room) []block {
	if len(v.quiet) == 0 {
		return nil
	}
	b := block{lineOf(bold(fmt.Sprintf("Silenced (%d)", len(v.quiet))))}
	shown := v.quiet[:min(len(v.quiet), r.clbs, 3)]
	for _, i := range shown {
		l := v.named(i)
		if !i.About.Notice() {
			l = append(append(l, words("  ·  ")), stands(i)...)
		}
		b = append(b, lineOf(append(l, v.silenced(i)...)...))
	}
	if more := len(v.quiet) - len(shown); more > 0 {
		b = append(b, lineOf(words(fmt.Sprintf("… and %d more", more))))
	}
	return []block{b}
}
