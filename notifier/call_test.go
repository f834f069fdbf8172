package notifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	slackgo "github.com/slack-go/slack"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/slack"
	"clbwatch/notifier/message"
)

const someone = "U024BE7LH"

// stub renders a root as what tests can read: its number, what is shown, and in which form.
func stub(doc incident.Document, call incident.Call) message.Message {
	m := message.Message{Text: fmt.Sprintf("incident %s, call %d, revision %d, update %d, form %d",
		doc.ID(), call.Do, call.Post.Rev, call.Post.N, call.Form)}
	if call.Post.Repeat {
		m.Text += ", may be a repeat"
	}
	if call.Post.Mention {
		m.Text += " <@" + someone + ">"
	}
	if call.Form < incident.Plain {
		title := slackgo.NewTextBlockObject(slackgo.PlainTextType, m.Text[:10], false, false)
		m.Blocks = []slackgo.Block{slackgo.NewSectionBlock(title, nil, nil)}
		m.Attachment = slackgo.Attachment{Color: "#a30200", Blocks: slackgo.Blocks{BlockSet: m.Blocks}}
	}
	return m
}

// newDoer is a bot that renders with stub, in a workspace of its own.
func newDoer(t *testing.T) (*Slack, *slack.Workspace, *testClock) {
	t.Helper()
	s, w, c := newBot(t)
	s.render, w.Mention = stub, someone
	return s, w, c
}

// postRoot posts a root and returns its ts.
func postRoot(t *testing.T, s *Slack, r *incident.Root) string {
	t.Helper()
	o := do(t, s, r, sendOf(r, incident.Post{Root: true, Rev: 1}))
	if o.Class != incident.Done || s.bot() && o.TS == "" {
		t.Fatalf("the root is not posted: %+v", o)
	}
	return o.TS
}

// do makes a call about a root.
func do(t *testing.T, s *Slack, r *incident.Root, call incident.Call) incident.Outcome {
	t.Helper()
	return s.Do(t.Context(), call, incident.Document{Root: r})
}

func sendOf(r *incident.Root, p incident.Post) incident.Call {
	c := incident.Call{Do: incident.Send, Route: r.Delivery.Route, Post: p, Key: r.Key(p), Since: r.Made}
	if !p.Root {
		c.TS = r.Delivery.TS
	}
	return c
}

func TestBotPostsRootsUpdatesAndEdits(t *testing.T) {
	t.Parallel()
	s, w, _ := newDoer(t)
	r := rootOf(s, time.Now(), "")
	doc := incident.Document{Root: r}
	r.Delivery.TS = postRoot(t, s, r)
	for _, broadcast := range []bool{false, true} {
		post := incident.Post{Rev: 2, Broadcast: broadcast}
		if o := s.Do(t.Context(), sendOf(r, post), doc); o.Class != incident.Done || o.TS == "" {
			t.Fatalf("an update: %+v", o)
		}
	}
	edit := incident.Call{Do: incident.Edit, Route: s.Route(), TS: r.Delivery.TS, Post: incident.Post{Rev: 9}}
	if o := s.Do(t.Context(), edit, doc); o.Class != incident.Done {
		t.Fatalf("an edit: %+v", o)
	}
	posts := w.Channel()
	if len(posts) != 3 || posts[0].Thread != "" || posts[1].Thread != posts[0].TS ||
		posts[1].Broadcast || !posts[2].Broadcast {
		t.Errorf("the channel has %+v, want a root, a reply and one that is broadcast", posts)
	}
	raw := string(posts[0].Raw)
	if !strings.Contains(raw, "revision 9") || !strings.Contains(raw, r.Prefix()+"root-0") {
		t.Errorf("the root is %s, want it edited, with its key", raw)
	}
	if r := w.Refused(); len(r) > 0 {
		t.Errorf("refused: %q", r)
	}
}

