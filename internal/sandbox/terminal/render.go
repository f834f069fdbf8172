// Package terminal draws Slack's messages on a terminal, as a person would read them in Slack. It refuses to
// let a control character of a message reach the terminal.
package terminal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Options say what the terminal can do and where its reader sits.
type Options struct {
	Color    bool              // ANSI colours and bold
	Width    int               // columns; below 40 it is taken as 100
	Location *time.Location    // of the reader; nil is UTC
	Names    map[string]string // of users, by ID; who has none is shown by ID
}

// Render draws a message as a person would read it in Slack: top-level blocks, or the text where there are
// none, then the attachments with their bars. Control characters of the message never reach w. An error is
// one of w or of the JSON.
func Render(w io.Writer, message json.RawMessage, o Options) error {
	var m struct {
		Text        string
		Blocks      []node
		Attachments []struct {
			Color, Text, Fallback string
			Blocks                []node
		}
	}
	if err := json.Unmarshal(message, &m); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	if o.Width < 40 {
		o.Width = 100
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	p := &drawing{Options: o}
	if len(m.Blocks) == 0 {
		p.para(p.mrkdwn(m.Text))
	}
	p.blocks(m.Blocks)
	for _, a := range m.Attachments {
		p.bar = p.Paint("▌", barColour(a.Color)) + " "
		if len(a.Blocks) == 0 {
			p.para(p.mrkdwn(a.Text))
		}
		p.blocks(a.Blocks)
		p.bar = ""
	}
	_, err := io.WriteString(w, p.out.String())
	return err
}

// node is any part of a block: the fields of all the types that are drawn.
type node struct {
	Type     string
	Text     json.RawMessage // a text object in a block, a string in rich text
	Fields   []node
	Elements []node
	Style    json.RawMessage // an object; a word in a list
	Verbatim bool

	URL, Name, Format, Fallback string
	Range                       string
	UserID                      string `json:"user_id"`
	UsergroupID                 string `json:"usergroup_id"`
	Timestamp                   int64
	Indent                      int
}

// string is the text of a node of rich text, or of a text object.
func (n node) string() string {
	var s string
	_ = json.Unmarshal(n.Text, &s) // anything else is drawn as nothing
	return s
}

// span is a run of text in one style.
type span struct {
	text string
	sgr  string // the parameters of an ANSI "select graphic rendition", or ""
}

// Bold and Dim are styles for Paint.
const (
	Bold = "1"
	Dim  = "2"

	italic = "3"
	strike = "9"
	link   = "94"
	code   = "36"
	danger = "31"
)

// drawing collects the lines of a drawing.
type drawing struct {
	Options
	bar string // before each line
	out strings.Builder
}

func (p *drawing) blocks(blocks []node) {
	for _, b := range blocks {
		switch b.Type {
		case "divider":
			p.line([]span{{strings.Repeat("─", p.Width/2), Dim}})
		case "header":
			p.para(restyle(p.object(b.Text), Bold))
		case "section":
			if b.Text != nil {
				p.para(p.object(b.Text))
			}
			for _, f := range b.Fields {
				p.para(p.textNode(f))
			}
		case "context":
			var all []span
			for i, e := range b.Elements {
				if i > 0 {
					all = append(all, span{"  ", ""})
				}
				all = append(all, p.textNode(e)...)
			}
			p.para(restyle(all, Dim))
		case "rich_text":
			p.rich(b.Elements, "")
		case "actions":
			p.buttons(b.Elements)
		default:
			p.para([]span{{"[" + Clean(b.Type) + "]", Dim}})
		}
	}
}

// buttons draws buttons in a row, such as "[Acknowledge] [Silence 1 h]", broken between two of them.
func (p *drawing) buttons(elements []node) {
	var now []span
	used := 0
	for _, e := range elements {
		label := span{"[" + strings.ReplaceAll(text(p.object(e.Text)), "\n", " ") + "]", ""}
		switch string(e.Style) {
		case `"primary"`:
			label.sgr = Bold
		case `"danger"`:
			label.sgr = danger
		}
		n := columns(label.text)
		switch {
		case used > 0 && used+1+n > p.room():
			p.line(now)
			now, used = nil, 0
		case used > 0:
			now, used = append(now, span{" ", ""}), used+1
		}
		now, used = append(now, label), used+n
	}
	p.line(now)
}

// text is what spans say.
func text(spans []span) string {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.text)
	}
	return b.String()
}

func (p *drawing) object(raw json.RawMessage) []span {
	var n node
	_ = json.Unmarshal(raw, &n) // anything else is drawn as nothing
	return p.textNode(n)
}

func (p *drawing) textNode(n node) []span {
	if n.Type == "mrkdwn" {
		return p.mrkdwn(n.string())
	}
	return []span{{emojis(Clean(n.string())), ""}}
}

