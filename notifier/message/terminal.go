package message

import (
	"strings"

	"clbwatch/internal/incident"
)

// Text is a message for a terminal: its plain form as it is, because nothing is parsed there. Names are as
// clean as in the message: they cannot drive the terminal.
func Text(doc incident.Document, call incident.Call, s Style) string {
	s.terminal = true
	m := Of(doc, call, s)
	if m.Plain != "" {
		return strings.TrimSpace(m.Plain)
	}
	return strings.TrimSpace(m.Text) // which has only words of our own
}
