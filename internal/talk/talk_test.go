package talk_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/talk"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

const (
	secret  = "8f742231b10e8888abcd99baac85a5e1"
	channel = "C024BE91L"
	ada     = "U0123ABCD"
)

// desk notes what is asked of it, and answers as it is told.
type desk struct {
	mu     sync.Mutex
	asked  []watch.SilenceRequest
	stored int
	found  watch.Survey
	shown  incident.Document
	err    error
	partly bool // what err is about was done in part
	hang   bool // until the caller gives up

	once    map[string]bool
	replies []talk.Reply
	deaf    error // what Reply returns
}

func (d *desk) Stored(ctx context.Context, _ time.Duration, brief bool) (watch.Survey, error) {
	d.mu.Lock()
	d.stored++
	d.mu.Unlock()
	if d.hang && !brief {
		<-ctx.Done()
		return watch.Survey{}, fmt.Errorf("read the state: %w", ctx.Err())
	}
	return d.found, d.err
}

func (d *desk) Silence(_ context.Context, r watch.SilenceRequest) (watch.SilenceAnswer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, r)
	if d.err != nil && !d.partly {
		return watch.SilenceAnswer{}, d.err
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := incident.Silence{ID: "7", What: r.What, Incident: r.Incident, Why: r.Why, By: r.By, Made: at,
		Until: at.Add(max(r.For, time.Hour))}
	if r.End != "" {
		s.ID, s.What, s.Ended, s.EndedBy = r.End, "prod-*", at, r.By
	}
	if r.Root != "" {
		s.What = "prod-web"
	}
	return watch.SilenceAnswer{
			Silence: s,
			CLBs:    1,
			Covers:  "1 load balancer, 3 backends, none out",
			Shown:   d.shown,
		},
		d.err
}

func (d *desk) ListSilences(context.Context) ([]incident.Silence, error) {
	return d.found.Silences, d.err
}

func (d *desk) reply(_ context.Context, r talk.Reply) error {
	d.replies = append(d.replies, r)
	return d.deaf
}

func (d *desk) first(_ context.Context, name string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.once == nil {
		d.once = make(map[string]bool)
	}
	was := d.once[name]
	d.once[name] = true
	return !was, nil
}

func talker(d *desk) *talk.Talk {
	return &talk.Talk{Secret: secret, Channels: []string{channel}, Desk: d, Once: d.first, Reply: d.reply,
		Style: message.Style{Buttons: true}}
}

// signed is a request as Slack signs it.
func signed(body string, at time.Time) talk.Request {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	return talk.Request{Method: "POST", Body: []byte(body), Headers: map[string]string{
		"x-slack-request-timestamp": stamp, "x-slack-signature": "v0=" + hex.EncodeToString(mac.Sum(nil)),
		"content-type": "application/x-www-form-urlencoded",
	}}
}

var triggers = func() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return fmt.Sprintf("13345224609.%d", n)
	}
}()

func command(text string) url.Values {
	return url.Values{"command": {"/clb"}, "text": {text}, "channel_id": {channel}, "user_id": {ada},
		"trigger_id": {triggers()}, "response_url": {"https://hooks.slack.com/commands/T1/2/hunter2"},
		"token": {"gIkuvaNzQIHg97ATvDxqgjtO"}}
}

// body is the answer to a command.
type body struct {
	Type        string `json:"response_type"`
	Text        string `json:"text"`
	Attachments json.RawMessage
}

func ask(t *testing.T, d *desk, form url.Values) (talk.Answer, body) {
	t.Helper()
	a := talker(d).Answer(t.Context(), signed(form.Encode(), time.Now()))
	var b body
	if a.Status != 200 || json.Unmarshal(a.Body, &b) != nil || b.Text == "" {
		t.Fatalf("%v: answer %d %s, %v", form["text"], a.Status, a.Body, a.Log)
	}
	if logged := strings.Join(a.Log, " "); strings.Contains(logged+string(a.Body), "hunter2") {
		t.Errorf("%v: the address of the answer is in %s, %s", form["text"], logged, a.Body)
	}
	return a, b
}

