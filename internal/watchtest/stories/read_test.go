package stories_test

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"clbwatch/internal/watchtest/stories"
)

// page is what a person reads of a message. It is read from what Slack has, by code that knows Slack's blocks
// and the words of the messages, and nothing of what wrote them.
type page struct {
	text     string // all of it
	title    string
	context  string
	struck   bool // the title is struck through
	color    string
	mentions bool
	clbs     map[string]stand // load balancers that have a line of their own
	more     int              // load balancers that have none, and are counted
	sections []section
}

// stand is how a load balancer stands, by its own line.
type stand struct {
	line           string
	running, total int // -1 if the line does not say
	level          stories.Level
	ended          bool
}

// unknown is the level of what a table shows as serving 50 %: it is rounded.
const unknown stories.Level = -1

// section is what a message says of machines of one kind.
type section struct {
	kind string
	n    int // machines
	ids  map[string]bool
}

// sections that say that a machine is out.
func (s section) out() bool { return s.kind == "Stopped" || s.kind == "Unhealthy" }

var (
	standsLine = regexp.MustCompile(`^(?:• )?(prod-[\w-]+)(?:  lb-[\w-]+)?  ·  ` +
		`(?:(\d+) of (\d+) running|no backends left)`)
	tableLine = regexp.MustCompile(`^(\d+) of (\d+) +(?:(\d+) %|-)( DOWN)? +(prod-[\w-]+)$`)
	moreLine  = regexp.MustCompile(`^(?:• )?… and (\d+) more load balancers?$`)
	heading   = regexp.MustCompile(`^(?:• )?(Stopped|Unhealthy|Removed|Replaced|Listeners changed|` +
		`Added and removed again|Added|Recovered|Out and back)(?: \((\d+)\))?(?:  |$)`)
	machineID = regexp.MustCompile(`\bins-[\w-]+\b`)
	dateMark  = regexp.MustCompile(`<!date\^[^|>]*\|([^>]*)>`)
	linkMark  = regexp.MustCompile(`<https?://[^|>]*\|([^>]*)>`)
	endings   = regexp.MustCompile(`\b([Rr]esolved after|[Oo]ver\b|[Ll]eft as it is|` +
		`[Rr]eadable again after|continues in another channel)`)
	wasBad = regexp.MustCompile(`(?:was|were|no longer) (?:DOWN|degraded)|degraded any more`)
)

type node struct {
	Type     string
	Elements []node
	Text     json.RawMessage
	Fallback string
	Style    json.RawMessage
	Range    string
}

