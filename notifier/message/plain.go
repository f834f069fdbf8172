package message

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"clbwatch/internal/text"
)

// mrkdwn is a line where Slack parses it, and makes links of what looks like one.
func (l line) mrkdwn() string { return l.marked(inert) }

// verbatim is a line in a text object with verbatim set: Slack parses marks in it, and makes no links.
func (l line) verbatim() string { return l.marked(unlinked) }

func (l line) marked(safe func(string) string) string {
	var b strings.Builder
	for _, s := range l {
		switch {
		case !s.at.IsZero():
			fmt.Fprintf(&b, "<!date^%d^%s|%s>", s.at.Unix(), s.format, s.text)
		case s.channel != "":
			b.WriteString("<#" + token(s.channel) + ">")
		case s.user != "":
			b.WriteString("<@" + token(s.user) + ">")
		case s.url != "":
			b.WriteString("<" + strings.ReplaceAll(s.url, "&", "&amp;") + "|" + safe(s.text) + ">")
		case s.code:
			b.WriteString("`" + token(s.text) + "`")
		default:
			b.WriteString(safe(s.text))
		}
	}
	return b.String()
}

// in is a line as text without marks but those of users, with times in a zone. Slack parses it all the same,
// and safe makes it safe for that.
func (l line) in(zone *time.Location, safe func(string) string) string {
	var b, run strings.Builder
	flush := func() {
		b.WriteString(safe(run.String()))
		run.Reset()
	}
	for _, s := range l {
		switch {
		case !s.at.IsZero():
			run.WriteString(s.stamp(zone))
		case s.user != "":
			flush()
			b.WriteString("<@" + token(s.user) + ">")
		default:
			run.WriteString(s.text)
		}
	}
	flush()
	return b.String()
}

// plain is the message as text only, with whole lines; what does not fit is counted.
func (p page) plain(details []block) string {
	as := func(l line) string { return l.in(p.style.zone(), inert) }
	link := line.mrkdwn
	if p.style.terminal {
		as = func(l line) string { return l.in(p.style.zone(), func(s string) string { return s }) }
		link = func(l line) string { return l[0].text + " " + l[0].url }
	}
	head := p.headline(as)
	if context := joined(p.context, func(l line) string {
		if len(l) == 1 && l[0].url != "" {
			return link(l)
		}
		return as(l)
	}); context != "" {
		head += "\n" + context
	}
	var lines []string
	for _, b := range details {
		lines = append(lines, "")
		for _, part := range b {
			for _, row := range part.rows {
				lines = append(lines, as(row))
			}
			if part.rows == nil {
				lines = append(lines, "• "+as(part.line))
			}
		}
	}
	const room = maxText - len("\n… and 1234567890 more lines")
	for i, l := range lines {
		if len(head)+1+len(l) > room {
			return head + fmt.Sprintf("\n… and %s", text.Plural(len(lines)-i, "more line"))
		}
		head += "\n" + l
	}
	return head
}

// textOnly is the message for when Slack refuses its blocks.
func (m Message) textOnly() Message { return Message{Text: m.Plain, Plain: m.Plain} }

// inert makes text safe where Slack parses mrkdwn: &, < and > are escaped, which stops links and mentions,
// and what would be formatting, an emoji or a bare link becomes the full-width twin of its character.
func inert(s string) string { return disarmed(s, true) }

// unlinked is the same where Slack makes no links of itself: dots stay, so that names can be copied.
func unlinked(s string) string { return disarmed(s, false) }

func disarmed(s string, links bool) string {
	var b strings.Builder
	rs := []rune(s)
	at := func(i int) rune {
		if i < 0 || i >= len(rs) {
			return ' '
		}
		return rs[i]
	}
	for i, r := range rs {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case strings.ContainsRune("*~`@#", r),
			r == '_' && !(wordy(at(i-1)) && wordy(at(i+1))), // inside a word it is a letter to Slack too
			r == ':' && at(i+1) != ' ' && !portColon(rs, i) && !addressColon(rs, i) &&
				!clockColon(at(i-1), at(i+1), at(i+2), at(i+3)),
			links && r == '.' && !unicode.IsDigit(at(i+1)) && at(i+1) != ' ': // "evil.example" becomes a link
			b.WriteRune(r + '＊' - '*')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clockColon reports whether a colon between these is that of a time, such as 04:53, behind which no emoji's
// name goes on.
func clockColon(before, tens, ones, after rune) bool {
	digits := unicode.IsDigit(before) && unicode.IsDigit(tens) && unicode.IsDigit(ones)
	named := unicode.IsLetter(after) || unicode.IsDigit(after) || strings.ContainsRune("_-+':", after)
	return digits && !named
}

// portColon reports whether the colon at i is that of a listener, such as HTTPS:443, that stands alone: no
// emoji begins or ends there.
func portColon(rs []rune, i int) bool {
	const before, after = " (", " ),"
	from, to := i, i+1
	for from > 0 && (unicode.IsUpper(rs[from-1]) && rs[from-1] < unicode.MaxASCII || rs[from-1] == '_') {
		from--
	}
	for to < len(rs) && unicode.IsDigit(rs[to]) {
		to++
	}
	begins := from < i && (from == 0 || strings.ContainsRune(before, rs[from-1]))
	return begins && to > i+1 && (to == len(rs) || strings.ContainsRune(after, rs[to]))
}

// addressColon reports whether the colon at i is that before a port, as in 10.0.0.1:8080. No emoji begins
// there, because its name would have to end in a colon, nor ends, because of the dot before.
func addressColon(rs []rune, i int) bool {
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	from, to := i, i+1
	for from > 0 && digit(rs[from-1]) {
		from--
	}
	for to < len(rs) && digit(rs[to]) {
		to++
	}
	ends := to == len(rs) || strings.ContainsRune(" ,;)", rs[to])
	return from < i && from > 0 && rs[from-1] == '.' && to > i+1 && ends
}

// wordy reports whether r is an ASCII letter or digit.
func wordy(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// token keeps of s what means nothing to mrkdwn: ASCII letters, digits and hyphens, at most 64 of them. It is
// for identifiers, which have no others.
func token(s string) string {
	s = strings.Map(func(r rune) rune {
		if wordy(r) || r == '-' {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 64)]
}