// TestOnlySlackIsAnswered holds that whatever is not proved to come from Slack gets an empty 401, and touches
// nothing.
func TestOnlySlackIsAnswered(t *testing.T) {
	t.Parallel()
	good := command("silence prod-* 2h").Encode()
	alter := func(change func(*talk.Request)) talk.Request {
		r := signed(good, time.Now())
		change(&r)
		return r
	}
	header := func(name, value string) talk.Request {
		return alter(func(r *talk.Request) { r.Headers[name] = value })
	}
	long := signed(good+"&x="+strings.Repeat("a", 256<<10), time.Now())
	for name, r := range map[string]talk.Request{
		"nothing":                    {},
		"no headers":                 {Method: "POST", Body: []byte(good)},
		"a GET":                      alter(func(r *talk.Request) { r.Method = "GET" }),
		"an altered body":            alter(func(r *talk.Request) { r.Body[0]++ }),
		"an empty body":              alter(func(r *talk.Request) { r.Body = nil }),
		"another secret's signature": header("x-slack-signature", "v0="+strings.Repeat("ab", 32)),
		"a short signature":          header("x-slack-signature", "v0=ab"),
		"an empty signature":         header("x-slack-signature", ""),
		"another version":            header("x-slack-signature", "v1="+strings.Repeat("ab", 32)),
		"a signature that is none":   header("x-slack-signature", "v0="+strings.Repeat("zz", 32)),
		"a long signature":           header("x-slack-signature", "v0="+strings.Repeat("ab", 32<<10)),
		"a signature twice":          header("X-Slack-Signature", "v0="+strings.Repeat("ab", 32)),
		"another time":               header("x-slack-request-timestamp", strconv.FormatInt(time.Now().Unix()+1, 10)),
		"a time that is none":        header("x-slack-request-timestamp", "soon"),
		"a time without end":         header("x-slack-request-timestamp", "9223372036854775807"),
		"6 minutes old":              signed(good, time.Now().Add(-6*time.Minute)),
		"6 minutes ahead":            signed(good, time.Now().Add(6*time.Minute)),
		"over 256 kB":                long,
		"over 256 kB, decoded":       {Method: "POST", Headers: long.Headers, Body: []byte("x"), Decoded: long.Body},
	} {
		d := &desk{}
		a := talker(d).Answer(t.Context(), r)
		if a.Status != 401 || len(a.Body) > 0 || len(d.asked)+d.stored+len(d.once)+len(d.replies) > 0 {
			t.Errorf("%s: answer %d %s, and %d things were touched, want an empty 401 and none", name, a.Status,
				a.Body, len(d.asked)+d.stored+len(d.once)+len(d.replies))
		}
		if len(a.Log) != 2 || a.Log[0] != "refused" || len(a.Log[1]) > 100 {
			t.Errorf("%s: logged %q, want why in a few words", name, a.Log)
		}
	}
	d := &desk{}
	unset := talker(d)
	unset.Secret = ""
	if a := unset.Answer(t.Context(), signed(good, time.Now())); a.Status != 401 {
		t.Errorf("without a secret: answer %d, want 401", a.Status)
	}
	for name, r := range map[string]talk.Request{
		"as it is":            signed(good, time.Now()),
		"4 minutes old":       signed(good, time.Now().Add(-4*time.Minute)),
		"4 minutes ahead":     signed(good, time.Now().Add(4*time.Minute)),
		"canonical names":     alter(func(r *talk.Request) { r.Headers = upper(r.Headers) }),
		"encoded in base64":   alter(func(r *talk.Request) { r.Body, r.Decoded = []byte("eA=="), r.Body }),
		"looks like base64":   alter(func(r *talk.Request) { r.Decoded = []byte("x") }),
		"Slack asks for life": signed("ssl_check=1&token=x", time.Now()),
	} {
		if a := talker(&desk{}).Answer(t.Context(), r); a.Status != 200 {
			t.Errorf("%s: answer %d, %v, want 200", name, a.Status, a.Log)
		}
	}
}

