//go:build browser

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"clbwatch/internal/sandbox/demo"
)

var shots = flag.String("shots", "", "a folder for pictures of the page, to be looked at")

// TestPage uses the sandbox's page in a real browser, as a person would: every button, and what the channel
// then shows. tools/page-test runs it.
func TestPage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	address := live(ctx, t)

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox,
		chromedp.WindowSize(1280, 900))
	allocated, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	browser, stop := chromedp.NewContext(allocated)
	defer stop()
	run := func(what string, actions ...chromedp.Action) {
		t.Helper()
		step, stop := context.WithTimeout(browser, 30*time.Second)
		defer stop()
		if err := chromedp.Run(step, actions...); err != nil {
			var shown string
			_ = chromedp.Run(browser, chromedp.Text("body", &shown)) // for the failure line only
			t.Fatalf("%s: %v\nthe page shows:\n%s", what, err, shown)
		}
	}
	press := func(label string) chromedp.Action { return click(fmt.Sprintf("@aria-label=%q", label)) }
	// shows waits until a message with all these words is in the channel, or in a thread, and unfolds them
	// all.
	shows := func(words ...string) chromedp.Action {
		var conditions []string
		for _, w := range words {
			conditions = append(conditions, fmt.Sprintf("contains(., %q)", w))
		}
		return chromedp.PollFunction(unfolded, nil,
			chromedp.WithPollingArgs(`//*[@id="channel"]/li[`+strings.Join(conditions, " and ")+`]`))
	}

	// notes waits until a load balancer's card has a line with these words.
	notes := func(words string) chromedp.Action {
		return chromedp.WaitVisible(fmt.Sprintf(`//*[@id="cloud"]//*[@data-spot and contains(., %q)]`, words),
			chromedp.BySearch)
	}
	// types waits until what is typed was taken, which empties the box.
	types := func(text string) chromedp.Action {
		return chromedp.Tasks{chromedp.SendKeys("#line", text+kb.Enter),
			chromedp.Poll(`line.value === '' && document.activeElement === line`, nil)}
	}
	tenMinutes := chromedp.Tasks{
		chromedp.Evaluate(`began = Date.parse(document.getElementById('clock').dateTime)`, nil),
		chromedp.Click("#later:enabled"),
		chromedp.Poll(`Date.parse(document.getElementById('clock').dateTime) >= began + 10 * 60 * 1000 &&
			!document.getElementById('later').disabled`, nil),
	}

	look := func(name string, actions ...chromedp.Action) {
		t.Helper()
		if *shots == "" {
			return
		}
		var png []byte
		run(name, append(actions, chromedp.CaptureScreenshot(&png))...)
		if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The first context starts the browser: a step's would end it.
	if err := chromedp.Run(browser, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	run("the baseline", shows("Now watching 3 load balancers"))
	run("fail a health check", press("Have shop-02 fail its health check"), shows("#alerts",
		"shop-02 unhealthy on prod-shop, 3 of 4 healthy", "HTTPS:443 shop.example.com/pay"),
		chromedp.WaitVisible(`//*[@id="cloud"]//*[@class="place" and contains(., "/pay3 of 4 healthy")]`,
			chromedp.BySearch))
	run("pass it", press("Have shop-02 pass its health check"),
		chromedp.WaitVisible(`//li[contains(., "1 reply") and contains(., "last reply today at")]`,
			chromedp.BySearch), never(`//*[@id="channel"]//ol`), shows("shop-02 back on prod-shop", "1 reply"),
		chromedp.WaitVisible(`#channel ol > li`), tenMinutes, shows("shop-02", "resolved after"))
	run("stop", press("Stop web-07"), shows("#alerts", "web-07 stopped on prod-web, 6 of 7 running",
		"shut down (4)"))
	run("start", press("Start web-07"), shows("web-07 back on prod-web", "7 of 7 running", "(edited)",
		"1 reply"))
	run("add", press("Add a backend to prod-web"), shows("added to prod-web, 8 of 8 running"))
	run("remove", press("Remove web-01 from prod-web"), shows("web-01 removed from prod-web, 7 of 7 running"))
	run("fail Slack", chromedp.Click("#slack"), chromedp.WaitVisible(`#slack[aria-pressed="true"]`),
		press("Stop web-02"),
		chromedp.WaitVisible(`//*[@id="runs"]/li[contains(., '"pending":1')]`, chromedp.BySearch))
	run("Slack is back", chromedp.Click("#slack"), shows("web-02 stopped on prod-web, 6 of 7 running"))
	run("fail the API", press("Fail the API for prod-api"), shows("Cannot read prod-api"))
	run("the API is back", press("Fail the API for prod-api"), shows("Readable again: prod-api"))
	run("report", chromedp.Click("#report"), shows("backends running on 3 load balancers"))

	run("ten minutes later", press("Start web-02"), shows("web-02 back on prod-web"), tenMinutes,
		never(`//*[@data-spot and contains(., "is open")]`))

	run("silence", types("/clb silence prod-web 1h deploy"), shows("@ada", "/clb silence prod-web 1h deploy"),
		shows("Silenced: prod-web", "by @ada"), notes("silenced until"), press("Stop web-03"), notes("is open"),
		chromedp.WaitVisible(`//*[@id="runs"]/li[contains(., '"changes":1,"sent":0,"pending":0')]`,
			chromedp.BySearch), never(`//*[@id="channel"]/li[contains(., "web-03 stopped")]`))
	look("silenced")
	run("an answer for one person", types("/clb list"), shows("1 silence active", "only visible to you"),
		never(`//*[@id="channel"]/li[contains(., "/clb list")]`))
	look("private")
	run("dismiss it", click(`starts-with(@aria-label, "Dismiss ")`),
		chromedp.WaitNotPresent(`//*[@id="channel"]/li[contains(., "only visible to you")]`, chromedp.BySearch),
		chromedp.Poll(`document.activeElement.id === 'line'`, nil))
	run("end the silence", types("/clb end 1"), shows("Silence ended: prod-web"),
		shows("#alerts", "web-03 stopped on prod-web, 6 of 7 running", "after silence 1"))
	look("due")
	run("acknowledge", chromedp.Focus(`//button[starts-with(@aria-label, "Acknowledge incident")]`,
		chromedp.BySearch), chromedp.KeyEvent(kb.Enter), notes("acknowledged by @ada since"),
		shows("web-03 stopped on prod-web", "acknowledged by @ada since", "Acknowledged: incident"),
		never(`//button[starts-with(@aria-label, "Acknowledge incident")]`),
		chromedp.Poll(`document.activeElement.textContent === 'Silence 30 min'`, nil))
	look("acknowledged")
	run("end the acknowledgement", click(`starts-with(@aria-label, "End the ack")`), notes("is open"),
		shows("@ada", "/clb end 2"), shows("Silence ended: incident"))
	run("recover", press("Start web-03"), shows("web-03 back on prod-web"), tenMinutes,
		shows("web-03", "resolved after"), never(`//*[@data-spot and contains(., "acknowledged")]`))
	run("a button in the other channel", press("Stop api-01"), shows("#team-api", "api-01 stopped on prod-api"),
		press("Silence prod-api for 30 min"), notes("silenced until"), shows("#team-api", "Silenced: prod-api"),
		press("End silence 3 of prod-api"), press("Start api-01"), shows("api-01 back on prod-api"), tenMinutes)

	for _, text := range []string{"hello", "/help"} {
		run("not a command", chromedp.SendKeys("#line", text+kb.Enter),
			chromedp.WaitVisible(`//*[@id="unsent" and contains(., "type a command, such as /clb help")]`,
				chromedp.BySearch), chromedp.Poll(fmt.Sprintf(`line.value === %q && document.activeElement === line`,
				text), nil), chromedp.Evaluate(`line.select()`, nil))
	}
	look("refused", chromedp.Evaluate(`line.value = 'hello'`, nil))
	run("empty the box", chromedp.Evaluate(`line.value = ''`, nil))
	run("rolling restart", press("Rolling restart of prod-api"), shows("api-01 stopped on prod-api"))
	look("restarting")
	run("to its end", tenMinutes, shows("5 machines out and back on prod-api"))
	run("another rolling restart", press("Rolling restart of prod-api"), tenMinutes)
	run("stop half", press("Stop half of prod-web"), shows("prod-web degraded", "@here"),
		chromedp.WaitVisible(`//*[@class="mention mine" and .="@here"]`, chromedp.BySearch))
	run("a command that is refused", types("/clb end 99"), shows("only visible to you", "there is no silence"))
	run("an order that is refused", chromedp.Evaluate(`act('stop', {id: 'x'})`, nil, awaited),
		chromedp.WaitVisible(`//*[@id="refused" and contains(., "there is no backend")]`, chromedp.BySearch))
	look("desktop")
	look("dark", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{
		Name: "prefers-color-scheme", Value: "dark"}}))
	run("the next order", press("Add a backend to prod-web"), chromedp.WaitNotVisible("#refused"))

	var hostile = `<img src=x onerror="document.title='owned'"> <!channel>`
	var status int
	order := fmt.Sprintf(`fetch('do', {method: 'POST', headers: {'Content-Type': 'application/json'},
		body: JSON.stringify({action: 'add', lb: 'lb-c4r9t0zw', name: %q})}).then(r => r.status)`, hostile)
	run("a hostile name", chromedp.Evaluate(order, &status, awaited), shows(`<img src=x`))
	run("a hostile command", types("/clb silence "+hostile), shows(`no load balancer matches`, `<img`))
	run("a hostile reason", types("/clb silence prod-web 1h "+hostile),
		shows("@ada", "/clb silence", "<img src=x"), shows("Silenced: prod-web", "<img src=x"), notes("<img src=x"))
	var images int
	var title string
	run("what it did", chromedp.Evaluate(`document.images.length`, &images), chromedp.Title(&title))
	if status != 204 || images != 0 || title != "clbwatch sandbox" {
		t.Errorf("a hostile name: status %d, %d images, title %q; want it shown as text", status, images,
			title)
	}

	var wide, many int
	run("on a phone", chromedp.EmulateViewport(390, 844),
		chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
		chromedp.Evaluate(`document.querySelectorAll('button:not([aria-label]):not([id])').length`, &many))
	look("phone", chromedp.EmulateViewport(390, 2400))
	look("phone-channel", chromedp.EmulateViewport(390, 844),
		chromedp.Evaluate(`document.getElementById('channel-title').scrollIntoView()`, nil))
	look("phone-buttons", emulation.SetEmulatedMedia(),
		chromedp.Evaluate(`document.querySelector('.buttons').scrollIntoView({block: 'center'})`, nil))
	if wide > 390 || many > 0 {
		t.Errorf("on a phone the page is %d px wide, and %d buttons do not say what they act on", wide, many)
	}
}

