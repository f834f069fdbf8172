// Package check runs probes and says of each what works, what does not, and what to do about it. It decides
// nothing and mends nothing.
package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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

	of, cause string // Wrong, divided: of what of several, and why
}

// Run runs probes one after another, writes a line or more for each as it is done, or all of them as JSON in
// the end, and reports whether clbwatch has what it needs. The JSON has errors whole. Else an error that was
// written before, or is a part of another, is not written again, and lines of errors are cut to so many
// columns; 0: not at all.
func Run(ctx context.Context, w io.Writer, probes []Probe, asJSON bool, columns int) (well bool, err error) {
	well = true
	t := table{w: w, width: text.Width{Columns: columns}}
	results := make([]Result, 0, len(probes))
	for _, p := range probes {
		found, err := p.Run(ctx)
		r := Result{Name: p.Name, OK: err == nil, Found: found, Optional: p.Optional}
		if err != nil {
			r.Found, r.Wrong, r.Do = "", err.Error(), advice.Of(err)
			r.cause = r.Wrong
			if a := (about{}); errors.As(err, &a) {
				r.of, r.cause = a.of, a.err.Error()
			}
			r.Optional = p.Optional || errors.As(err, new(Dispensable))
			well = well && r.Optional
		}
		results = append(results, r)
		if !asJSON {
			if err := t.write(r); err != nil {
				return well, err
			}
		}
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return well, e.Encode(results)
	}
	if t.width.Cut {
		_, err = fmt.Fprintln(w, text.IsCut)
	}
	return well, err
}

// table writes results as text.
type table struct {
	w     io.Writer
	width text.Width
	said  []Result // that were wrong
}

// margin is how many columns are before what a result says.
const margin = 22

func (t *table) write(r Result) error {
	verdict, lines, do := "ok", []string{r.Found}, r.Do
	if !r.OK {
		wrong := t.refer(r.Wrong)
		verdict, lines = "WRONG", strings.Split(wrong, "\n")
		if r.Optional {
			verdict = "note"
		}
		if wrong != r.Wrong && slices.ContainsFunc(t.said, func(s Result) bool { return s.Do == do }) {
			do = ""
		}
		t.said = append(t.said, r)
		for i := range lines {
			lines[i] = t.width.Fit(text.Printable(lines[i]), margin)
		}
	}
	if do != "" {
		lines = append(lines, "→ "+do)
	}
	for i, l := range lines {
		if i > 0 {
			verdict, r.Name = "", ""
		}
		if _, err := fmt.Fprintf(t.w, "%-6s %-14s %s\n", verdict, r.Name, text.Printable(l)); err != nil {
			return err
		}
	}
	return nil
}

// refer is an error in which what was said before of other probes is their names.
func (t *table) refer(wrong string) string {
	said := slices.Clone(t.said)
	slices.SortStableFunc(said, func(a, b Result) int { return cmp.Compare(len(b.cause), len(a.cause)) })
	for _, s := range said {
		if len(s.cause) < minSaid {
			continue
		}
		see := "see " + cmp.Or(s.of, s.Name) + " above"
		if nameless := advice.Nameless(s.cause); strings.Contains(advice.Nameless(wrong), nameless) {
			wrong = strings.ReplaceAll(advice.Nameless(wrong), nameless, see)
		}
	}
	return wrong
}

// minSaid is how long an error is that it is worth a reference to.
const minSaid = 30

// about is an error, and of what of several.
type about struct {
	of  string
	err error
}

func (a about) Error() string { return a.of + ": " + a.err.Error() }
func (a about) Unwrap() error { return a.err }