func upper(headers map[string]string) map[string]string {
	out := make(map[string]string)
	for name, value := range headers {
		out[strings.ToUpper(name)] = value
	}
	return out
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]watch.SilenceRequest{
		"silence prod-* 2h deploy 4711":    {What: "prod-*", For: 2 * time.Hour, Why: "deploy 4711"},
		"  Silence   prod-web ":            {What: "prod-web"},
		"silence prod-web 1h all: rebuild": {What: "prod-web", For: time.Hour, All: true, Why: "rebuild"},
		// what holds back an outage must be meant
		"silence prod-web 1h all of it":     {What: "prod-web", For: time.Hour, Why: "all of it"},
		"silence prod-web ALL":              {What: "prod-web", All: true},
		"silence “商店 web” 1d12h “the move”": {What: "商店 web", For: 36 * time.Hour, Why: "the move"},
		"silence \"a b\" 30m":               {What: "a b", For: 30 * time.Minute},
		"silence prod-* deploy":             {What: "prod-*", Why: "deploy"},
		"ack 12":                            {Incident: "12"},
		"ack #12-3 4h mine":                 {Incident: "12-3", For: 4 * time.Hour, Why: "mine"},
		"end 7":                             {End: "7"},
		"end #7":                            {End: "7"},
	} {
		d := &desk{}
		want.By = ada
		_, b := ask(t, d, command(text))
		if !slices.Equal(d.asked, []watch.SilenceRequest{want}) {
			t.Errorf("%q asks for %+v, want %+v", text, d.asked, want)
		}
		if b.Type != "in_channel" || !strings.Contains(string(b.Attachments), "3 backends") {
			t.Errorf("%q is answered with %s %s, want it for everybody, and what it covers", text, b.Type, b.Attachments)
		}
	}
}

// TestWrongCommands holds that whoever mistypes is told how, alone, and that nothing is done.
func TestWrongCommands(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"silense prod-*":         "did you mean “silence”?",
		"sttaus":                 "did you mean “status”?",
		"stat":                   "did you mean “status”?",
		"mute":                   "There is no “/clb mute”",
		"<!channel> x":           "There is no “/clb",
		"silence":                "say what to silence",
		"silence prod-* 2 hours": `"2" is not a time`,
		"silence prod-* 8d":      "1m to 7d",
		"silence prod-* 5h":      "needs a reason",
		"end":                    "say which silence",
		"end seven":              "expected the number of a silence",
		"end 7 8":                "say which silence",
		"ack":                    "say which incident",
		"ack prod-web":           "expected the number of an incident",
		"report 100d":            "1m to 90d",
	} {
		d := &desk{}
		a, b := ask(t, d, command(text))
		all := strings.ReplaceAll(string(a.Body), `\u003c`, "<")
		if b.Type != "ephemeral" || !strings.Contains(strings.ReplaceAll(all, `\"`, `"`), want) ||
			strings.Contains(b.Text, "<!channel>") {
			t.Errorf("%q is answered with %s, want %q", text, a.Body, want)
		}
		if len(d.asked)+len(d.once)+d.stored > 0 {
			t.Errorf("%q did something: %+v", text, d.asked)
		}
	}
	for _, text := range []string{"", "help", "  "} {
		a, b := ask(t, &desk{}, command(text))
		if b.Type != "ephemeral" || !strings.Contains(string(a.Body), "/clb end 7") {
			t.Errorf("%q is answered with %s, want how to use it", text, a.Body)
		}
	}
}

// TestElsewhere holds that commands and clicks are taken only from the channels of the settings.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"status", "report", "silence prod-* 2h", "list", "end 7", "ack 12", "help"} {
		d := &desk{}
		form := command(text)
		form.Set("channel_id", "C0ELSEWHERE")
		if a, b := ask(t, d, form); b.Type != "ephemeral" || !strings.Contains(string(a.Body), "SLACK_CHANNEL") ||
			len(d.asked)+len(d.once)+d.stored > 0 {
			t.Errorf("%q is answered with %s, asked %v, want that it is the wrong channel", text, a.Body, d.asked)
		}
	}
	d := &desk{}
	elsewhere := func(c map[string]any) { c["container"] = map[string]any{"channel_id": "C0ELSEWHERE"} }
	press(t, d, "acknowledge", "12", elsewhere)
	refusedClick(t, d, "SLACK_CHANNEL")
	nowhere := talker(d)
	nowhere.Channels = nil
	a := nowhere.Answer(t.Context(), signed(command("list").Encode(), time.Now()))
	if !strings.Contains(string(a.Body), "not set") {
		t.Errorf("without a channel: %s, want that SLACK_CHANNEL is not set", a.Body)
	}
}

