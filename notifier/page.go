package notifier

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/slack-go/slack"

	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// Limits of one message. Slack's own are higher and partly unpublished.
const (
	maxBytes  = 11_000 // JSON of blocks and attachments
	maxBlocks = 45     // Slack takes 50
	maxPlain  = 3800   // bytes of UTF-8; Slack cuts or refuses text from 4,000 on
)

// console is where a person looks after load balancers.
const console = "https://console.cloud.tencent.com/clb"

// Message is one message in the two forms it can be posted in.
type Message struct {
	Text       string           // what a notification shows and a screen reader reads: mrkdwn, one line
	Blocks     []slack.Block    // the title and its context
	Attachment slack.Attachment // the details behind a coloured bar
	Plain      string           // all of it as mrkdwn, for when Slack refuses the blocks; at most 3,800 bytes
	Broadcast  bool             // a reply that must be seen in the channel too
}

func (m Message) webhook() *slack.WebhookMessage {
	w := textMessage(m.Text)
	w.Blocks = &slack.Blocks{BlockSet: m.Blocks}
	w.Attachments = []slack.Attachment{m.Attachment}
	return w
}

func (m Message) textOnly() *slack.WebhookMessage { return textMessage(m.Plain) }

func textMessage(text string) *slack.WebhookMessage {
	off := false
	return &slack.WebhookMessage{Text: text, UnfurlLinks: &off, UnfurlMedia: &off}
}

// fits reports whether Slack takes the message.
func (m Message) fits() bool {
	b, err := json.Marshal(struct {
		Blocks      []slack.Block      `json:"blocks"`
		Attachments []slack.Attachment `json:"attachments"`
	}{m.Blocks, []slack.Attachment{m.Attachment}})
	return err == nil && len(b) <= maxBytes && len(m.Blocks)+len(m.Attachment.Blocks.BlockSet) <= maxBlocks
}

// page is a message before it is put into Slack's terms. Only context is mrkdwn and must be made of safe parts; title
// and details become rich text, in which Slack parses nothing, so names in them need no escaping.
type page struct {
	look
	title   string
	url     string   // behind the title
	context []string // mrkdwn
	named   string   // added to the title where only text is shown
	struck  bool     // the title is over
	after   string   // what follows the title
	mention string   // see Style
}

// block is one block of details; part is a line of it or, if pre is set, preformatted text.
type block []part

type part struct {
	line []span
	pre  string
}

// span is a piece of a line: text or, if at is set, a time that Slack shows in the reader's zone.
type span struct {
	text       string
	url        string
	bold, code bool
	at         time.Time
	format     string // of at
}

func line(spans ...span) part { return part{line: spans} }
func pre(lines []string) part { return part{pre: strings.Join(lines, "\n")} }
func words(s string) span     { return span{text: s} }
func bold(s string) span      { return span{text: s, bold: true} }
func date(t time.Time) span   { return span{text: utc(t), at: t, format: dateFormat} }
func clock(t time.Time) span  { return span{text: t.UTC().Format("15:04 UTC"), at: t, format: "{time}"} }
func utc(t time.Time) string  { return t.UTC().Format("2006-01-02 15:04 UTC") }
func dateMark(t time.Time) string {
	return fmt.Sprintf("<!date^%d^%s|%s>", t.Unix(), dateFormat, utc(t))
}

// dateFormat is the form of a time for each reader: "today 12:53" where that is true, in the zone of the reader.
const dateFormat = "{date_short_pretty} {time}"

// named begins a line about a load balancer: its name, which leads to the console, and its id.
func named(c lb.CLB) []span {
	name := span{text: report.Name(c), url: consoleURL(c), bold: true}
	id := text.Clean(c.ID, 28)
	if id == "" || id == name.text {
		return []span{name}
	}
	return []span{name, words("  "), {text: id, code: true}}
}

// message puts the page into Slack's terms, with as much detail as fits.
func (p page) message(details func(room) []block) Message {
	var m Message
	for _, r := range rooms() {
		if m = p.render(details(r)); m.fits() {
			break
		}
	}
	return m
}

func (p page) render(details []block) Message {
	short := p.title
	if p.named != "" {
		short += " (" + p.named + ")"
	}
	if p.after != "" {
		short += " · " + p.after
	}
	m := Message{Text: ":" + p.emoji + ": " + inert(short)}
	title := slack.NewRichTextSection(
		slack.NewRichTextSectionEmojiElement(p.emoji, 0, nil),
		slack.NewRichTextSectionTextElement(" ", nil),
		slack.NewRichTextSectionLinkElement(p.url, p.title, &slack.RichTextSectionTextStyle{Bold: true, Strike: p.struck}))
	if p.after != "" {
		title.Elements = append(title.Elements, slack.NewRichTextSectionTextElement("  ·  "+p.after, &slack.RichTextSectionTextStyle{Bold: true}))
	}
	if p.mention != "" {
		element, mark := mentioned(p.mention)
		title.Elements = append(title.Elements, slack.NewRichTextSectionTextElement("  ", nil), element)
		m.Text += " " + mark
	}
	context := strings.Join(nonEmpty(p.context), "  ·  ")
	m.Blocks = []slack.Block{
		slack.NewRichTextBlock("", title),
		slack.NewContextBlock("", slack.NewTextBlockObject(slack.MarkdownType, context, false, true)),
	}
	m.Attachment = slack.Attachment{Color: p.color, Fallback: m.Text}
	for _, b := range details {
		m.Attachment.Blocks.BlockSet = append(m.Attachment.Blocks.BlockSet, b.rich())
	}
	m.Plain = plain(m.Text+"\n"+context, details)
	return m
}