func (p *drawing) rich(elements []node, prefix string) {
	for i, e := range elements {
		spans := p.inline(e.Elements)
		switch e.Type {
		case "rich_text_preformatted":
			p.verbatim(spans, "  ")
		case "rich_text_quote":
			p.para(append([]span{{"│ ", Dim}}, spans...))
		case "rich_text_list":
			mark := "• "
			if string(e.Style) == `"ordered"` {
				mark = "1. "
			}
			p.rich(e.Elements, strings.Repeat("  ", min(max(e.Indent, 0), 8))+mark)
		default:
			if strings.HasSuffix(prefix, ". ") {
				prefix = strconv.Itoa(i+1) + ". "
			}
			p.para(append([]span{{prefix, ""}}, spans...))
		}
	}
}

// inline turns the elements of running rich text, which is literal, into spans.
func (p *drawing) inline(elements []node) (out []span) {
	for _, e := range elements {
		var style struct{ Bold, Italic, Strike, Code bool }
		_ = json.Unmarshal(e.Style, &style) // a style that is not one is none
		s := span{text: Clean(e.string())}
		switch e.Type {
		case "link":
			if s.text == "" {
				s.text = Clean(e.URL)
			}
			s.sgr = link
		case "emoji":
			s.text = emojis(":" + Clean(e.Name) + ":")
		case "user", "usergroup", "broadcast":
			s = restyle([]span{{text: "@" + Clean(cmp.Or(p.Names[e.UserID], e.UserID, e.UsergroupID, e.Range))}},
				link)[0]
		case "date":
			s.text = p.date(e.Timestamp, Clean(e.Format))
		}
		for _, with := range []struct {
			on  bool
			sgr string
		}{{style.Bold, Bold}, {style.Italic, italic}, {style.Strike, strike}, {style.Code, code}} {
			if with.on {
				s = restyle([]span{s}, with.sgr)[0]
			}
		}
		out = append(out, s)
	}
	return out
}

// The marks of mrkdwn: <...>, `code`, *bold*, _italic_, ~strike~. A mark needs a boundary on its outer side.
var marks = regexp.MustCompile("<([^<>\n]*)>|`([^`\n]+)`|\\*([^*\n]+)\\*|_([^_\n]+)_|~([^~\n]+)~")

// mrkdwn turns Slack's markup into spans.
func (p *drawing) mrkdwn(s string) (out []span) {
	s = Clean(s)
	for s != "" {
		m := marks.FindStringSubmatchIndex(s)
		for m != nil && s[m[0]] != '<' && !boundary(s, m[0], m[1]) {
			next := marks.FindStringSubmatchIndex(s[m[0]+1:])
			if next == nil {
				m = nil
				break
			}
			shift := m[0] + 1
			for i := range next {
				if next[i] >= 0 {
					next[i] += shift
				}
			}
			m = next
		}
		if m == nil {
			return append(out, span{plain(s), ""})
		}
		if m[0] > 0 {
			out = append(out, span{plain(s[:m[0]]), ""})
		}
		for i, sgr := range []string{"", code, Bold, italic, strike} {
			from, to := m[2+2*i], m[3+2*i]
			switch {
			case from < 0:
			case i == 0:
				out = append(out, p.angle(s[from:to]))
			case i == 1:
				out = append(out, span{unescape(s[from:to]), code})
			default:
				out = append(out, restyle(p.mrkdwn(s[from:to]), sgr)...)
			}
		}
		s = s[m[1]:]
	}
	return out
}

// boundary reports whether the mark s[from:to] does not stand inside a word.
func boundary(s string, from, to int) bool {
	wordy := func(b byte) bool {
		return b == '_' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
	}
	return (from == 0 || !wordy(s[from-1])) && (to == len(s) || !wordy(s[to])) && s[from+1] != ' ' &&
		s[to-2] != ' '
}

// angle is what stands between < and >: a link, a mention or a date.
func (p *drawing) angle(s string) span {
	what, label, named := strings.Cut(s, "|")
	switch {
	case strings.HasPrefix(what, "!date^"):
		if parts := strings.SplitN(what, "^", 4); len(parts) >= 3 {
			if unix, err := strconv.ParseInt(parts[1], 10, 64); err == nil {
				return span{p.date(unix, parts[2]), ""}
			}
		}
		return span{unescape(label), ""}
	case strings.HasPrefix(what, "!"), strings.HasPrefix(what, "@"), strings.HasPrefix(what, "#"):
		if !named {
			label = cmp.Or(p.Names[what[1:]], what[1:])
		}
		// as loud as it is in Slack
		return span{strings.Replace(what[:1], "!", "@", 1) + unescape(label), "1;33"}
	case named:
		return span{plain(label), link}
	default:
		return span{unescape(what), link}
	}
}