// TestReplay holds that a request which is sent again does nothing the second time, whoever was asked.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"silence prod-* 2h", "end 7", "ack 12"} {
		d := &desk{}
		r := signed(command(text).Encode(), time.Now())
		first := talker(d).Answer(t.Context(), r)
		again := talker(d).Answer(t.Context(), r)
		if len(d.asked) != 1 || !strings.Contains(string(first.Body), "in_channel") ||
			!strings.Contains(string(again.Body), "taken before") {
			t.Errorf("%q twice: asked %v, answers %s and %s, want once", text, d.asked, first.Body, again.Body)
		}
	}
	d := &desk{}
	r := signed(url.Values{"payload": {payload("acknowledge", "12")}}.Encode(), time.Now())
	for range 3 {
		if a := talker(d).Answer(t.Context(), r); a.Status != 200 || len(a.Body) > 0 {
			t.Errorf("a click is answered with %d %s", a.Status, a.Body)
		}
	}
	if len(d.asked) != 1 || len(d.replies) != 1 {
		t.Errorf("a click three times: asked %v, told %v, want once", d.asked, d.replies)
	}
}

func payload(action, value string, change ...func(map[string]any)) string {
	c := map[string]any{"type": "block_actions", "trigger_id": triggers(),
		"response_url": "https://hooks.slack.com/actions/T1/2/hunter2",
		"team":         map[string]any{"id": "T1", "domain": "acme"},
		"user":         map[string]any{"id": ada, "team_id": "T1"},
		"container": map[string]any{"type": "message_attachment", "message_ts": "1795409616.000100",
			"attachment_id": 1, "channel_id": channel},
		"channel": map[string]any{"id": channel},
		"actions": []any{map[string]any{"action_id": action, "value": value, "type": "button"}}}
	for _, f := range change {
		f(c)
	}
	raw, _ := json.Marshal(c) // it is made of texts
	return string(raw)
}

func press(t *testing.T, d *desk, action, value string, change ...func(map[string]any)) talk.Answer {
	t.Helper()
	form := url.Values{"payload": {payload(action, value, change...)}}
	a := talker(d).Answer(t.Context(), signed(form.Encode(), time.Now()))
	if a.Status != 200 || len(a.Body) > 0 {
		t.Errorf("a click on %s is answered with %d %s, want 200 and nothing", action, a.Status, a.Body)
	}
	if logged := strings.Join(a.Log, " "); strings.Contains(logged, "hunter2") {
		t.Errorf("the address of the answer is logged: %s", logged)
	}
	return a
}

// refusedClick holds that the last click did nothing, and that only who clicked is told why.
func refusedClick(t *testing.T, d *desk, why string) {
	t.Helper()
	if len(d.asked) > 0 || len(d.replies) != 1 || d.replies[0].Public || d.replies[0].Replace {
		t.Fatalf("a click that is refused asked for %+v, and told %+v", d.asked, d.replies)
	}
	if raw, _ := d.replies[0].Message.Answer(false); !strings.Contains(string(raw), why) {
		t.Errorf("a click is refused with %s, want %q", raw, why)
	}
}

func TestClicks(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]watch.SilenceRequest{
		"acknowledge": {Incident: "12", By: ada},
		"silence-30m": {Root: "12", For: 30 * time.Minute, Why: "incident 12", By: ada},
		"silence-4h":  {Root: "12", For: 4 * time.Hour, Why: "incident 12", By: ada},
	} {
		d := &desk{shown: acknowledged("C024BE91L")} // which the next tick edits
		press(t, d, action, "12")
		if !slices.Equal(d.asked, []watch.SilenceRequest{want}) {
			t.Errorf("%s asks for %+v, want %+v", action, d.asked, want)
		}
		if len(d.replies) != 1 || !d.replies[0].Public || d.replies[0].Replace ||
			d.replies[0].Thread != "1795409616.000100" ||
			d.replies[0].To != "https://hooks.slack.com/actions/T1/2/hunter2" {
			t.Errorf("%s: told %+v, want a reply in the thread for everybody", action, d.replies)
		}
	}
	d := &desk{deaf: errors.New("Slack answers 500")}
	if a := press(t, d, "acknowledge", "12"); len(d.asked) != 1 || !slices.Contains(a.Log, "Slack answers 500") {
		t.Errorf("if nobody can be told, it is done and logged: %v, %v", d.asked, a.Log)
	}
}

