package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

const slackUser = "U0123ABCD"

// desk connects the Slack app to a second function from the same binary, which only answers: it has neither a
// token nor a webhook, and the API knows nothing of its role.
func (l *lab) desk(shape scf.Shape) (*scf.URL, *scf.Function) {
	l.t.Helper()
	l.settings["SLACK_SIGNING_SECRET"] = l.slack.SigningSecret()
	l.slack.Users = []string{slackUser}
	own := map[string]string{
		"SLACK_SIGNING_SECRET": l.slack.SigningSecret(), "SLACK_CHANNEL": l.slack.ChannelID(),
		"SLACK_API_URL": l.slack.APIURL(l.hooks), "STATE_URL": l.settings["STATE_URL"],
		"CLB_IDS": l.settings["CLB_IDS"],
	}
	cr := l.cloud.Issue() // of a role of its own
	l.desks = append(l.desks, cr)
	f, err := scf.Start(context.Background(), l.function, own, scf.WithName("clbwatch-slack"),
		scf.WithCredential(func() sandbox.Credential { return cr }), scf.WithTimeout(5*time.Second))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.end(f) })
	u := scf.NewURL(shape, func(ctx context.Context, event []byte) ([]byte, *scf.Error, error) {
		return f.Invoke(ctx, event)
	})
	srv := httptest.NewServer(u)
	l.t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		for _, logged := range u.Answers() {
			l.note(logged)
		}
	})
	l.slack.Connect(l.hooks, srv.URL)
	return u, f
}

// types is somebody typing a command, whose answer must come.
func (l *lab) types(line string) slack.Reaction {
	l.t.Helper()
	r, err := l.slack.Command(l.t.(*testing.T).Context(), slack.Person{ID: slackUser}, "", line)
	l.addresses = append(l.addresses, r.ResponseURL)
	if err != nil || r.Error != "" || r.Shown == nil {
		l.t.Fatalf("%s: %q, %v, answer %d %s; Slack refused %q", line, r.Error, err, r.Response.Status,
			r.Response.Body, l.slack.Refused())
	}
	return r
}

// presses is somebody pressing a button, which must be answered.
func (l *lab) presses(who slack.Person, root, button string) {
	l.t.Helper()
	r, err := l.slack.Click(l.t.(*testing.T).Context(), who, "", root, button)
	l.addresses = append(l.addresses, r.ResponseURL)
	if err != nil || r.Error != "" {
		l.t.Fatalf("%s: %q, %v; Slack refused %q", button, r.Error, err, l.slack.Refused())
	}
}

// wordsOf are all words of a message.
func wordsOf(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	return strings.Join(strs(t, raw), "\n")
}

// answers is somebody typing a command, whose answer must have all the words.
func (l *lab) answers(line string, words ...string) slack.Reaction {
	l.t.Helper()
	r := l.types(line)
	got := wordsOf(l.t, r.Shown)
	for _, want := range words {
		if !strings.Contains(got, want) {
			l.t.Errorf("%s is answered with %s, want %q", line, got, want)
		}
	}
	return r
}

// TestSlackTalksBack: what people type and press where they are does what the commands do that there are
// elsewhere, from a function that has no token.
func TestSlackTalksBack(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"webhook", "bot"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, inCOS)
			if by == "bot" {
				l.byBot()
			}
			l.talkBack()
		})
	}
}

