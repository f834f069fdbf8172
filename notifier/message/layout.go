package message

import (
	"strings"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/text"
)

// page is a message before it is put into Slack's terms. Title and details become rich text, in which Slack
// parses nothing, so names in them need no escaping; the context and what is text only are escaped.
type page struct {
	look
	title   string
	url     string // behind the title
	struck  bool   // the title is over
	after   line   // what follows the title
	leads   bool   // after comes first
	note    string // added where only text is shown: the context has it too
	context []line
	mention string      // see Style
	buttons slack.Block // the first of the details: Slack folds the end of what is long; nil for none
	style   Style
}

// look is the emoji and the colour of a message: they tell the state before a word is read.
type look struct{ emoji, color string }

// block is one block of details; part is a line of it or, if rows is set, preformatted rows.
type block []part

type part struct {
	line line
	rows []line
}

// line is what is shown on one line, as far as there is room.
type line []span

// span is a piece of a line: text, a time that Slack shows in the reader's zone, a user or, in the context
// only, a channel.
type span struct {
	text       string
	url        string
	bold, code bool
	at         time.Time
	format     string // of at
	channel    string // its ID
	user       string // the user's ID; text is the same
}

func lineOf(spans ...span) part { return part{line: spans} }
func words(s string) span       { return span{text: s} }
func bold(s string) span        { return span{text: s, bold: true} }

// pre are preformatted rows without links.
func pre(lines []string) part {
	rows := make([]line, 0, len(lines))
	for _, l := range lines {
		rows = append(rows, line{words(l)})
	}
	return part{rows: rows}
}

// aligned are preformatted rows whose spans are columns, two spaces apart.
func aligned(rows []line) part {
	const widest = 28 // a cell beyond it pushes only its own row
	var widths []int
	for _, row := range rows {
		for i, s := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(text.Cells(s.text), widest))
		}
	}
	out := make([]line, 0, len(rows))
	for _, row := range rows {
		var l line
		pad := ""
		for i, s := range row {
			if widths[i] == 0 {
				continue
			}
			if s.text != "" {
				if pad != "" {
					l = append(l, words(pad))
				}
				l, pad = append(l, s), ""
			}
			pad += strings.Repeat(" ", max(widths[i]-text.Cells(s.text), 0)+2)
		}
		out = append(out, l)
	}
	return part{rows: out}
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
	m := Message{Text: p.headline(line.mrkdwn)}
	title := slack.NewRichTextSection(
		slack.NewRichTextSectionEmojiElement(p.emoji, 0, nil),
		slack.NewRichTextSectionTextElement(" ", nil))
	style := slack.RichTextSectionTextStyle{Bold: true, Strike: p.struck}
	add := func(es ...slack.RichTextSectionElement) { title.Elements = append(title.Elements, es...) }
	link := slack.NewRichTextSectionLinkElement(p.url, p.title, &style)
	switch {
	case len(p.after) == 0:
		add(link)
	case p.leads:
		add(p.after.capital().heavy()...)
		add(words(": ").rich(), link)
	default:
		add(link, words("  ·  ").rich())
		add(p.after.heavy()...)
	}
	if p.mention != "" {
		element, mark := mentioned(p.mention)
		add(words("  ").rich(), element)
		m.Text += " " + mark
	}
	m.Blocks = []slack.Block{slack.NewRichTextBlock("", title)}
	if context := joined(p.context, line.verbatim); context != "" {
		text := slack.NewTextBlockObject(slack.MarkdownType, context, false, true)
		m.Blocks = append(m.Blocks, slack.NewContextBlock("", text))
	}
	m.Attachment = slack.Attachment{Color: p.color, Fallback: m.Text}
	if p.buttons != nil {
		m.Attachment.Blocks.BlockSet = append(m.Attachment.Blocks.BlockSet, p.buttons)
	}
	for _, b := range details {
		m.Attachment.Blocks.BlockSet = append(m.Attachment.Blocks.BlockSet, b.rich())
	}
	if len(m.Attachment.Blocks.BlockSet) == 0 { // an attachment without blocks is refused
		m.Attachment = slack.Attachment{}
	}
	m.Plain = p.plain(details)
	return m
}

// headline is the title as text: how it ended comes first, because a struck title cannot be heard.
func (p page) headline(as func(line) string) string {
	s := as(line{words(p.title)})
	if len(p.after) > 0 && (p.struck || p.leads) {
		s = as(p.after.capital()) + ": " + s
	} else if len(p.after) > 0 {
		s += " · " + as(p.after)
	}
	if p.note != "" {
		s += " (" + p.note + ")"
	}
	return ":" + p.emoji + ": " + s
}

// capital is the line as the beginning of a sentence.
func (l line) capital() line {
	l = append(line(nil), l...)
	l[0].text = strings.ToUpper(l[0].text[:1]) + l[0].text[1:]
	return l
}

// heavy is the line in bold.
func (l line) heavy() (elements []slack.RichTextSectionElement) {
	for _, s := range l {
		s.bold = true
		elements = append(elements, s.rich())
	}
	return elements
}

// joined are lines in one, with narrow gaps: it is small print, and a phone's line is short.
func joined(lines []line, as func(line) string) string {
	var all []string
	for _, l := range lines {
		if s := as(l); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, " · ")
}

func nonEmpty(all []string) (some []string) {
	for _, s := range all {
		if s != "" {
			some = append(some, s)
		}
	}
	return some
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
	var lines line // of the section that lines are added to
	flush := func() {
		if lines != nil {
			elements = append(elements, slack.NewRichTextSection(lines.rich()...))
			lines = nil
		}
	}
	for _, p := range b {
		if p.rows != nil {
			flush()
			rows := &slack.RichTextPreformatted{Type: slack.RTEPreformatted, Elements: preformatted(p.rows)}
			elements = append(elements, rows)
			continue
		}
		if lines != nil {
			lines = append(lines, words("\n"))
		}
		lines = append(lines, p.line...)
	}
	flush()
	return slack.NewRichTextBlock("", elements...)
}

// rich is the line in Slack's terms. Neighbours without a style become one: each element costs 30 bytes.
func (l line) rich() (elements []slack.RichTextSectionElement) {
	run := ""
	flush := func() {
		if run != "" {
			elements = append(elements, slack.NewRichTextSectionTextElement(run, nil))
			run = ""
		}
	}
	for _, s := range l {
		if !s.bold && !s.code && s.at.IsZero() && s.url == "" && s.user == "" {
			run += s.text
			continue
		}
		flush()
		elements = append(elements, s.rich())
	}
	flush()
	return elements
}

// preformatted are rows as one run of text and links. Nothing else may be in it.
func preformatted(rows []line) (elements []slack.RichTextSectionElement) {
	var run strings.Builder
	flush := func() {
		if run.Len() > 0 {
			elements = append(elements, slack.NewRichTextSectionTextElement(run.String(), nil))
			run.Reset()
		}
	}
	for i, row := range rows {
		if i > 0 {
			run.WriteByte('\n')
		}
		for _, s := range row {
			if s.url == "" {
				run.WriteString(s.text)
				continue
			}
			flush()
			elements = append(elements, slack.NewRichTextSectionLinkElement(s.url, s.text, nil))
		}
	}
	flush()
	return elements
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
	case s.user != "":
		return slack.NewRichTextSectionUserElement(s.user, style)
	default:
		return slack.NewRichTextSectionTextElement(s.text, style)
	}
}