// unfolded unfolds all threads and messages, and reports whether the page shows what an XPath selects.
const unfolded = `(xpath) => {
	for (const b of document.querySelectorAll('#channel button.fold[aria-expanded="false"]')) b.click();
	return document.evaluate(xpath, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue;
}`

// click presses a button that can be pressed, once there is one: by name, and not by where it is, because the
// page moves what is below a line that comes or goes.
func click(condition string) chromedp.Action {
	const press = `(xpath) => {
		const found = document.evaluate(xpath, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null);
		const button = found.singleNodeValue;
		if (!button) return false;
		button.focus();
		button.click();
		return true;
	}`
	return chromedp.PollFunction(press, nil,
		chromedp.WithPollingArgs(fmt.Sprintf(`//button[%s and not(@disabled)]`, condition)))
}

// never is an error of the page if it shows what an XPath selects.
func never(xpath string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var n int
		script := fmt.Sprintf(`document.evaluate(%q, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE)`+
			`.snapshotLength`, xpath)
		err := chromedp.Evaluate(script, &n).Do(ctx)
		if err == nil && n > 0 {
			err = fmt.Errorf("the page shows %s", xpath)
		}
		return err
	})
}

// live starts the sandbox without a story and returns its page's address.
func live(ctx context.Context, t *testing.T) string {
	t.Helper()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		err := demo.Story{Function: *binary, Out: w, Listen: "127.0.0.1:0", Live: true}.Tell(ctx)
		ended <- errors.Join(err, w.CloseWithError(io.EOF))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	out := make([]byte, 0, 1000)
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if m := regexp.MustCompile(`http://\S+/`).Find(out); m != nil {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return string(m)
		}
		if err != nil {
			t.Fatalf("the sandbox says %q, and ends: %v", out, err)
		}
	}
}

// awaited waits for the promise that a script returns.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