// mentioned is a mention in both of Slack's forms.
func mentioned(who string) (element slack.RichTextSectionElement, mrkdwn string) {
	switch {
	case strings.HasPrefix(who, "S"):
		return slack.NewRichTextSectionUserGroupElement(who), "<!subteam^" + token(who) + ">"
	case strings.HasPrefix(who, "U"), strings.HasPrefix(who, "W"):
		return slack.NewRichTextSectionUserElement(who, nil), "<@" + token(who) + ">"
	}
	return slack.NewRichTextSectionBroadcastElement(who), "<!" + token(who) + ">"
}

func (b block) rich() slack.Block {
	var elements []slack.RichTextElement
	var section *slack.RichTextSection // the one that lines are added to
	for _, p := range b {
		if p.pre != "" {
			section = nil
			elements = append(elements, &slack.RichTextPreformatted{Type: slack.RTEPreformatted,
				Elements: []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(p.pre, nil)}})
			continue
		}
		if section == nil {
			section = slack.NewRichTextSection()
			elements = append(elements, section)
		} else {
			section.Elements = append(section.Elements, slack.NewRichTextSectionTextElement("\n", nil))
		}
		for _, s := range p.line {
			section.Elements = append(section.Elements, s.rich())
		}
	}
	return slack.NewRichTextBlock("", elements...)
}

func (s span) rich() slack.RichTextSectionElement {
	var style *slack.RichTextSectionTextStyle
	if s.bold || s.code {
		style = &slack.RichTextSectionTextStyle{Bold: s.bold, Code: s.code}
	}
	switch {
	case !s.at.IsZero():
		return slack.NewRichTextSectionDateElement(s.at.Unix(), s.format, nil, &s.text)
	case s.url != "":
		return slack.NewRichTextSectionLinkElement(s.url, s.text, style)
	default:
		return slack.NewRichTextSectionTextElement(s.text, style)
	}
}

// plain is the message as mrkdwn, with whole lines only; what does not fit is counted.
func plain(head string, details []block) string {
	var lines []string
	for _, b := range details {
		lines = append(lines, "")
		for _, p := range b {
			if p.pre != "" {
				lines = append(lines, strings.Split(p.pre, "\n")...)
				continue
			}
			var l strings.Builder
			for _, s := range p.line {
				l.WriteString(s.text)
			}
			lines = append(lines, "• "+l.String())
		}
	}
	const room = maxPlain - len("\n… and 1234567890 more lines")
	for i, l := range lines {
		l = inert(l)
		if len(head)+1+len(l) > room {
			return head + fmt.Sprintf("\n… and %s", text.Plural(len(lines)-i, "more line"))
		}
		head += "\n" + l
	}
	return head
}

// inert makes text safe where Slack parses mrkdwn: &, < and > are escaped, which stops links and mentions, and what
// would be formatting, an emoji or a bare link becomes the full-width twin of its character.
func inert(s string) string {
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
			r == ':' && at(i+1) != ' ' && !clockColon(at(i-1), at(i+1), at(i+2), at(i+3)) && !portColon(rs, i),
			r == '.' && !unicode.IsDigit(at(i+1)) && at(i+1) != ' ': // "evil.example" becomes a link, 10.0.3.17 does not
			b.WriteRune(r + '＊' - '*')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clockColon reports whether a colon between these is that of a time, such as 04:53. No two of them can make an emoji.
func clockColon(before, tens, ones, after rune) bool {
	return unicode.IsDigit(before) && unicode.IsDigit(tens) && unicode.IsDigit(ones) && !unicode.IsDigit(after) && after != ':'
}

// portColon reports whether the colon at i is that of a listener, such as HTTPS:443, that stands alone: no emoji begins or
// ends there.
func portColon(rs []rune, i int) bool {
	const before, after = " (", " ),"
	from, to := i, i+1
	for from > 0 && (unicode.IsUpper(rs[from-1]) && rs[from-1] < unicode.MaxASCII || rs[from-1] == '_') {
		from--
	}
	for to < len(rs) && unicode.IsDigit(rs[to]) {
		to++
	}
	return from < i && (from == 0 || strings.ContainsRune(before, rs[from-1])) && to > i+1 && (to == len(rs) || strings.ContainsRune(after, rs[to]))
}

// wordy reports whether r is an ASCII letter or digit.
func wordy(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// token keeps of s what means nothing to mrkdwn: ASCII letters, digits and hyphens, at most 64 of them. It is for
// identifiers, which have no others.
func token(s string) string {
	s = strings.Map(func(r rune) rune {
		if wordy(r) || r == '-' {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 64)]
}

func nonEmpty(s []string) []string {
	var out []string
	for _, x := range s {
		if x != "" {
			out = append(out, x)
		}
	}
	return out
}

// consoleURL is where the load balancer is found in the console.
func consoleURL(c lb.CLB) string {
	rid := regionNumber(c.Region)
	id := text.Clean(c.ID, 48)
	if rid == 0 || id == "" || report.IsRegion(c) {
		return console
	}
	return fmt.Sprintf("%s/detail?rid=%d&id=%s", console, rid, url.QueryEscape(id))
}

// regionNumber is the console's number for a region; 0 if it is not known here.
func regionNumber(region string) int {
	switch region {
	case "ap-guangzhou":
		return 1
	case "ap-shanghai":
		return 4
	case "ap-hongkong":
		return 5
	case "ap-beijing":
		return 8
	case "ap-singapore":
		return 9
	case "na-siliconvalley":
		return 15
	case "ap-chengdu":
		return 16
	case "eu-frankfurt":
		return 17
	case "ap-seoul":
		return 18
	case "ap-chongqing":
		return 19
	case "na-ashburn":
		return 22
	case "ap-bangkok":
		return 23
	case "ap-tokyo":
		return 25
	case "ap-nanjing":
		return 33
	}
	return 0
}