// What incidents are rendered as is taken by Slack, in every form, as a post and as an edit, by bot and by
// webhook.
func TestMessagesOfIncidentsAreTaken(t *testing.T) {
	t.Parallel()
	s, w, c := newBot(t)
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	style := message.Style{Mention: someone}
	config := s.cfg
	config.Style = style
	bot, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := New(Config{WebhookURL: w.URL(srv.URL), Style: style, Now: c.now, Sleep: c.sleep})
	if err != nil {
		t.Fatal(err)
	}
	w.Mention = someone
	for _, s := range []*Slack{bot, hook} {
		r := rootOf(s, c.now(), "")
		r.Incidents[0] = &incident.Incident{
			ID: "12", Key: "ap-guangzhou/lb-byhpduqt", Label: "prod-web <!channel>", Began: c.now(),
			Level:  incident.Degraded,
			Before: lb.Capacity{Running: 3, Total: 3, Weight: 30, Serving: 30},
			Now:    lb.Capacity{Running: 1, Total: 3, Weight: 30, Serving: 10, Out: 2},
			Worst:  lb.Capacity{Running: 1, Total: 3, Weight: 30, Serving: 10, Out: 2},
		}
		for form := incident.Full; form <= incident.Bare; form++ {
			send := sendOf(r, incident.Post{Root: true, Rev: 3, Mention: form == incident.Full})
			send.Form = form
			o := do(t, s, r, send)
			if raw := string(w.Messages()[len(w.Messages())-1].Raw); o.Class != incident.Done ||
				!strings.Contains(raw, "12") {
				t.Fatalf("form %d: %+v, posted %s", form, o, raw)
			}
			for what := incident.Edit; what <= incident.Leave && s == bot; what++ {
				call := incident.Call{Do: what, Route: s.Route(), TS: o.TS, Form: form}
				if o := do(t, s, r, call); what != incident.Copies && o.Class != incident.Done {
					t.Errorf("%s, form %d: %+v", tried(what), form, o)
				}
			}
		}
	}
	if r := w.Refused(); len(r) > 0 {
		t.Errorf("refused: %q", r)
	}
}

func TestBotFindsAPostWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	root := incident.Post{Root: true, Rev: 3}
	update := incident.Post{Rev: 3, N: 4}
	for _, tt := range []struct {
		name    string
		post    incident.Post
		prepare func(*slack.Workspace, *incident.Root)
	}{
		{"a root", root, nil},
		{"an update in the thread", update, nil},
		{"an update that is broadcast", incident.Post{Rev: 3, N: 4, Broadcast: true}, nil},
		{"an update in the channel", update, func(_ *slack.Workspace, r *incident.Root) {
			r.Delivery.InChannel = true
		}},
		{"an update whose root was deleted before", update, func(w *slack.Workspace, r *incident.Root) {
			w.Unthreads = true
			w.Delete(r.Delivery.TS)
		}},
		{"on the third page", root, func(w *slack.Workspace, _ *incident.Root) { w.PageLimit = 7 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, w, _ := newDoer(t)
			r := rootOf(s, time.Now(), "")
			if !tt.post.Root {
				r = rootOf(s, time.Now(), postRoot(t, s, r))
			}
			if tt.prepare != nil {
				tt.prepare(w, r)
			}
			doc := incident.Document{Root: r}
			send := sendOf(r, tt.post)
			if r.Delivery.InChannel {
				send.TS = ""
			}
			look := send
			look.Do = incident.Look
			if o := s.Do(t.Context(), look, doc); o.Class != incident.NotThere || o.Err == nil {
				t.Fatalf("looking for what is not there: %+v", o)
			}
			w.Fail(slack.TakesThenDrops(), 1)
			if o := s.Do(t.Context(), send, doc); o.Class != incident.Unknown {
				t.Fatalf("sending, with the answer lost: %+v", o)
			}
			want := w.Channel()[len(w.Channel())-1].TS
			other := send
			other.Key += "1" // one key begins with another
			if o := s.Do(t.Context(), other, doc); o.Class != incident.Done {
				t.Fatalf("%+v", o)
			}
			for i := range 15 {
				w.Say(fmt.Sprint("others talk ", i))
			}
			if o := s.Do(t.Context(), look, doc); o.Class != incident.Done || o.TS != want {
				t.Errorf("looking: %+v, want %s", o, want)
			}
		})
	}
}

