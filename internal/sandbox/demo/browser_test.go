//go:build browser

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

var (
	shots  = flag.String("shots", "", "a folder for pictures of the page as they were taken, to be looked at")
	update = flag.Bool("update", false, "rewrite the pictures in testdata")
)

// frozen is what is added to the page's style for pictures: fonts that are the same on each machine, and
// nothing that moves. Emojis, which the fonts do not have, are boxes.
const frozen = `
@font-face { font-family: Frozen; src: url(regular.ttf); }
@font-face { font-family: Frozen; font-weight: 700; src: url(bold.ttf); }
@font-face { font-family: FrozenMono; src: url(mono.ttf); }
* { font-family: Frozen !important; transition: none !important; animation: none !important;
  caret-color: transparent !important; }
pre, code, #runs li { font-family: FrozenMono !important; }
.emoji { display: inline-block; width: 1em; height: 1em; font-size: 14px; color: transparent;
  background: #888; overflow: hidden; vertical-align: middle; }
`

// fixedPage serves the page with a state that stays as it is, and without a policy, so that it may have fonts.
func fixedPage(t *testing.T, state []byte) string {
	t.Helper()
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		t.Fatal(err)
	}
	style, err := fs.ReadFile(files, "page.css")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	serve := func(path, kind string, content []byte) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(content) // else a picture is another
		})
	}
	serve("/page.css", "text/css", append(style, frozen...))
	serve("/regular.ttf", "font/ttf", goregular.TTF)
	serve("/bold.ttf", "font/ttf", gobold.TTF)
	serve("/mono.ttf", "font/ttf", gomono.TTF)
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: %s\n\n", state)
		_ = http.NewResponseController(w).Flush() // else a picture is another
		<-r.Context().Done()
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL + "/page.html"
}

// fixedState is the state in testdata, on one line. What the fonts do not have would be drawn in others.
func fixedState(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/state.json")
	if err != nil {
		t.Fatal(err)
	}
	font, err := sfnt.Parse(gomono.TTF)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range string(raw) {
		if i, err := font.GlyphIndex(nil, r); r != '\n' && (i == 0 || err != nil) {
			t.Errorf("the pictures' font has no %q", r)
		}
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		t.Fatal(err)
	}
	return line.Bytes()
}

// window is a browser window of a test's own.
type window struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the browser in it
}

// open opens a browser at an address.
func open(t *testing.T, address string) *window {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox,
		chromedp.WindowSize(1280, 900), chromedp.Flag("font-render-hinting", "none"),
		chromedp.Flag("disable-lcd-text", true), chromedp.Flag("force-color-profile", "srgb"))
	allocated, stop := chromedp.NewExecAllocator(ctx, options...)
	browser, end := chromedp.NewContext(allocated)
	t.Cleanup(func() { end(); stop(); cancel() })
	// The first context starts the browser: a step's would end it.
	err := chromedp.Run(browser, emulation.SetTimezoneOverride("UTC"),
		emulation.SetLocaleOverride().WithLocale("en-GB"), chromedp.Navigate(address))
	if err != nil {
		t.Fatal(err)
	}
	return &window{t, browser}
}

func (w *window) run(what string, actions ...chromedp.Action) {
	w.t.Helper()
	step, stop := context.WithTimeout(w.ctx, 30*time.Second)
	defer stop()
	if err := chromedp.Run(step, actions...); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func scheme(name string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{
		Name: "prefers-color-scheme", Value: name}})
}

// ready waits until the page shows the state, in its fonts.
var ready = chromedp.Tasks{chromedp.WaitVisible("#channel > li"),
	chromedp.Evaluate(`document.fonts.ready.then(() => document.fonts.check('15px Frozen'))`, nil, awaited)}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// unfold unfolds all that is folded.
const unfold = `(() => { for (const b of document.querySelectorAll('button.fold')) b.click(); })()`

// TestPagePictures compares the page with the pictures in testdata, which -update rewrites: on a phone and on
// a desk, in light and dark, as it is at first and with all unfolded.
func TestPagePictures(t *testing.T) {
	address := fixedPage(t, fixedState(t))
	for _, size := range []struct {
		width, height int64
		schemes       []string
	}{{390, 3200, []string{"light", "dark"}}, {1280, 1900, []string{"light", "dark"}}} {
		w := open(t, address)
		for _, name := range size.schemes {
			for _, state := range []string{"folded", "unfolded"} {
				var raw []byte
				w.run(name, chromedp.EmulateViewport(size.width, size.height), scheme(name),
					chromedp.Navigate(address), ready)
				if state == "unfolded" {
					w.run(state, chromedp.Evaluate(unfold, nil))
				}
				w.run("take a picture", chromedp.CaptureScreenshot(&raw))
				compare(t, fmt.Sprintf("%d-%s-%s", size.width, name, state), raw)
			}
		}
	}
}

// compare compares a picture with that of its name in testdata.
func compare(t *testing.T, name string, raw []byte) {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if *shots != "" {
		if err := os.WriteFile(filepath.Join(*shots, name+".png"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, path := shrunk(m), filepath.Join("testdata", name+".png")
	if *update {
		var small bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(&small, got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, small.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was read
	want, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := alike(want, got); err != nil {
		t.Errorf("%s: %v; tools/page-test -update rewrites the pictures", name, err)
	}
}
