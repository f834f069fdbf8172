package notifier

import (
	"regexp"
	"strings"

	"clbwatch/internal/watch"
)

var dateMarks = regexp.MustCompile(`<!date\^[^|>]*\|([^>]*)>`)

// Text is an alert for a terminal: the plain form of its message, with times in UTC and without Slack's escapes. Names
// are as clean as in the message: they cannot drive the terminal.
func Text(a watch.Alert) string {
	_, text, _ := strings.Cut(AlertMessage(a, Style{}).Plain, ": ") // the emoji
	text = dateMarks.ReplaceAllString(text, "$1")
	lines := strings.Split(strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text), "\n")
	for i, l := range lines {
		if i > 1 && l != "" && !strings.HasPrefix(l, "• ") { // below the title and its context: a row
			lines[i] = "  " + l
		}
	}
	return strings.Join(lines, "\n")
}