// An update may be in the thread although updates go to the channel by now.
func TestBotFindsAnUpdateInTheThreadItHasLeft(t *testing.T) {
	t.Parallel()
	s, w, _ := newDoer(t)
	r := rootOf(s, time.Now(), "")
	r = rootOf(s, time.Now(), postRoot(t, s, r))
	doc := incident.Document{Root: r}
	send := sendOf(r, incident.Post{Rev: 3, N: 4})
	w.Fail(slack.TakesThenFails(), 1)
	if o := s.Do(t.Context(), send, doc); o.Class != incident.Unknown {
		t.Fatal(o)
	}
	look := send
	look.Do, look.TS = incident.Look, ""
	if o := s.Do(t.Context(), look, doc); o.Class != incident.Done || o.TS != w.Channel()[1].TS {
		t.Errorf("looking: %+v, want the update in the thread", o)
	}
}

func TestLookUpEnds(t *testing.T) {
	t.Parallel()
	s, w, _ := newDoer(t)
	w.PageLimit = 1
	r := rootOf(s, time.Now(), "")
	for i := range maxPages + 5 {
		w.Say(fmt.Sprint("others talk ", i))
	}
	look := sendOf(r, incident.Post{Root: true})
	look.Do = incident.Look
	if o := do(t, s, r, look); o.Class != incident.NotThere {
		t.Errorf("%+v, want it given up", o)
	}
	if n := w.CallsOf("conversations.history"); n != maxPages {
		t.Errorf("%d pages were read, want %d", n, maxPages)
	}
}

// A look-up that is told to wait on its second page goes on there.
func TestLookUpGoesOnWhereItWasHeldUp(t *testing.T) {
	t.Parallel()
	s, w, c := newDoer(t)
	w.PageLimit = 2
	r := rootOf(s, time.Now(), "")
	ts := postRoot(t, s, r)
	for i := range 3 {
		w.Say(fmt.Sprint("others talk ", i))
	}
	limited := false
	next := s.cfg.Transport
	s.cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		if w.CallsOf("conversations.history") == 1 && !limited {
			limited = true
			w.FailMethod("conversations.history", slack.RateLimited("3"), 1)
		}
		return next.RoundTrip(req)
	})
	look := sendOf(r, incident.Post{Root: true})
	look.Do = incident.Look
	o := do(t, s, r, look)
	if o.TS != ts || w.CallsOf("conversations.history") != 3 || len(c.slept) != 1 {
		t.Errorf("%+v after %d pages and waits of %v", o, w.CallsOf("conversations.history"), c.slept)
	}
}

func TestCopiesAreFoundAndMarkedOnce(t *testing.T) {
	t.Parallel()
	s, w, _ := newDoer(t)
	r := rootOf(s, time.Now(), "")
	doc := incident.Document{Root: r}
	root := sendOf(r, incident.Post{Root: true, Rev: 1})
	w.Fail(slack.HeldBack(-1), 1)
	if o := s.Do(t.Context(), root, doc); o.Class != incident.Unknown {
		t.Fatal(o)
	}
	r.Delivery.TS = postRoot(t, s, r)
	update := sendOf(r, incident.Post{Rev: 2, Broadcast: true})
	w.Fail(slack.TakesThenFails(), 1)
	s.Do(t.Context(), update, doc)
	s.Do(t.Context(), update, doc)
	others := rootOf(s, time.Now(), "")
	others.Incidents[0].ID = "112"
	postRoot(t, s, others)
	w.Release()

	find := incident.Call{Do: incident.Copies, Route: s.Route(), TS: r.Delivery.TS}
	find.Key, find.Since = r.Prefix(), r.Made
	keys := func() (keys []string, found []incident.Copy) {
		o := s.Do(t.Context(), find, doc)
		if o.Class != incident.Done {
			t.Fatalf("looking for copies: %+v", o)
		}
		for _, c := range o.Found {
			keys = append(keys, strings.TrimPrefix(c.Key, r.Prefix()))
		}
		return keys, o.Found
	}
	got, found := keys()
	if fmt.Sprint(got) != "[root-0 0 0 root-0]" || found[0].TS != r.Delivery.TS {
		t.Fatalf("found %+v, want root, both updates and the root that came late, oldest first", found)
	}
	void := find
	void.Do, void.TS = incident.Void, found[3].TS
	if o := s.Do(t.Context(), void, doc); o.Class != incident.Done {
		t.Fatalf("%+v", o)
	}
	if got, _ := keys(); fmt.Sprint(got) != "[root-0 0 0]" {
		t.Errorf("found %v after one was marked as a copy", got)
	}
	w.Delete(r.Delivery.TS)
	if got, _ := keys(); fmt.Sprint(got) != "[0 0]" { // the broadcast ones
		t.Errorf("found %v after the root was deleted", got)
	}
}