// acknowledged is a root on a route with one incident that ada has.
func acknowledged(on incident.Route) incident.Document {
	began := time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	i := &incident.Incident{
		ID:     "12",
		Key:    "ap-guangzhou/lb-8a3k2m1q",
		Label:  "prod-web",
		Began:  began,
		Rev:    1,
		Ack:    "7",
		Now:    lb.Capacity{Total: 3, Running: 2, Out: 1},
		Before: lb.Capacity{Total: 3, Running: 3},
		WasOut: true,
		Level:  incident.Impaired,
	}
	r := &incident.Root{Incidents: []*incident.Incident{i}, Rev: 1}
	r.Delivery.Route = on
	return incident.Document{Root: r, Silence: func(string) (incident.Silence, bool) {
		return incident.Silence{ID: "7", Incident: "12", By: ada, Made: began}, true
	}}
}

// TestClickOnAWebhooksMessage holds that what a webhook posted shows who clicked at once: nothing else can
// edit it.
func TestClickOnAWebhooksMessage(t *testing.T) {
	t.Parallel()
	d := &desk{shown: acknowledged("webhook")}
	press(t, d, "acknowledge", "12")
	if len(d.replies) != 1 || !d.replies[0].Replace || d.replies[0].Thread != "" {
		t.Fatalf("told %+v, want the message itself replaced", d.replies)
	}
	if raw, _ := d.replies[0].Message.Answer(true); !strings.Contains(string(raw), "acknowledged") ||
		!strings.Contains(string(raw), ada) {
		t.Errorf("the message becomes %s, want who acknowledged it", raw)
	}
}

func TestForgedClicks(t *testing.T) {
	t.Parallel()
	set := func(key string, value any) func(map[string]any) {
		return func(c map[string]any) { c[key] = value }
	}
	for name, tt := range map[string]struct {
		action, value, why string
		change             func(map[string]any)
	}{
		"somebody of another workspace": {"acknowledge", "12", "only members",
			set("user", map[string]any{"id": ada, "team_id": "T2"})},
		"another channel": {"acknowledge", "12", "SLACK_CHANNEL",
			set("container", map[string]any{"channel_id": "C0OTHER"})},
		"another button":        {"delete", "12", "no such button", set("x", 1)},
		"a time out of bounds":  {"silence-8d", "12", "1m to 7d", set("x", 1)},
		"a time that is none":   {"silence-", "12", "1m to 7d", set("x", 1)},
		"no number":             {"acknowledge", "*", "expected the number", set("x", 1)},
		"a number that is none": {"silence-1h", "prod-*", "expected the number", set("x", 1)},
		"no trigger":            {"acknowledge", "12", "trigger_id", set("trigger_id", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{}
			press(t, d, tt.action, tt.value, tt.change)
			refusedClick(t, d, tt.why)
		})
	}
	for name, payload := range map[string]string{
		"no JSON": "x", "null": "null", "a modal": `{"type":"view_submission"}`, "no action": `{"type":"block_actions"}`,
		"two actions": `{"type":"block_actions","actions":[{},{}]}`, "a list": `[]`,
	} {
		d := &desk{}
		form := url.Values{"payload": {payload}}
		a := talker(d).Answer(t.Context(), signed(form.Encode(), time.Now()))
		if a.Status != 200 || len(a.Body) > 0 || len(d.asked)+len(d.replies)+len(d.once) > 0 {
			t.Errorf("%s: answer %d %s, asked %v, told %v, want nothing done", name, a.Status, a.Body, d.asked, d.replies)
		}
	}
}

