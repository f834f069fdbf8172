package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/text"
)

// Past is one incident as the history has it.
type Past struct {
	ID    string    `json:"incident"`
	CLB   lb.CLB    `json:"loadBalancer"`
	About string    `json:"about"` // "backends", "reading", "health" or "list"
	Began time.Time `json:"began"`
	// of one that goes on, Ended is left out, and End is "open"
	Ended time.Time `json:"ended,omitzero"`
	End   string    `json:"end"`
	Level string    `json:"level"` // at worst: "ok", "impaired", "degraded" or "down"
	// of backends: when it began, and when the fewest ran
	Before *lb.Capacity `json:"before,omitempty"`
	Worst  *lb.Capacity `json:"worst,omitempty"`
	Counts lb.Counts    `json:"changes"`
	// of all incidents in its message, which goes by the number in Message, if that is not its own
	Messages     int    `json:"messages"`
	Message      string `json:"message,omitempty"`
	Acknowledged string `json:"acknowledgedBy,omitempty"` // untrusted text
	Undelivered  string `json:"undelivered,omitempty"`    // why its news was not, or perhaps not, delivered
}

// PastOf is an incident in a record of the history; false if that is a notice, or no incident.
func PastOf(r incident.Record) (Past, bool) {
	c := r.Closed
	if c == nil || c.About.Notice() {
		return Past{}, false
	}
	p := Past{
		ID: r.Incident, CLB: r.CLB, About: string(c.About), Began: c.Began, Ended: c.Ended, End: string(c.End),
		Level: c.Level.String(), Counts: c.Counts, Messages: c.Messages, Message: c.Root,
		Acknowledged: c.By, Undelivered: c.Undelivered,
	}
	if p.End == "" {
		p.End = "open"
	}
	if c.About == incident.Backends {
		p.About, p.Before, p.Worst = "backends", &c.Before, &c.Worst
	}
	return p, true
}

// Lines are the incident for a terminal: when, where, what, how long and how bad; then what else there is to
// say, if anything. now is how long one lasts that goes on.
func (p Past) Lines(now time.Time, zone *time.Location) []string {
	ended := p.Ended
	if ended.IsZero() {
		ended = now
	}
	head := []string{
		p.Began.In(zone).Format("2006-01-02 15:04 MST"), "incident " + text.Clean(p.ID, maxName),
		Name(p.CLB), p.says(), pastEnds[p.End] + " " + text.Duration(ended.Sub(p.Began)),
	}
	lines := []string{strings.Join(head, "  ")}
	add := func(format string, args ...any) { lines = append(lines, "  "+fmt.Sprintf(format, args...)) }
	if by := text.Clean(p.Acknowledged, incident.MaxSilenceText); by != "" {
		add("acknowledged by %s", by)
	}
	if why := text.Clean(p.Undelivered, maxWhy); why != "" {
		add("not delivered: %s", why)
	}
	return lines
}

// pastEnds are how an incident ended, before how long it took.
var pastEnds = map[string]string{
	"open": "open for", string(incident.EndResolved): "resolved after", string(incident.EndOver): "over after",
	string(incident.EndAbandoned): "left as it is after", string(incident.EndDeleted): "deleted after",
	string(incident.EndDropped): "not watched any more after",
}

// says is what happened, and how bad it was.
func (p Past) says() string {
	if p.About != "backends" {
		what := map[string]string{"reading": "", "health": "the health of ", "list": "a search: "}[p.About]
		return what + "cannot be read"
	}
	says := Counted(p.Counts)
	if p.Level == incident.Degraded.String() || p.Level == incident.Down.String() {
		says = strings.TrimPrefix(p.Level+", "+says, ", ")
	}
	if p.Worst != nil && p.Worst.Running < p.Before.Running {
		says += fmt.Sprintf(", at worst %d of %d running", p.Worst.Running, p.Worst.Total)
	}
	if p.Message != "" {
		return says + ", in the message of incident " + text.Clean(p.Message, maxName)
	}
	return fmt.Sprintf("%s, %s", says, text.Plural(p.Messages, "message"))
}

// Counted is changes in words, the worst kind first: "3 stopped, 1 removed".
func Counted(c lb.Counts) string {
	kinds := make([]lb.Kind, 0, len(lb.Rank))
	for k := range lb.Rank {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b lb.Kind) int { return lb.Rank[a] - lb.Rank[b] })
	var says []string
	for _, k := range kinds {
		if n := c.Of(k); n != nil && *n > 0 {
			says = append(says, fmt.Sprintf("%d %s", *n, Happened(k)))
		}
	}
	return strings.Join(says, ", ")
}
