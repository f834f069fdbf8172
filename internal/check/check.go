// Package check runs probes and says of each what works, what does not, and what to do about it. It decides
// nothing and mends nothing.
package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"clbwatch/internal/advice"
	"clbwatch/internal/text"
)

// Probe looks at one thing that clbwatch needs.
type Probe struct {
	Name string
	// Run returns what was found, in a few words. Its error may come with advice (package advice).
	Run func(ctx context.Context) (string, error)
	// Optional: clbwatch does its job without it.
	Optional bool
}

// Dispensable is the error of a probe without which clbwatch does its job.
type Dispensable struct{ Err error }

// Error is that of the error itself.
func (d Dispensable) Error() string { return d.Err.Error() }

// Unwrap returns it.
func (d Dispensable) Unwrap() error { return d.Err }

// Result is what came of a probe.
type Result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Found string `json:"found,omitempty"` // if OK
	Wrong string `json:"wrong,omitempty"` // if not
	Do    string `json:"do,omitempty"`    // what a person can do about it
	// Optional: clbwatch does its job all the same.
	Optional bool `json:"optional,omitempty"`
}

// Run runs probes one after another, writes a line or more for each as it is done, or all of them as JSON in
// the end, and reports whether clbwatch has what it needs.
func Run(ctx context.Context, w io.Writer, probes []Probe, asJSON bool) (well bool, err error) {
	well = true
	results := make([]Result, 0, len(probes))
	for _, p := range probes {
		found, err := p.Run(ctx)
		r := Result{Name: p.Name, OK: err == nil, Found: found, Optional: p.Optional}
		if err != nil {
			r.Found, r.Wrong, r.Do = "", err.Error(), advice.Of(err)
			r.Optional = p.Optional || errors.As(err, new(Dispensable))
			well = well && r.Optional
		}
		results = append(results, r)
		if !asJSON {
			if err := r.write(w); err != nil {
				return well, err
			}
		}
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return well, e.Encode(results)
	}
	return well, nil
}

func (r Result) write(w io.Writer) error {
	verdict, lines := "ok", []string{r.Found}
	if !r.OK {
		verdict, lines = "WRONG", strings.Split(r.Wrong, "\n")
		if r.Optional {
			verdict = "note"
		}
	}
	if r.Do != "" {
		lines = append(lines, "→ "+r.Do)
	}
	for i, l := range lines {
		if i > 0 {
			verdict, r.Name = "", ""
		}
		if _, err := fmt.Fprintf(w, "%-6s %-14s %s\n", verdict, r.Name, text.Printable(l)); err != nil {
			return err
		}
	}
	return nil
}