func TestQuestionsChangeNothing(t *testing.T) {
	t.Parallel()
	s, w, _ := newDoer(t)
	ask := incident.Call{Do: incident.Ask, Route: s.Route()}
	if o := s.Do(t.Context(), ask, incident.Document{}); o.Class != incident.Done || len(w.Channel()) != 0 {
		t.Errorf("a bot's: %+v, %d messages", o, len(w.Channel()))
	}
	w.FailMethod("auth.test", slack.Answer(http.StatusServiceUnavailable, ""), 1)
	if o := s.Do(t.Context(), ask, incident.Document{}); o.Class != incident.Unknown {
		t.Errorf("a bot's, with Slack out of order: %+v", o)
	}
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	hook, err := New(Config{WebhookURL: w.URL(srv.URL), Now: s.cfg.Now, Sleep: s.cfg.Sleep})
	if err != nil {
		t.Fatal(err)
	}
	ask.Route = hook.Route()
	if o := do(t, hook, nil, ask); o.Class != incident.Done || len(w.Channel()) != 0 {
		t.Errorf("a webhook's: %+v, %d messages", o, len(w.Channel()))
	}
	w.FailCalls(slack.Calls{}, slack.TakesThenDrops())
	if o := hook.Do(t.Context(), ask, incident.Document{}); o.Class != incident.Unknown {
		t.Errorf("a webhook's, with the answer lost: %+v", o)
	}
}

// What Slack refuses because of the metadata is posted without them, and the rest of it stays.
func TestBotWhoseMetadataAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		form  incident.Form
		word  string
		class incident.Class
	}{
		{incident.Full, "metadata_too_large", incident.Done},
		{incident.Full, "invalid_metadata_schema", incident.Done},
		{incident.Full, "invalid_arguments", incident.Content},
		{incident.Bare, "invalid_arguments", incident.Done},
	} {
		s, w, _ := newDoer(t)
		w.FailMethod("chat.postMessage", slack.Error(tt.word), 1)
		r := rootOf(s, time.Now(), "")
		call := sendOf(r, incident.Post{Root: true})
		call.Form = tt.form
		o := do(t, s, r, call)
		if o.Class != tt.class {
			t.Errorf("form %d refused with %s: %+v, want class %d", tt.form, tt.word, o, tt.class)
		}
		for _, p := range w.Channel() {
			raw, whole := string(p.Raw), tt.form == incident.Full
			if strings.Contains(raw, messageEvent) || strings.Contains(raw, "section") != whole {
				t.Errorf("form %d refused with %s: posted %s", tt.form, tt.word, p.Raw)
			}
		}
	}
}

func TestCallWaitsOnceIfSlackAsks(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"chat.postMessage", "chat.update", "conversations.history", "auth.test"} {
		for _, tt := range []struct {
			fault slack.Fault
			times int
			left  time.Duration
			want  incident.Class
		}{
			{slack.RateLimited("3"), 1, time.Minute, incident.Done},
			{slack.RateLimited("3"), 2, time.Minute, incident.ChannelDown},
			{slack.Error("ratelimited"), 1, time.Minute, incident.Done},
			{slack.RateLimited("30"), 1, time.Minute, incident.ChannelDown},    // too long for a tick
			{slack.RateLimited("8"), 1, 5 * time.Second, incident.ChannelDown}, // beyond the deadline
		} {
			s, w, c := newDoer(t)
			r := rootOf(s, time.Now(), "")
			call := sendOf(r, incident.Post{Root: true})
			switch method {
			case "chat.update":
				call.Do, call.TS = incident.Edit, postRoot(t, s, r)
			case "conversations.history":
				postRoot(t, s, r)
				call.Do = incident.Look
			case "auth.test":
				call.Do = incident.Ask
			}
			before := w.CallsOf(method)
			w.FailMethod(method, tt.fault, tt.times)
			ctx, cancel := context.WithDeadline(t.Context(), c.now().Add(tt.left))
			defer cancel()
			o := s.Do(ctx, call, incident.Document{Root: r})
			want := tt.want
			if want == incident.ChannelDown && call.Do == incident.Look {
				want = incident.Temporary // look-ups have a limit of their own
			}
			if o.Class != want || w.CallsOf(method)-before > 2 {
				t.Errorf("%s says %s %d times, with %v left: %+v after %d calls, want class %d",
					method, tt.fault, tt.times, tt.left, o, w.CallsOf(method)-before, want)
			}
		}
	}
}

