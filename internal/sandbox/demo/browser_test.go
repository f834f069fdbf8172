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

// fixedPage serves the page with a state that stays as it is, and without a policy, so that it may have
// fonts.
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
	ctx context.Context // chromedp keeps the browser in it
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

// TestPagePictures compares the page with the pictures in testdata, which -update rewrites: the beginning
// on a phone, the cloud further down, the beginning on a desk, and all unfolded, in light and dark.
func TestPagePictures(t *testing.T) {
	address := fixedPage(t, fixedState(t))
	const cloud = `document.getElementById('cloud-part').scrollIntoView()`
	for _, tt := range []struct {
		name          string
		width, height int64
		script        string
	}{{"390-folded", 390, 2400, ``}, {"390-cloud", 390, 2200, cloud}, {"1280-folded", 1280, 1900, ``},
		{"1280-unfolded", 1280, 1900, unfold}} {
		w := open(t, address)
		for _, name := range []string{"light", "dark"} {
			var raw []byte
			w.run(name, chromedp.EmulateViewport(tt.width, tt.height), scheme(name), chromedp.Navigate(address), ready,
				chromedp.Evaluate(tt.script, nil), chromedp.CaptureScreenshot(&raw))
			compare(t, tt.name+"-"+name, raw)
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

// faint lists the texts whose contrast with what is behind them is too low for WCAG 2.2 AA: 4.5, or 3 if they
// are large. What cannot be pressed now need not be read.
const faint = `(() => {
	const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
	const rgba = (color) => {
		paint.clearRect(0, 0, 1, 1);
		paint.fillStyle = color;
		paint.fillRect(0, 0, 1, 1);
		return [...paint.getImageData(0, 0, 1, 1).data];
	};
	const over = (top, below) => below.map((v, i) => top[i] * top[3] / 255 + v * (1 - top[3] / 255));
	const behind = (e) => {
		if (!e) return [255, 255, 255];
		const own = rgba(getComputedStyle(e).backgroundColor);
		return own[3] === 255 ? own.slice(0, 3) : over(own, behind(e.parentElement));
	};
	const light = (c) => c.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const found = [];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let n = 0;
	const judge = (e, color, what) => {
		const [a, b] = [light(over(rgba(color), behind(e))), light(behind(e))];
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		const style = getComputedStyle(e);
		const size = parseFloat(style.fontSize);
		const large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
		n++;
		if (ratio < (large ? 3 : 4.5)) found.push(ratio.toFixed(2) + ': ' + what);
	};
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		const what = texts.currentNode.textContent.trim();
		if (what && e.getClientRects().length && !e.closest(':disabled, .emoji, .unseen')) {
			judge(e, getComputedStyle(e).color, what);
		}
	}
	judge(line, getComputedStyle(line, '::placeholder').color, line.placeholder);
	for (const e of document.querySelectorAll('button:not(.fold), #line')) {
		const [a, b] = [light(rgba(getComputedStyle(e).borderColor).slice(0, 3)), light(behind(e.parentElement))];
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 3 && !e.disabled) found.push('the edge of ' + (e.ariaLabel ?? e.id) + ': ' + ratio.toFixed(2));
	}
	return {n, found};
})()`

// TestPageCanBeRead has all unfolded, a silence that ends with an error, and buttons that are on.
func TestPageCanBeRead(t *testing.T) {
	w := open(t, fixedPage(t, bytes.Replace(fixedState(t), []byte(`"slackFails":false`),
		[]byte(`"slackFails":true`), 1)))
	for _, width := range []int64{390, 1280} {
		for _, name := range []string{"light", "dark"} {
			var got struct {
				N     int
				Found []string
			}
			w.run(name, chromedp.EmulateViewport(width, 900), scheme(name), chromedp.Reload(), ready,
				chromedp.Evaluate(unfold, nil), chromedp.Evaluate(`refused('there is none')`, nil),
				chromedp.Evaluate(`looked = false; hear({posts: []}, now)`, nil), chromedp.Evaluate(faint, &got))
			if got.N < 200 || len(got.Found) > 0 {
				t.Errorf("%d px, %s: of %d texts these are too faint: %q", width, name, got.N, got.Found)
			}
		}
	}
}

// TestPageSpeaks reads what assistive technology is told.
func TestPageSpeaks(t *testing.T) {
	w := open(t, fixedPage(t, fixedState(t)))
	var got map[string]any
	w.run("look", ready, chromedp.Evaluate(`(() => {
		const all = (s) => [...document.querySelectorAll(s)];
		const heard = document.getElementById('heard');
		hear({posts: now.posts.slice(0, -1)}, now);
		const said = heard.textContent;
		hear(now, now);
		const by = (e) => document.getElementById(e.getAttribute('aria-labelledby'));
		const name = (e) => e.ariaLabel ?? by(e)?.textContent ?? '';
		return {
			notButtons: all('[onclick], div[tabindex], span[tabindex], [role=button]').length,
			unnamed: all('button').filter((b) => !(b.ariaLabel || b.textContent.trim())).length,
			unlike: all('button[aria-label]').filter((b) => !b.ariaLabel.toLowerCase().includes(
				b.textContent.toLowerCase().trim().split(' ')[0])).map((b) => b.ariaLabel).join(),
			regions: all('main > section, nav, article, [role=group]').filter((e) => !name(e)).length,
			sections: all('main > section').map(name).join(),
			order: all('main > section').map((e) => e.getBoundingClientRect()).map((r) => [r.left, r.top])
				.map(([x, y], i, rs) => i === 0 || y > rs[i - 1][1] || x > rs[i - 1][0]).join(),
			headings: all('h1, h2, main h3').map((h) => h.tagName).filter((h, i, hs) => h !== hs[i - 1]).join(),
			live: all('[aria-live], [role=status], [role=alert]')
				.map((e) => e.id + ' ' + (e.ariaLive ?? e.role)).join(),
			folded: all('#channel button[aria-expanded=false]').map((b) => b.ariaLabel.slice(0, 41)).join('|'),
			said, again: heard.textContent, language: document.documentElement.lang,
		};
	})()`, &got))
	for what, want := range map[string]any{
		"notButtons": 0.0, "unnamed": 0.0, "unlike": "", "regions": 0.0,
		"sections": "Slack,Cloud,Runs of the function", "order": "true,true,true", "headings": "H1,H2,H3,H2",
		"live": "status status,refused alert,unsent alert,heard polite",
		"folded": "Show more of the message of 17:17:32, par|1 reply, last reply today at 17:17, to 🟠|" +
			"2 replies, last reply today at 17:17, to ",
		"said":  "New message in #alerts: 🔴 prod-web degraded: 3 of 7 running @here",
		"again": "New message in #alerts: 🔴 prod-web degraded: 3 of 7 running @here", "language": "en",
	} {
		if got[what] != want {
			t.Errorf("%s: %v, want %v", what, got[what], want)
		}
	}
}

// TestPageStaysShortInABrowser lets thousands of messages pass before an open page, and then asks for all
// older ones.
func TestPageStaysShortInABrowser(t *testing.T) {
	st, address := newPageTest(t, true)
	w := open(t, address)
	var first, later, all, back int64
	const count = `document.querySelectorAll('*').length`
	pass := func(from int) {
		for i := range 2000 {
			root := st.slack.Say(fmt.Sprintf("message %d", from+i))
			st.ran(runState{What: "tick", Answer: fmt.Sprint(root)})
			if i%100 == 0 {
				time.Sleep(2 * calm) // the page sees it
			}
		}
		last := fmt.Sprintf(`document.querySelector('#channel > li')?.textContent.includes('message %d')`,
			from+1999)
		w.run("the last message", chromedp.Poll(last, nil))
	}
	pass(0)
	w.run("count", chromedp.Evaluate(count, &first))
	pass(2000)
	w.run("count again", chromedp.Evaluate(count, &later),
		chromedp.WaitVisible(`//button[@id="older" and starts-with(., "Older messages (3")]`, chromedp.BySearch),
		chromedp.Focus("#older"),
		chromedp.PollFunction(`() => document.getElementById('older').hidden || older.click()`, nil),
		chromedp.Poll(`document.activeElement.id === 'newest'`, nil), chromedp.Evaluate(count, &all),
		chromedp.Click("#newest"), chromedp.Poll(`document.querySelectorAll('#channel > li').length === 12`, nil),
		chromedp.Poll(`document.activeElement.id === 'older'`, nil), chromedp.Evaluate(count, &back))
	if first != later || back != later || later > 400 || all > 400+10*maxPosts {
		t.Errorf("the page has %d elements after 2,000 messages, %d after 4,000, %d with all older ones and %d "+
			"without; want at most 400, the same, at most %d and the same", first, later, all, back, 400+10*maxPosts)
	}
}
