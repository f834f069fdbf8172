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
		b = append(b, lineOf(silenceLine(s)...))
	}
	if more := len(r.Silences) - shown; more > 0 {
		b = append(b, lineOf(words(fmt.Sprintf("… and %d more", more))))
	}
	return []block{b}
}

// silenceLine says what is silenced, until when, by whom and why. All of its texts are untrusted.
func silenceLine(s incident.Silence) line {
	l := line{words(report.SilenceName(s) + "  "), bold(report.SilenceScope(s)), words("  until "),
		date(s.Until)}
	if by, ok := person(s.By); ok {
		l = append(l, words("  by "), by)
	}
	if why := text.Clean(s.Why, incident.MaxSilenceText); why != "" {
		l = append(l, words(": "+why))
	}
	return l
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
			if by, ok := shortPerson(q.By); ok {
				l = append(l, words(" by "), by)
			}
			l = append(l, words(" since "), date(q.Made))
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
)

// shortPerson is person in the few characters that a context has room for.
func shortPerson(by string) (span, bool) {
	p, ok := person(by)
	p.text = text.Short(p.text, maxByCells)
	return p, ok
}

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
			l := line{words("had been acknowledged")}
			if by, ok := shortPerson(q.By); ok {
				l = append(l, words(" by "), by)
			}
			lines = append(lines, l)
		default:
			lines = append(lines, afterSilence(q))
		}
	}
	return lines
}

// afterSilence names a silence that has ended.
func afterSilence(q incident.Silence) line {
	ended := q.Until
	if !q.Ended.IsZero() && q.Ended.Before(ended) {
		ended = q.Ended
	}
	scope := text.Short(report.SilenceScope(q), maxByCells)
	l := line{words("after " + report.SilenceName(q) + "  " + scope + "  until "), date(ended)}
	if by, ok := shortPerson(q.By); ok {
		l = append(l, words("  by "), by)
	}
	if why := text.Short(text.Clean(q.Why, incident.MaxSilenceText), maxWhyCells); why != "" {
		l = append(l, words(": "+why))
	}
	return l
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