var layouts = strings.NewReplacer(
	"{date_num}", "2006-01-02", "{date_short_pretty}", "Jan 2, 2006", "{date_short}", "Jan 2, 2006",
	"{date_long_pretty}", "Monday, January 2, 2006", "{date_long}", "Monday, January 2, 2006",
	"{date_pretty}", "January 2, 2006", "{date}", "January 2, 2006",
	"{time_secs}", "15:04:05", "{time}", "15:04", "{ago}", "Jan 2, 15:04",
)

var tokens = regexp.MustCompile(`\{[a-z_]+\}`)

func (p *drawing) date(unix int64, format string) string {
	t := time.Unix(unix, 0).In(p.Location)
	return tokens.ReplaceAllStringFunc(format, func(token string) string {
		return t.Format(layouts.Replace(token))
	})
}

// plain is text without marks: with its emoji, unescaped.
func plain(s string) string { return unescape(emojis(s)) }

func unescape(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

// emojis turns the short codes that this project uses into characters; others stay as they are.
func emojis(s string) string {
	return strings.NewReplacer(
		":red_circle:", "🔴", ":large_yellow_circle:", "🟡", ":large_blue_circle:", "🔵",
		":large_green_circle:", "🟢", ":large_orange_circle:", "🟠", ":white_circle:", "⚪",
		":warning:", "⚠️", ":white_check_mark:", "✅", ":x:", "❌", ":eyes:", "👀",
		":information_source:", "ℹ️", ":bar_chart:", "📊", ":bell:", "🔔", ":wave:", "👋", ":mag:", "🔍",
		":clipboard:", "📋",
	).Replace(s)
}

// Clean makes text of the message harmless for a terminal: controls, format characters (such as those that
// turn the direction of writing) and odd line separators are shown as one replacement character. Line feeds
// stay.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func restyle(spans []span, sgr string) []span {
	for i := range spans {
		spans[i].sgr = strings.Trim(spans[i].sgr+";"+sgr, ";")
	}
	return spans
}

// Paint shows s in the style sgr, if the terminal has colours.
func (o Options) Paint(s, sgr string) string {
	if !o.Color || sgr == "" || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

// barColour is the colour of an attachment, such as "#a30200", for ANSI; grey if it is none.
func barColour(hex string) string {
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	if err != nil || len(hex) != 7 {
		n = 0xdddddd
	}
	return fmt.Sprintf("38;2;%d;%d;%d", n>>16, n>>8&255, n&255)
}

// line writes one line after the bar; spans of one style are painted in one go.
func (p *drawing) line(spans []span) {
	var b strings.Builder
	for i := 0; i < len(spans); {
		run := spans[i]
		for i++; i < len(spans) && spans[i].sgr == run.sgr; i++ {
			run.text += spans[i].text
		}
		b.WriteString(p.Paint(run.text, run.sgr))
	}
	p.out.WriteString(p.bar + strings.TrimRight(b.String(), " ") + "\n")
}

// para writes spans broken at spaces, and at line feeds.
func (p *drawing) para(spans []span) {
	var now []span
	used := 0
	for _, s := range spans {
		for i, part := range strings.Split(s.text, "\n") {
			if i > 0 {
				p.line(now)
				now, used = nil, 0
			}
			for _, word := range strings.SplitAfter(part, " ") {
				n := columns(strings.TrimRight(word, " "))
				if used > 0 && used+n > p.room() {
					p.line(now)
					now, used = nil, 0
				}
				now = append(now, span{word, s.sgr})
				used += columns(word)
			}
		}
	}
	if used > 0 {
		p.line(now)
	}
}

// verbatim writes spans line by line, broken only where the width ends.
func (p *drawing) verbatim(spans []span, indent string) {
	now, used := []span{{indent, ""}}, len(indent)
	for _, s := range spans {
		start := 0
		for i, r := range s.text {
			n := columns(string(r))
			if r != '\n' && used+n <= p.room() {
				used += n
				continue
			}
			p.line(append(now, span{s.text[start:i], s.sgr}))
			now, used, start = []span{{indent, ""}}, len(indent), i
			if r == '\n' {
				start++
			} else {
				used += n
			}
		}
		now = append(now, span{s.text[start:], s.sgr})
	}
	p.line(now)
}

func (p *drawing) room() int {
	if p.bar != "" {
		return p.Width - 2
	}
	return p.Width
}

// columns is how wide s is on a terminal: East Asian characters and emoji take two, combining marks none.
func columns(s string) (n int) {
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
			r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 ||
			r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd):
			n += 2
		default:
			n++
		}
	}
	return n
}