func TestPostsKeepThePace(t *testing.T) {
	t.Parallel()
	s, _, c := newDoer(t)
	r := rootOf(s, time.Now(), "")
	var ts string
	for range 3 {
		ts = postRoot(t, s, r)
	}
	for range 3 {
		do(t, s, r, incident.Call{Do: incident.Edit, Route: s.Route(), TS: ts})
	}
	if len(c.slept) != 2 || c.slept[0] != time.Second || c.slept[1] != time.Second {
		t.Errorf("slept %v, want a second between three posts and none between edits", c.slept)
	}
}

// A webhook's question is a message to Slack's limit of the rate, though it is refused.
func TestWebhookKeepsThePaceWhenItAsks(t *testing.T) {
	t.Parallel()
	s, _, c := newSlack(t, says(400, "no_text"))
	for range 2 {
		if o := do(t, s, nil, incident.Call{Do: incident.Ask, Route: s.Route()}); o.Class != incident.Done {
			t.Fatalf("%+v", o)
		}
	}
	if len(c.slept) != 1 {
		t.Errorf("slept %v between two questions, want a second", c.slept)
	}
}

func TestWebhookPostsEachForm(t *testing.T) {
	t.Parallel()
	_, w, _ := newDoer(t)
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	c := &testClock{t: time.Now()}
	s, err := New(Config{WebhookURL: w.URL(srv.URL), Now: c.now, Sleep: c.sleep})
	if err != nil {
		t.Fatal(err)
	}
	s.render = stub
	r := rootOf(s, time.Now(), "")
	for form := incident.Full; form <= incident.Bare; form++ {
		o := do(t, s, r, incident.Call{Route: s.Route(), Post: incident.Post{Rev: 7}, Form: form})
		if o.Class != incident.Done || o.TS != "" {
			t.Fatalf("form %d: %+v (%q)", form, o, w.Refused())
		}
		raw := string(w.Messages()[form].Raw)
		parts := map[bool]int{true: 2}[form < incident.Plain] // the title, and the details in an attachment
		if strings.Count(raw, `"blocks":[{"type":"section"`) != parts || strings.Count(raw, "blocks") != parts ||
			!strings.Contains(raw, "revision 7") {
			t.Errorf("form %d: posted %s", form, raw)
		}
	}
}

// The run ends while Slack has the message: whether it is posted is not known.
func TestDeadlineWhileSlackHasTheMessage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, _, _ := newSlack(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	s.render = stub
	r := rootOf(s, time.Now(), "")
	o := s.Do(ctx, incident.Call{Route: s.Route()}, incident.Document{Root: r})
	checkNoSecret(t, o.Err)
	if o.Class != incident.Unknown || !errors.Is(o.Err, context.Canceled) {
		t.Errorf("%+v, want that it is not known", o)
	}
}

func TestWebhookAnswerThatBreaksOffSaysNothing(t *testing.T) {
	t.Parallel()
	for status, half := range map[int]string{200: "ok", 400: "invalid_payload", 404: "no_service"} {
		s, _, _ := newSlack(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(half)) // the rest never comes
		})
		s.render = stub
		o := do(t, s, rootOf(s, time.Now(), ""), incident.Call{Route: s.Route()})
		if o.Class != incident.Unknown {
			t.Errorf("%d %s…: %+v, want that it is not known", status, half, o)
		}
	}
}

