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
