package message

import (
	"regexp"
	"strings"

	"clbwatch/internal/incident"
)

var dateMarks = regexp.MustCompile(`<!date\^[^|>]*\|([^>]*)>`)

// Text is a message for a terminal: its plain form, without Slack's escapes. Names are as clean as in the
// message: they cannot drive the terminal.
func Text(doc incident.Document, call incident.Call, s Style) string {
	m := Of(doc, call, s)
	text := m.Plain
	if text == "" {
		text = m.Text
	}
	text = dateMarks.ReplaceAllString(text, "$1")
	text = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
	return strings.TrimSpace(text)
}
