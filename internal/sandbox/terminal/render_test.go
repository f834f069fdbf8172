package terminal

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestRender(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/render/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d messages, error %v", len(files), err)
	}
	for _, file := range files {
		for _, colour := range []bool{false, true} {
			golden := strings.TrimSuffix(file, ".json") +
				map[bool]string{false: ".txt", true: ".ansi"}[colour]
			t.Run(filepath.Base(golden), func(t *testing.T) {
				t.Parallel()
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if err := Render(&got, raw,
					Options{Color: colour, Width: 90, Location: time.FixedZone("", 8*3600)}); err != nil {
					t.Fatal(err)
				}
				if *update {
					if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("got\n%swant\n%s", got.String(), want)
				}
			})
		}
	}
}

func TestRenderRefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	if err := Render(&bytes.Buffer{}, []byte(`{"text":`), Options{}); err == nil {
		t.Error("half a message was drawn")
	}
}

var ownEscapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Whatever a message says, a terminal gets letters, line feeds and the colours of Render itself.
func FuzzRender(f *testing.F) {
	files, _ := filepath.Glob("testdata/render/*.json")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, colour := range []bool{false, true} {
			var out bytes.Buffer
			if err := Render(&out, json.RawMessage(raw), Options{Color: colour, Width: 40}); err != nil {
				return
			}
			text := out.String()
			if colour {
				text = ownEscapes.ReplaceAllString(text, "")
			}
			for _, r := range text {
				if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf) {
					t.Fatalf("%U reached the terminal: %q", r, text)
				}
			}
		}
	})
}

func TestRenderNamesUsers(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"text":"by <@U1> and <@U2>","attachments":[{"blocks":[{"type":"rich_text","elements":[` +
		`{"type":"rich_text_section","elements":[{"type":"user","user_id":"U1"},` +
		`{"type":"text","text":" and "},{"type":"user","user_id":"U2"}]}]}]}]}`)
	var got bytes.Buffer
	if err := Render(&got, raw, Options{Names: map[string]string{"U1": "ada"}}); err != nil {
		t.Fatal(err)
	}
	if want := "by @ada and @U2\n▌ @ada and @U2\n"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}