func TestNoTimeLeftMeansNothingWasSent(t *testing.T) {
	t.Parallel()
	s, w, _ := newDoer(t)
	r := rootOf(s, time.Now(), "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for do := incident.Send; do <= incident.Leave; do++ {
		o := s.Do(ctx, incident.Call{Do: do, Route: s.Route(), TS: "1.2"}, incident.Document{Root: r})
		if o.Class != incident.ChannelDown || !errors.Is(o.Err, context.Canceled) {
			t.Errorf("call %d: %+v, want that nothing was sent", do, o)
		}
	}
	// The run ends while it waits for its turn.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	postRoot(t, s, r)
	s.cfg.Sleep = func(context.Context, time.Duration) error { cancel(); return nil }
	o := s.Do(ctx, sendOf(r, incident.Post{Root: true}), incident.Document{Root: r})
	if o.Class != incident.ChannelDown {
		t.Errorf("%+v, want that nothing was sent", o)
	}
	if n := w.CallsOf("chat.postMessage"); n != 1 {
		t.Errorf("%d posts, want the one before", n)
	}
}

// What may have reached Slack is unknown, what certainly did not is the channel's fault.
func TestCallsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, tt := range map[string]struct {
		fault slack.Fault
		url   string
		class incident.Class
	}{
		"nobody listens":       {slack.Fault{}, closed.URL, incident.ChannelDown},
		"reset":                {slack.Reset(), "", incident.Unknown},
		"taken, answer lost":   {slack.TakesThenDrops(), "", incident.Unknown},
		"answer broken off":    {slack.TakesThenBreaksOff(), "", incident.Unknown},
		"held back":            {slack.HeldBack(-1), "", incident.Unknown},
		"taken, then 500":      {slack.TakesThenFails(), "", incident.Unknown},
		"ok without ts":        {slack.NoTS(), "", incident.Unknown},
		"no, and not why":      {slack.OKFalse(), "", incident.Unknown},
		"an empty answer":      {slack.EmptyAnswer(), "", incident.Unknown},
		"a proxy's page":       {slack.HTML(), "", incident.Unknown},
		"a proxy's refusal":    {slack.Answer(407, "no"), "", incident.ChannelDown},
		"a redirect":           {slack.Redirect("/elsewhere"), "", incident.ChannelDown},
		"too large":            {slack.Answer(413, ""), "", incident.Content},
		"refused with a 400":   {slack.Answer(400, `{"ok":false,"error":"invalid_blocks"}`), "", incident.Content},
		"half an answer":       {slack.Answer(200, `{"ok":true,"ts":"1.2"`), "", incident.Unknown},
		"a yes with a 500":     {slack.Answer(500, `{"ok":true,"ts":"1.2"}`), "", incident.Unknown},
		"a no with a 500":      {slack.Answer(503, `{"ok":false,"error":"invalid_auth"}`), "", incident.Unknown},
		"not one of its words": {slack.Error("Nope! 7"), "", incident.Content},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w, _ := newDoer(t)
			r := rootOf(s, time.Now(), "")
			if tt.url != "" {
				s.cfg.APIURL = tt.url + "/"
			} else {
				w.Fail(tt.fault, 1)
			}
			o := do(t, s, r, sendOf(r, incident.Post{Root: true}))
			if o.Class != tt.class {
				t.Errorf("%+v, want class %d", o, tt.class)
			}
			if tt.class == incident.ChannelDown {
				checkAdvised(t, o.Err, "SLACK_API_URL")
			}
		})
	}
}

// A page without a list says nothing about what is there.
func TestLookUpBelievesOnlyAList(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`{"ok":true}`, `{"ok":true,"messages":null}`, `{}`, "[]",
		`{"ok":true,"messages":{}}`} {
		s, w, _ := newDoer(t)
		r := rootOf(s, time.Now(), "")
		w.FailMethod("conversations.history", slack.Answer(200, answer), 1)
		look := sendOf(r, incident.Post{Root: true})
		look.Do = incident.Look
		if o := do(t, s, r, look); o.Class != incident.Unknown {
			t.Errorf("%s: %+v, want that it is not known", answer, o)
		}
	}
}