// string is what a person reads of a node.
func (n node) string() string {
	var b strings.Builder
	var s string
	if json.Unmarshal(n.Text, &s) == nil {
		b.WriteString(s)
	}
	switch n.Type {
	case "date":
		b.WriteString(n.Fallback)
	case "mrkdwn":
		s = dateMark.ReplaceAllString(s, "$1")
		return linkMark.ReplaceAllString(s, "$1")
	}
	for _, e := range n.Elements {
		b.WriteString(e.string())
		if e.Type == "rich_text_section" || e.Type == "rich_text_preformatted" {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func read(t testing.TB, raw json.RawMessage) page {
	t.Helper()
	var m struct {
		Text        string
		Blocks      []node
		Attachments []struct {
			Color  string
			Blocks []node
		}
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	p := page{mentions: strings.Contains(m.Text, "<!here>"), clbs: make(map[string]stand)}
	if len(m.Blocks) == 0 { // it is text only
		text := dateMark.ReplaceAllString(m.Text, "$1")
		p.title, _, _ = strings.Cut(text, "\n")
		p.text = text
		for block := range strings.SplitSeq(text, "\n\n") {
			p.block(block)
		}
		return p
	}
	for n, b := range m.Blocks {
		s := b.string()
		p.text += s + "\n"
		switch {
		case n == 0:
			p.title = strings.TrimSpace(s)
			p.struck = strings.Contains(string(raw), `"strike":true`)
		case b.Type == "context":
			p.context += s
		}
	}
	for _, a := range m.Attachments {
		p.color = a.Color
		for _, b := range a.Blocks {
			s := b.string()
			p.text += s + "\n"
			p.block(s)
		}
	}
	return p
}

// block reads the lines of one block of details.
func (p *page) block(text string) {
	lines := strings.Split(text, "\n")
	for _, l := range lines {
		switch found := standsLine.FindStringSubmatch(l); {
		case found != nil:
			s := stand{line: l, running: number(found[2]), total: number(found[3])}
			s.ended = endings.MatchString(l)
			switch {
			case strings.Contains(l, "·  DOWN"):
				s.level = stories.Down
			case strings.Contains(l, "·  degraded"):
				s.level = stories.Degraded
			}
			p.clbs[found[1]] = s
			continue
		}
		if found := tableLine.FindStringSubmatch(strings.TrimRight(l, " ")); found != nil {
			s := stand{line: l, running: number(found[1]), total: number(found[2])}
			switch {
			case found[4] != "":
				s.level = stories.Down
			case found[3] == "50": // or a little more
				s.level = unknown
			case found[3] != "" && number(found[3]) < 50:
				s.level = stories.Degraded
			}
			p.clbs[found[5]] = s
		}
		if found := moreLine.FindStringSubmatch(l); found != nil {
			p.more += number(found[1])
		}
	}
	if found := heading.FindStringSubmatch(lines[0]); found != nil {
		s := section{kind: found[1], n: 1, ids: make(map[string]bool)}
		if found[2] != "" {
			s.n = number(found[2])
		}
		for _, id := range machineID.FindAllString(text, -1) {
			s.ids[id] = true
		}
		p.sections = append(p.sections, s)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// now is the title without what it says of the past.
func (p page) now() string { return wasBad.ReplaceAllString(p.title, "") }

// level is how bad the title says that it is.
func (p page) level() stories.Level {
	switch now := p.now(); {
	case strings.Contains(now, "DOWN"):
		return stories.Down
	case strings.Contains(now, "degraded"):
		return stories.Degraded
	}
	return stories.OK
}

// names reports whether the message says anything of a load balancer by its name.
func (p page) names(clb string) bool {
	if _, ok := p.clbs[label(clb)]; ok {
		return true
	}
	return containsWord(p.text, label(clb))
}

// ended reports whether the title says that it is over.
func (p page) ended() bool { return endings.MatchString(p.title) }

// of is how the message says that a load balancer stands; ok is false if it does not.
func (p page) of(clb string) (s stand, ok bool) {
	if s, ok = p.clbs[label(clb)]; ok {
		return s, true
	}
	if !containsWord(p.title, label(clb)) {
		return stand{}, false
	}
	s = stand{line: p.title, running: -1, total: -1, level: p.level(), ended: p.ended()}
	return s, true
}

// machine says whether the message shows a machine as out, and whether it names or counts it at all.
func (p page) machine(id string) (out, known bool) {
	for _, s := range p.sections {
		if s.ids[machine(id)] {
			return s.out(), true
		}
	}
	return false, false
}

// counted reports whether sections of that sort count machines without naming them, as a message may that
// names at least ten.
func (p page) counted(out bool) bool {
	more, n, named := false, 0, 0
	for _, s := range p.sections {
		ids := len(s.ids)
		if s.kind == "Replaced" { // each line has the old one, too
			ids /= 2
		}
		more = more || s.out() == out && s.n > ids
		n, named = n+s.n, named+ids
	}
	return more && named >= min(n, 10)
}

func containsWord(text, word string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return false
		}
		at += from
		from = at + len(word)
		if !letter(text, at-1) && !letter(text, from) {
			return true
		}
	}
}

func letter(s string, at int) bool {
	if at < 0 || at >= len(s) {
		return false
	}
	c := s[at]
	return c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