// TestSlowState holds that Slack is answered in time, with what there was time for.
func TestSlowState(t *testing.T) {
	t.Parallel()
	d := &desk{hang: true, found: watch.Survey{Known: true, At: time.Now(), Age: time.Second}}
	start := time.Now()
	a, b := ask(t, d, command("report"))
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("the answer took %v, want less than 2.5 s", took)
	}
	if b.Type != "in_channel" || !strings.Contains(string(a.Body), "no time for all of it") {
		t.Errorf("the answer is %s, want a status that says why it is no report", a.Body)
	}
}

// TestDoneInPart holds that people are told what was done, and what was not, or may not have been.
func TestDoneInPart(t *testing.T) {
	t.Parallel()
	doubt := fmt.Errorf("%w whether silence 8 was made: COS answers 500", watch.ErrDoubt)
	d := &desk{err: doubt, partly: true}
	a, b := ask(t, d, command("silence prod-* 1h"))
	for _, want := range []string{"Silenced: ", "but not all was done", "whether silence 8 was made"} {
		if !strings.Contains(string(a.Body), want) || b.Type != "in_channel" {
			t.Errorf("what is done in part is answered with %s, want %q", a.Body, want)
		}
	}
	d = &desk{err: doubt}
	if a, b := ask(t, d, command("silence prod-* 1h")); b.Type != "ephemeral" ||
		!strings.Contains(string(a.Body), "It is not known whether it was done") {
		t.Errorf("what is in doubt is answered with %s", a.Body)
	}
	late := fmt.Errorf("%w whether silence 8 was made: %w", watch.ErrDoubt, context.DeadlineExceeded)
	d = &desk{err: late}
	press(t, d, "acknowledge", "12")
	raw, _ := d.replies[0].Message.Answer(false)
	if !strings.Contains(string(raw), "whether silence 8 was made") || d.replies[0].Public {
		t.Errorf("a click in doubt is answered with %s", raw)
	}
}

func TestStateCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"status", "report", "silence prod-* 1h", "end 7"} {
		d := &desk{err: errors.New("load state: COS answers 500")}
		a, b := ask(t, d, command(text))
		if b.Type != "ephemeral" || !strings.Contains(string(a.Body), "COS answers 500") {
			t.Errorf("%q is answered with %s, want why", text, a.Body)
		}
	}
}

// FuzzTalk holds that whatever Slack signed is answered with 200, and what it did not sign with an empty 401;
// that a change is only what Check lets through; and that no answer has more than Slack takes.
func FuzzTalk(f *testing.F) {
	for _, body := range []string{
		command("silence prod-* 2h why").Encode(), command("status").Encode(), command("report 7d").Encode(),
		command("ack 12").Encode(), command("end 7").Encode(), command("“<!here>").Encode(), "text=%zz", "", "=&=",
		url.Values{"payload": {payload("acknowledge", "12")}}.Encode(), "payload=null", "payload=[]",
		url.Values{"payload": {payload("silence-30m", "12")}}.Encode(), "ssl_check=1",
		url.Values{"payload": {`{"type":"block_actions","actions":[{"action_id":7}]}`}}.Encode(),
	} {
		f.Add(body, true)
		f.Add(body, false)
	}
	f.Fuzz(func(t *testing.T, body string, good bool) {
		d := &desk{found: watch.Survey{Known: true, At: time.Now(), Age: time.Second}}
		r := signed(body, time.Now())
		if !good {
			r.Headers["x-slack-signature"] = "v0=" + strings.Repeat("0", 64)
		}
		a := talker(d).Answer(t.Context(), r)
		want := 200
		if !good || len(body) > 256<<10 {
			want = 401
		}
		if a.Status != want || len(a.Log)%2 != 0 ||
			want == 401 && len(a.Body)+len(d.asked)+d.stored+len(d.once) > 0 {
			t.Errorf("%q, signed: %v: answer %d %s, %v, asked %+v", body, good, a.Status, a.Body, a.Log, d.asked)
		}
		if len(a.Body) > 0 && !json.Valid(a.Body) || len(a.Body) > 30_000 {
			t.Errorf("%q is answered with %s", body, a.Body)
		}
		for _, r := range d.asked {
			if err := r.Check(); err != nil {
				t.Errorf("%q asks for %+v: %v", body, r, err)
			}
		}
	})
}