func (l *lab) talkBack() {
	l.cloud.Bind(region, web, vm("web-4"), vm("web-5"), vm("web-6"))
	l.desk(scf.Shapes()[0])
	f := l.start()
	l.live(f, 2, nil)
	if r := l.answers("/clb status", "No incident is open on 2 load balancers"); !r.Private {
		l.t.Error("everybody sees a status that one person asked for")
	}
	l.answers("/clb silense prod-web", "did you mean “silence”?")
	if r := l.answers("/clb silence prod-web 1h deploy", "1 load balancer, 6 backends, none out"); r.Private {
		l.t.Error("only one person sees a silence")
	}
	n := len(l.slack.Messages())
	l.live(f, 2, map[int]func(){0: l.stop("web-1")})
	if got := l.titles()[n:]; len(got) != 0 {
		l.t.Errorf("in the silence: %q", got)
	}
	l.answers("/clb list", "prod-web", "deploy")
	l.live(f, 62, nil)
	all := l.texts() // but for the first
	if last := all[n-1:]; len(last) != 1 || !strings.Contains(last[0], "web-1") ||
		!strings.Contains(last[0], "deploy") {
		l.t.Fatalf("when it ends: %q, want what is due, naming the silence", last)
	}
	root := l.lastRoot()
	ada := slack.Person{ID: slackUser}
	l.presses(ada, root, "Acknowledge")
	l.live(f, 1, nil)
	shown := l.shown(root)
	if !strings.Contains(shown, "acknowledged by <@"+slackUser+"> since") ||
		strings.Contains(shown, "Acknowledge\n") {
		l.t.Errorf("after a click the root shows %s, want who, and no button for it", shown)
	}
	l.answers("/clb report", "7 of 8 backends running", " ago", "acknowledged by")
	l.presses(ada, root, "Silence 30 min")
	l.answers("/clb list", "2 silences active")
	l.answers("/clb end 2", "Silence ended")
	l.answers("/clb end 3", "Silence ended")
	l.live(f, 1, nil)
	l.answers("/clb end 3", "Silence had ended already")
	l.answers("/clb list", "No silence is active")
	for _, why := range l.slack.Refused() {
		l.t.Errorf("Slack refused: %s", why)
	}
}

// lastRoot is the ts of the newest message in the channel that has buttons.
func (l *lab) lastRoot() string {
	l.t.Helper()
	for _, p := range slices.Backward(l.slack.Channel()) {
		if p.Thread == "" && strings.Contains(string(p.Raw), `"actions"`) {
			return p.TS
		}
	}
	l.t.Fatal("no message has buttons")
	return ""
}

// shown are the words of a message as it stands.
func (l *lab) shown(ts string) string {
	l.t.Helper()
	for _, p := range l.slack.Channel() {
		if p.TS == ts {
			return wordsOf(l.t, p.Raw)
		}
	}
	l.t.Fatalf("there is no message %s", ts)
	return ""
}

// TestSlackOnEveryShapeOfEvent: whatever optional fields the platform's events have, what Slack signed is
// answered, and what it did not sign is not.
func TestSlackOnEveryShapeOfEvent(t *testing.T) {
	t.Parallel()
	l := newLab(t, byBot)
	u, _ := l.desk(scf.Shapes()[0])
	l.live(l.start(), 2, nil)
	for i, shape := range scf.Shapes() {
		u.SetShape(shape)
		l.types("/clb status")
		l.types(fmt.Sprintf("/clb silence prod-web %dm deploy", 60+i))
		good, err := l.slack.NewCommand(slack.Person{ID: slackUser}, "", "/clb end 1")
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range l.slack.Forgeries(good) {
			r, err := l.slack.Send(t.Context(), bad.Request)
			if err != nil || (r.Status != 401 && r.Status != 413) || r.Status == 401 && len(r.Body) > 0 {
				t.Errorf("%+v, %s: %d %s, %v, want an empty 401", shape, bad.Name, r.Status, r.Body, err)
			}
		}
	}
	l.answers("/clb list", "1 silence active")
}

// TestSlackReplay: whoever sends a request of Slack's again changes nothing.
func TestSlackReplay(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	l.desk(scf.Shapes()[0])
	l.live(l.start(), 2, nil)
	l.types("/clb silence prod-web 1h deploy")
	old, _ := l.slack.Last()
	l.types("/clb end 1")
	for range 2 {
		r, err := l.slack.Send(t.Context(), old)
		if err != nil || r.Status != 200 || !strings.Contains(string(r.Body), "taken before") {
			t.Errorf("a replay: %d %s, %v, want that it was taken", r.Status, r.Body, err)
		}
	}
	l.answers("/clb list", "No silence is active")
}

// TestSlackOnOneSecretOnly: without the secret, whatever comes is refused, by the function that ticks, too.
func TestSlackOnOneSecretOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t, byBot)
	_, f := l.desk(scf.Shapes()[0])
	delete(l.settings, "SLACK_SIGNING_SECRET")
	good, err := l.slack.NewCommand(slack.Person{ID: slackUser}, "", "/clb silence prod-web")
	if err != nil {
		t.Fatal(err)
	}
	r, err := good.HTTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	event, err := scf.HTTPEvent(scf.Shapes()[0], r)
	if err != nil {
		t.Fatal(err)
	}
	ticks := l.start()
	const refused = `{"statusCode":401,"headers":{},"body":""}`
	if out, err := l.invoke(ticks, string(event)); err != nil || string(out) != refused {
		t.Errorf("the function that ticks answers %s, %v, want an empty 401", out, err)
	}
	if out, err := l.invoke(f, `{"action":"tick"}`); err == nil {
		t.Errorf("the function that answers ticks: %s", out)
	}
	if got := l.objects("silence"); len(got) > 0 {
		t.Errorf("there are silences: %q", got)
	}
}

