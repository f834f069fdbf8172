//go:build browser

package page_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "a folder for pictures of the pages, to be looked at")

// TestPageInABrowser opens pages as files in a real browser, at the widths of a phone, a tablet and a desk,
// in light and dark: nothing may be wider than the window, be asked for, run, or be complained about.
// tools/page-test runs it.
func TestPageInABrowser(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	allocated, stop := chromedp.NewExecAllocator(ctx,
		append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	defer stop()
	browser, stop := chromedp.NewContext(allocated)
	defer stop()
	var mu sync.Mutex
	var asked, complaints []string
	chromedp.ListenTarget(browser, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			asked = append(asked, event.Request.URL)
		case *log.EventEntryAdded:
			complaints = append(complaints, event.Entry.Text)
		}
	})
	if err := chromedp.Run(browser, network.Enable(), log.Enable()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pages := map[string]string{"hostile": write(t, named(hostile...))}
	for name, r := range reports {
		pages[name] = write(t, r())
	}
	for name, html := range pages {
		file := filepath.Join(dir, name+".html")
		if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int64{320, 390, 600, 800, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				got := look(browser, t, file, width, scheme)
				if got.Wide > width || got.Loads+got.Scripts > 0 || got.Title == "owned" || got.Shown != 1 {
					t.Errorf("%s at %d px, %s: %+v, want nothing wider, no image, frame or script, and one of the sizes "+
						"of a chart shown", name, width, scheme, got)
				}
				back, text := "rgb(245, 246, 248)", "rgb(26, 31, 39)"
				if scheme == "dark" {
					back, text = "rgb(18, 21, 26)", "rgb(230, 233, 238)"
				}
				if got.Back != back || got.Text != text {
					t.Errorf("%s, %s: %s on %s, want %s on %s", name, scheme, got.Text, got.Back, text, back)
				}
			}
		}
		mu.Lock()
		for _, url := range asked {
			if url != "file://"+file {
				t.Errorf("%s asks for %s", name, url)
			}
		}
		if len(asked) != 10 || len(complaints) > 0 {
			t.Errorf("%s: %d requests, want 10 for itself; the browser says %q", name, len(asked), complaints)
		}
		asked, complaints = nil, nil
		mu.Unlock()
	}
}

// looks are what a page looks like.
type looks struct {
	Wide, Loads, Scripts int64
	Shown                int64 // of the sizes of the first chart, how many are shown; 1 if there is none
	Title, Back, Text    string
}

// look opens a page and, if pictures are wanted, takes one.
func look(browser context.Context, t *testing.T, file string, width int64, scheme string) (got looks) {
	t.Helper()
	step, stop := context.WithTimeout(browser, time.Minute)
	defer stop()
	const script = `(() => {
		const charts = [...document.querySelectorAll('article:first-of-type')].slice(0, 1)
			.flatMap(a => [...a.querySelectorAll('svg.chart')]);
		return {
			Wide: document.documentElement.scrollWidth,
			Loads: document.querySelectorAll('img, image, iframe, object, embed, link, use').length,
			Scripts: document.scripts.length,
			Shown: charts.length ? charts.filter(c => c.getBoundingClientRect().width > 0).length : 1,
			Title: document.title,
			Back: getComputedStyle(document.body).backgroundColor,
			Text: getComputedStyle(document.body).color,
		};
	})()`
	media := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	err := chromedp.Run(step, emulation.SetEmulatedMedia().WithFeatures(media),
		chromedp.EmulateViewport(width, 900), chromedp.Navigate("file://"+file), chromedp.Evaluate(script, &got))
	if err != nil {
		t.Fatalf("%s at %d px, %s: %v", file, width, scheme, err)
	}
	if *shots == "" || width != 390 && width != 1280 {
		return got
	}
	var png []byte
	take := chromedp.ActionFunc(func(ctx context.Context) (err error) {
		const high = 5000 // more is not looked at
		png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).
			WithClip(&page.Viewport{Width: float64(width), Height: high, Scale: 1}).Do(ctx)
		return err
	})
	if err := chromedp.Run(step, take); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s-%d-%s.png", filepath.Base(file), width, scheme)
	if err := os.WriteFile(filepath.Join(*shots, name), png, 0o600); err != nil {
		t.Fatal(err)
	}
	return got
}
