// Package stories has stories, as package story reads them, with the number of messages that each may take,
// and what is true of their load balancers minute by minute. It knows nothing of how that is reported:
// whoever plays a story counts what came of it and holds it against this.
package stories

import (
	"embed"
	"fmt"
	"strings"

	"clbwatch/internal/story"
)

//go:embed *.jsonl
var files embed.FS

// All are the stories, by name.
func All() ([]story.Story, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	all := make([]story.Story, len(entries))
	for i, e := range entries {
		f, err := files.Open(e.Name())
		if err != nil {
			return nil, err
		}
		all[i], err = story.Read(f)
		_ = f.Close() // only read
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		if want := strings.TrimSuffix(e.Name(), ".jsonl"); all[i].Name != want {
			return nil, fmt.Errorf("%s: its name is %q, not that of the file", e.Name(), all[i].Name)
		}
		if all[i].Bot == nil || all[i].Webhook == nil {
			return nil, fmt.Errorf("%s: it has no bounds", e.Name())
		}
	}
	return all, nil
}
