package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"clbwatch/internal/sandbox"
)

// TestCraftedSnapshotIsRefused: whoever can write the state takes neither the memory nor the life of the
// function with a snapshot that has the right name: it is an error, and no news.
func TestCraftedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	const index = `{"schema":1,"clbs":{}}` + "\n"
	// as much as the function has, in a few kB
	endless := slices.Repeat([]string{strings.Repeat("x", 1<<20)}, 128)
	for name, tt := range map[string]struct {
		text []string
		want string
	}{
		"an index without end": {endless, "more than 67108864 bytes"},
		"a line without end": {append([]string{index, `{"key":"`}, endless...),
			"more than 67108864 bytes"},
		"a count that is no number": {[]string{`{"schema":1,"clbs":{"a/b":{"backends":1e99}}}`, "\n"},
			"1e99"},
		"an index of a million lists": {[]string{strings.Repeat("[", 1<<20), "\n"}, "depth"},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: each takes what memory it is allowed
			l := newLab(t, inCOS)
			f := l.start()
			l.tick(f)
			l.end(f)
			l.forge(func(head map[string]any) { head["snapshot"] = l.pack(tt.text) })
			f = l.start()
			for range 2 {
				if sum, err := l.try(f); err == nil || !strings.Contains(err.Error(), "snapshot") ||
					!strings.Contains(err.Error(), tt.want) {
					t.Errorf("tick = %+v, %v, want an error about the snapshot: %s", sum, err, tt.want)
				}
			}
			if got := l.news(); len(got) > 0 {
				t.Errorf("posted %q, want no news", got)
			}
			if got := l.troubles(); len(got) != 1 || !strings.Contains(got[0], "snapshot") {
				t.Errorf("posted %q, want once that it cannot work, and why", got)
			}
		})
	}
}

// pack stores a snapshot with a name that fits, as somebody else might, and returns what a head calls it.
func (l *lab) pack(text []string) map[string]any {
	l.t.Helper()
	var stored bytes.Buffer
	z, err := zstd.NewWriter(&stored, zstd.WithWindowSize(1<<20))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, s := range text {
		if _, err := io.WriteString(z, s); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		l.t.Fatal(err)
	}
	sum := sha256.Sum256(stored.Bytes())
	name := hex.EncodeToString(sum[:])
	l.put("snap/"+name+"-X.zst", stored.Bytes())
	return map[string]any{"sha256": name, "tag": "X", "bytes": stored.Len()}
}

// TestForgedIncidentIsInert: whoever can write the state can make the function post what is not so, and
// nothing in it is markup.
func TestForgedIncidentIsInert(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		l.cloud.SetStatus("ins-web-1", 4)
		l.tick(f)
		hostile := "<!channel> <@U024BE7LH> <https://evil.example|x>\u202e\x00" + strings.Repeat("<", 5000)
		id := hostile
		if in == byBot {
			// a bot's metadata has it, which nobody is shown, and the sandbox takes no mention anywhere
			id = "9"
		}
		now := time.Now().UTC().Format(time.RFC3339)
		l.forge(func(head map[string]any) {
			incidents := head["incidents"].(map[string]any)
			incidents["reasons"] = []any{map[string]any{"why": hostile, "do": hostile}}
			tags := 0
			root := func(incident map[string]any) map[string]any {
				old := incidents["roots"].([]any)[len(incidents["roots"].([]any))-1].(map[string]any)
				root := maps.Clone(old)
				incident["id"], incident["k"], incident["l"], incident["n"], incident["t"] = id,
					hostile+"/"+hostile, hostile, hostile, now
				root["incidents"], root["made"], root["rev"], root["news"], root["newsAt"] = []any{incident},
					now, 1, 1, now
				incident["rev"], incident["v"] = 1, 1 // the latter where something cannot be read
				tags++
				root["tag"] = fmt.Sprint("FORGED", tags)
				root["delivery"] = map[string]any{"route": old["delivery"].(map[string]any)["route"]}
				return root
			}
			machine := map[string]any{"id": hostile, "n": hostile, "ip": hostile, "y": hostile, "s": 4,
				"b": 1, "w": 2, "f": now, "t": now, "x": 1 << 60, "at": now}
			incidents["roots"] = []any{
				root(map[string]any{"machines": []any{machine}, "emptied": []any{hostile},
					"counts": map[string]any{"leftRunning": 1 << 60}, "level": 3}),
				root(map[string]any{"a": "reading", "w": 1, "level": 1}),
				root(map[string]any{"a": "watching", "end": "notice", "closed": now,
					"baseline": map[string]any{"clbs": 1 << 60, "backends": -1, "running": 7,
						"worst": []any{map[string]any{"clb": map[string]any{"region": hostile, "id": hostile,
							"label": hostile}, "now": map[string]any{}}}}}),
			}
		})
		f = l.start()
		l.settle(f)
		posts := l.slack.Channel()[2:]
		if len(posts) < 3 || len(l.slack.Refused()) > 0 {
			t.Fatalf("%d messages, want 3 at least; refused: %q", len(posts), l.slack.Refused())
		}
		for _, p := range posts {
			var v any
			if err := json.Unmarshal(p.Raw, &v); err != nil {
				t.Fatal(err)
			}
			for _, s := range markup(v) {
				if strings.ContainsAny(s, "\u202e\x00") || strings.Contains(s, "<!channel") ||
					strings.Contains(s, "<@U") || strings.Contains(s, "<http") {
					t.Errorf("markup that Slack parses has something forged in it: %.200q", s)
				}
			}
		}
		l.cloud.SetStatus("ins-web-2", 4)
		before := len(l.told())
		l.settle(f)
		if got := l.told()[before:]; !same(got, []string{"web-2 stopped"}) {
			t.Errorf("after that, posted %q, want what happened", got)
		}
	})
}

// forge changes the newest head, and gives it a checksum that is right.
func (l *lab) forge(change func(head map[string]any)) {
	l.t.Helper()
	key := l.objects("head/")[0]
	line, _, _ := bytes.Cut(l.content(key), []byte("\n"))
	var head map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&head); err != nil {
		l.t.Fatal(err)
	}
	change(head)
	text, err := json.Marshal(head)
	if err != nil {
		l.t.Fatal(err)
	}
	l.put(key, sandbox.Seal(text))
}