func TestWhatASenderCannotDoIsNotTried(t *testing.T) {
	t.Parallel()
	hook, h, _ := newSlack(t, says(200, "ok"))
	hook.render = stub
	r := rootOf(hook, time.Now(), "")
	for what := incident.Look; what <= incident.Leave; what++ {
		if what == incident.Ask {
			continue
		}
		o := do(t, hook, r, incident.Call{Do: what, Route: hook.Route()})
		if o.Class != incident.Content || o.Err == nil {
			t.Errorf("call %d by webhook: %+v", what, o)
		}
	}
	o := do(t, hook, r, incident.Call{Route: "C024BE91L"})
	if o.Class != incident.ChannelDown || len(h.sent()) != 0 {
		t.Errorf("by webhook to a bot's channel: %+v, %d posts", o, len(h.sent()))
	}
	bot, w, _ := newDoer(t)
	o = do(t, bot, r, incident.Call{Route: hook.Route()})
	if o.Class != incident.ChannelDown || w.Attempts() != 0 {
		t.Errorf("by bot to a webhook: %+v", o)
	}
}

// A root in a channel that is not used any more is edited there.
func TestBotLeavesAChannel(t *testing.T) {
	t.Parallel()
	s, w, _ := newDoer(t)
	r := rootOf(s, time.Now(), "")
	ts := postRoot(t, s, r)
	s.cfg.Channel = "C0ELSEWHERE"
	leave := incident.Call{Do: incident.Leave, Route: incident.Route(w.ChannelID()), TS: ts}
	if o := do(t, s, r, leave); o.Class != incident.Done {
		t.Errorf("%+v, want the root edited where it is", o)
	}
	if raw := string(w.Channel()[0].Raw); !strings.Contains(raw, fmt.Sprintf("call %d", incident.Leave)) {
		t.Errorf("the root is %s", raw)
	}
	here := sendOf(r, incident.Post{Root: true})
	here.Route = incident.Route(w.ChannelID())
	if o := do(t, s, r, here); o.Class != incident.Done { // the state says where, not the settings
		t.Errorf("a post to the route of the call: %+v", o)
	}
}

func TestRoutesHoldNoSecret(t *testing.T) {
	t.Parallel()
	bot, w, _ := newDoer(t)
	if got := bot.Route(); got != incident.Route(w.ChannelID()) || !got.Bot() {
		t.Errorf("a bot's route is %q", got)
	}
	routes := make(map[incident.Route]bool)
	for _, u := range []string{"https://hooks.slack.com" + secret, "https://hooks.slack.com" + secret + "x"} {
		hook, err := New(Config{WebhookURL: u})
		if err != nil {
			t.Fatal(err)
		}
		if hook.Route().Bot() || len(hook.Route()) > 20 {
			t.Errorf("a webhook's route is %q", hook.Route())
		}
		routes[hook.Route()] = true
	}
	if len(routes) != 2 {
		t.Errorf("two webhooks have the routes %v", routes)
	}
}

func TestNoErrorOfACallHoldsASecret(t *testing.T) {
	t.Parallel()
	bot, w, _ := newDoer(t)
	token := w.Token()
	r := rootOf(bot, time.Now(), "")
	check := func(what string, o incident.Outcome, secret string) {
		t.Helper()
		if o.Err == nil {
			t.Errorf("%s: no error", what)
		}
		for err := o.Err; err != nil; err = errors.Unwrap(err) {
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
				t.Errorf("%s: the secret is in %q", what, err)
			}
		}
	}
	w.FailCalls(slack.Calls{Times: 8}, slack.Error("bad "+token))
	for what := incident.Send; what <= incident.Leave; what++ {
		call := incident.Call{Do: what, Route: bot.Route(), TS: "1.2"}
		check(fmt.Sprintf("call %d, echoed", what), do(t, bot, r, call), token)
	}
	w.ClearFaults()
	w.Fail(slack.Answer(200, `{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["`+
		strings.Repeat("x", maxText-20)+token+`"]}}`), 1)
	check("in a hint", do(t, bot, r, sendOf(r, incident.Post{Root: true})), token[:15])
	quotes := roundTripper(func(req *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("proxy says no to %s with %s", req.URL, token)
	})
	bot.cfg.Transport = quotes
	check("by bot, quoted", do(t, bot, r, sendOf(r, incident.Post{Root: true})), token)
	config := Config{WebhookURL: "https://hooks.slack.com" + secret, Transport: quotes}
	config.Now, config.Sleep = bot.cfg.Now, bot.cfg.Sleep
	hook, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	hook.render = stub
	check("by webhook", do(t, hook, r, incident.Call{Route: hook.Route()}), "sEcReT")
}