// TestSlackByWebhook: buttons of what a webhook posted work, and show who pressed them at once.
func TestSlackByWebhook(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	l.cloud.Bind(region, web, vm("web-4"), vm("web-5"), vm("web-6"))
	l.desk(scf.Shapes()[0])
	f := l.start()
	l.live(f, 2, nil)
	l.live(f, 1, map[int]func(){0: l.stop("web-1")})
	root := l.lastRoot()
	l.presses(slack.Person{ID: slackUser}, root, "Acknowledge")
	if got := l.shown(root); !strings.Contains(got, "acknowledged by <@"+slackUser+"> since") {
		t.Errorf("the message shows %s, want who has it", got)
	}
	n := len(l.slack.Messages())
	l.live(f, 6, map[int]func(){0: l.stop("web-2"), 1: l.run("web-2")})
	if got := l.titles()[n:]; len(got) != 0 {
		t.Errorf("what is acknowledged: %q", got)
	}
}

// TestSlackConnect: in a channel that is shared with another company, its people cannot silence anything.
func TestSlackConnect(t *testing.T) {
	t.Parallel()
	l := newLab(t, byBot)
	l.desk(scf.Shapes()[0])
	f := l.start()
	l.live(f, 2, nil)
	l.live(f, 1, map[int]func(){0: l.stop("web-1")})
	stranger := slack.Person{ID: "U0STRANGER", Team: "T0OTHER"}
	l.presses(stranger, l.lastRoot(), "Acknowledge")
	if got := l.objects("silence"); len(got) > 0 {
		t.Errorf("there are silences: %q", got)
	}
	told := l.slack.Ephemerals(stranger.ID)
	if len(told) != 1 || !strings.Contains(wordsOf(t, told[0].Raw), "only members of the workspace") {
		t.Errorf("the stranger is told %+v, want why", told)
	}
}

// TestSlackFlood: while strangers call the URL as fast as they can, ticks go on, nothing of the state is read
// for them, and nothing is written.
func TestSlackFlood(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	u, _ := l.desk(scf.Shapes()[0])
	f := l.start()
	l.live(f, 2, nil)
	good, err := l.slack.NewCommand(slack.Person{ID: slackUser}, "", "/clb silence prod-web")
	if err != nil {
		t.Fatal(err)
	}
	bad := l.slack.Forgeries(good)
	ctx, stop := context.WithCancel(t.Context())
	const strangers = 8
	var flood, begun sync.WaitGroup
	begun.Add(strangers)
	for n := range strangers {
		flood.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				if i == n+1 {
					begun.Done()
				}
				r, err := l.slack.Send(ctx, bad[i%len(bad)].Request)
				if err == nil && r.Status == 200 {
					t.Errorf("%s is answered with %s", bad[i%len(bad)].Name, r.Body)
				}
			}
		})
	}
	begun.Wait()
	l.live(f, 3, map[int]func(){1: l.stop("web-1")})
	stop()
	flood.Wait()
	if got := l.news(); len(got) != 1 || !strings.Contains(got[0], "web-1 stopped") {
		t.Errorf("in a flood of %d calls: %q, want what happened", u.Calls(), got)
	}
	if got := append(l.objects("silence"), l.objects("asked")...); len(got) > 0 || u.Calls() < strangers {
		t.Errorf("after %d calls there is %q, want nothing", u.Calls(), got)
	}
}

// TestSlackWithAStoreThatHangs: one request to COS that hangs costs no answer.
func TestSlackWithAStoreThatHangs(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	l.desk(scf.Shapes()[0])
	l.live(l.start(), 2, nil)
	for _, line := range []string{"/clb status", "/clb list", "/clb silence prod-web 1h deploy", "/clb report"} {
		l.bucket.Fail("", cos.Hang(), 1)
		l.types(line)
		l.bucket.ClearFaults()
	}
	l.answers("/clb list", "1 silence active")
}
