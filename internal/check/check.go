// Package check runs probes and says of each what works, what does not, and what to do about it. It decides nothing and
// mends nothing.
package check

import (
	"context"
	"fmt"
	"io"
	"strings"

	"clbwatch/internal/watch"
)

// Probe looks at one thing that clbwatch needs.
type Probe struct {
	Name string
	// Run returns what was found, in a few words. Its error may come with advice (watch.Advise).
	Run func(ctx context.Context) (string, error)
}

// Run runs probes one after another, writes a line or more for each, and reports whether all is well.
func Run(ctx context.Context, w io.Writer, probes []Probe) bool {
	well := true
	for _, p := range probes {
		found, err := p.Run(ctx)
		if err == nil {
			line(w, "ok", p.Name, found)
			continue
		}
		well = false
		for _, l := range strings.Split(err.Error(), "\n") {
			line(w, "WRONG", p.Name, l)
		}
		if do := watch.Advice(err); do != "" {
			line(w, "", "", "→ "+do)
		}
	}
	return well
}

func line(w io.Writer, verdict, name, text string) {
	_, _ = fmt.Fprintf(w, "%-6s %-12s %s\n", verdict, name, Printable(text)) // a terminal that is gone cannot be told
}

// Printable is text from the cloud that cannot drive the terminal: without controls.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, s)
}
