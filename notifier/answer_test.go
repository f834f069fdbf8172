package notifier

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/sandbox/slack"
)

// meaning is what a word of Slack's means: its class, and what becomes of a root if that is the answer to
// each post in the channel, each reply, each edit or each look-up.
type meaning struct {
	class                   incident.Class
	post, reply, edit, look string
	words                   string
}

// every word for what is wrong that Slack documents for what we call. Sources: docs.slack.dev, the pages of
// chat.postMessage, chat.update, conversations.history and of incoming webhooks.
var meanings = []meaning{
	{incident.Temporary, "waits", "waits", "edit waits", "waits",
		"service_unavailable team_added_to_org request_timeout"},
	{incident.Unknown, "in doubt", "in doubt", "edit in doubt", "waits",
		"internal_error fatal_error"},
	{incident.ChannelDown, "stops", "stops", "stops", "waits", "ratelimited rate_limited"},
	{incident.ChannelDown, "stops", "stops", "stops", "stops",
		"invalid_auth not_authed token_revoked token_expired account_inactive " +
			"org_login_required ekm_access_denied two_factor_setup_required team_access_not_granted"},
	{incident.ChannelDown, "stops", "stops", "edit waits", "posted, may not look",
		"not_allowed_token_type missing_scope no_permission enterprise_is_restricted access_denied " +
			"accesslimited channel_not_found not_in_channel is_archived messages_tab_disabled " +
			"message_limit_exceeded " +
			"posting_to_general_channel_denied invalid_token no_service no_service_id " +
			"no_active_hooks user_not_found no_team team_disabled channel_is_archived"},
	{incident.ChannelDown, "stops", "posted in the channel", "edit waits", "posted, may not look",
		"restricted_action restricted_action_read_only_channel restricted_action_thread_only_channel " +
			"restricted_action_non_threadable_channel restricted_action_thread_locked action_prohibited"},
	{incident.Gone, "undelivered", "a new root", "a new root", "posted, may not look",
		"message_not_found thread_not_found"},
	{incident.Content, "undelivered", "posted in the channel", "not edited any more", "posted, may not look",
		"invalid_blocks invalid_blocks_format msg_blocks_too_long invalid_attachments too_many_attachments " +
			"attachment_payload_limit_exceeded msg_too_long no_text markdown_text_conflict " +
			"metadata_too_large invalid_metadata_format invalid_metadata_schema " +
			"invalid_metadata_filter_keys " +
			"metadata_must_be_sent_from_app invalid_arguments invalid_payload cant_update_message " +
			"edit_window_closed cannot_reply_to_message is_inactive a_word_of_tomorrow"},
}

// rootOf is a root that a run has claimed, as it stands after the rules have made it.
func rootOf(s *Slack, now time.Time, posted string) *incident.Root {
	r := &incident.Root{
		Incidents: []*incident.Incident{{ID: "12", Key: "ap-guangzhou/lb-byhpduqt", Level: incident.Down}},
		Tag:       "a7", Made: now, Rev: 3, News: 3,
		Delivery: incident.Delivery{Route: s.Route(), Posted: posted != "", TS: posted},
	}
	post := incident.Post{Root: posted == "", Rev: 3, Mention: true}
	r.Delivery.Claim = &incident.Claim{Post: &post, Edit: true}
	return r
}

type nextCall func() (incident.Call, bool)

// run makes the calls that next asks for, as a tick does, and reports whether the last answer ends the round.
func run(t *testing.T, s *Slack, r *incident.Root, now time.Time, next nextCall) (stop bool) {
	t.Helper()
	for range 12 {
		call, ok := next()
		if !ok {
			return false
		}
		o := s.Do(t.Context(), call, incident.Document{Root: r})
		if (o.Err == nil) != (o.Class == incident.Done) {
			t.Errorf("call %d: class %d with the error %v", call.Do, o.Class, o.Err)
		}
		if r.Take(incident.Step{Call: call, Outcome: o, Now: now, At: now}) {
			return true
		}
	}
	t.Error("after 12 calls there is no end")
	return false
}

// became says what became of a root that has posted so many messages since.
func became(r *incident.Root, posts int, stop bool) string {
	switch d := r.Delivery; {
	case stop:
		return "stops"
	case d.Series > 0:
		return "a new root"
	case d.NoEdit:
		return "not edited any more"
	case !d.Undelivered.IsZero():
		return "undelivered"
	case posts > 1:
		return "posted twice"
	case posts == 1 && d.NoLook:
		return "posted, may not look"
	case posts == 1 && d.InChannel:
		return "posted in the channel"
	case posts == 1:
		return "posted"
	case !d.EditNotBefore.IsZero() && !d.LastUnknown.IsZero():
		return "edit in doubt"
	case !d.EditNotBefore.IsZero():
		return "edit waits"
	case !d.NotBefore.IsZero() && !d.LastUnknown.IsZero():
		return "in doubt"
	case !d.NotBefore.IsZero():
		return "waits"
	}
	return "nothing"
}

func TestEachWordOfSlackHasItsConsequence(t *testing.T) {
	t.Parallel()
	for _, m := range meanings {
		for _, word := range strings.Fields(m.words) {
			if got := classOf(word); got != m.class {
				t.Errorf("classOf(%s) = %d, want %d", word, got, m.class)
			}
			for what, want := range map[string]string{
				"post": m.post, "reply": m.reply, "edit": m.edit, "look": m.look,
			} {
				t.Run(word+"/"+what, func(t *testing.T) {
					t.Parallel()
					consequence(t, word, what, want)
				})
			}
		}
	}
}

func consequence(t *testing.T, word, what, want string) {
	s, w, _ := newDoer(t)
	now := time.Now()
	r := rootOf(s, now, "")
	calls, next := slack.Calls{Methods: []string{"chat.postMessage"}}, r.NextPost
	before := 0
	if what == "reply" || what == "edit" {
		r = rootOf(s, now, postRoot(t, s, rootOf(s, now, "")))
		before = 1
	}
	switch what {
	case "reply":
		calls.Replies, next = true, r.NextPost
	case "edit":
		calls.Methods = []string{"chat.update"}
		next = func() (incident.Call, bool) { return r.NextEdit(now) }
	case "look":
		calls.Methods = []string{"conversations.history"}
		r.Delivery.Doubt = &incident.Doubt{Post: *r.Delivery.Claim.Post, At: now.Add(-time.Minute), Copies: 1}
	}
	w.FailCalls(calls, slack.Error(word))
	stop := run(t, s, r, now, next)
	if got := became(r, len(w.Channel())-before, stop); got != want {
		t.Errorf("%s answered %s: %s, want %s (%+v)", what, word, got, want, r.Delivery)
	}
	if refused := w.Refused(); len(refused) > 0 {
		t.Errorf("Slack's rules were broken: %q", refused)
	}
}

// A webhook's answers, with what becomes of a root that is posted so. Source: docs.slack.dev, the page of
// incoming webhooks and the changelog of 2016-05-17.
func TestEachAnswerOfAWebhookHasItsConsequence(t *testing.T) {
	t.Parallel()
	type answer struct {
		status int
		bodies []string
	}
	words := func(list string) []string { return strings.Fields(list) }
	for _, tt := range []struct {
		class   incident.Class
		want    string
		answers []answer
	}{
		{incident.Done, "posted", []answer{{200, words("ok")}}},
		{incident.Content, "undelivered", []answer{
			{400, words("invalid_payload invalid_blocks invalid_attachments no_text too_many_attachments " +
				"msg_blocks_too_long a_word_of_tomorrow")},
			{413, []string{"", "<html>too large</html>"}}, {200, words("invalid_payload no_text")},
		}},
		{incident.ChannelDown, "stops", []answer{
			{403, words("action_prohibited posting_to_general_channel_denied invalid_token " +
				"a_word_of_tomorrow <html>")},
			{404, words("no_service no_service_id no_active_hooks channel_not_found user_not_found no_team " +
				"team_disabled a_word_of_tomorrow <html>")},
			{410, words("channel_is_archived <html>")}, {429, []string{"", "rate_limited"}},
			{400, []string{"", "<html>a proxy's page</html>"}}, {200, words("no_service rate_limited")},
			{401, []string{""}}, {407, []string{"Proxy Authentication Required"}}, {302, []string{""}},
			{307, []string{""}},
		}},
		{incident.Unknown, "in doubt", []answer{
			{500, []string{"rollup_error", "", "no_service"}}, {502, []string{"<html>"}}, {503, []string{""}},
			{504, []string{""}}, {200, []string{"", "ok\n", "OK", "<html>", "a_word_of_tomorrow"}},
			{204, []string{""}},
		}},
	} {
		for _, a := range tt.answers {
			for _, body := range a.bodies {
				s, h, _ := newSlack(t, says(a.status, body, "Location", "/elsewhere", "Retry-After", "60"))
				s.render = stub
				now := time.Now()
				r := rootOf(s, now, "")
				stop := run(t, s, r, now, r.NextPost)
				delivered := 0
				if r.Delivery.Posted {
					delivered = 1
				}
				if got := became(r, delivered, stop); got != tt.want {
					t.Errorf("%d %q: %s, want %s", a.status, body, got, tt.want)
				}
				// Only what Slack certainly did not take is posted again at once, in the other three forms. It may be
				// the mention that is prohibited.
				want := 1 + map[string]int{"undelivered": 3}[tt.want]
				if body == "action_prohibited" {
					want = 2
				}
				if n := len(h.sent()); n != want {
					t.Errorf("%d %q: %d posts, want %d", a.status, body, n, want)
				}
				o := s.Do(t.Context(), incident.Call{Route: s.Route()}, incident.Document{Root: r})
				checkNoSecret(t, o.Err)
				if o.Class != tt.class {
					t.Errorf("%d %q: %+v, want class %d", a.status, body, o, tt.class)
				}
				limited := a.status == http.StatusTooManyRequests || body == "rate_limited"
				if tt.class == incident.ChannelDown && !limited {
					checkAdvised(t, o.Err, "SLACK_WEBHOOK_URL")
				}
			}
		}
	}
}

func TestWhatIsWrongWithTheChannelNamesTheSettingAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, m := range meanings {
		for _, word := range strings.Fields(m.words) {
			if m.class != incident.ChannelDown || strings.HasPrefix(word, "rate") {
				continue
			}
			s, w, _ := newDoer(t)
			w.FailCalls(slack.Calls{}, slack.Error(word))
			o := s.Do(t.Context(), incident.Call{Do: incident.Ask, Route: s.Route()}, incident.Document{})
			setting := "SLACK_BOT_TOKEN"
			ofChannel := strings.Fields("channel_not_found not_in_channel is_archived messages_tab_disabled")
			if slices.Contains(ofChannel, word) || strings.HasPrefix(word, "restricted_action") {
				setting = "SLACK_CHANNEL"
			}
			checkAdvised(t, o.Err, setting)
			if !strings.Contains(o.Err.Error(), word) {
				t.Errorf("%q does not say %s", o.Err, word)
			}
		}
	}
}

// checkAdvised wants an error to name a setting, and advice with it.
func checkAdvised(t *testing.T, err error, setting string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), setting) || len(advice.Of(err)) < 20 {
		t.Errorf("%v, with the advice %q, want %s named and what to do", err, advice.Of(err), setting)
	}
}

func TestNetworkErrorsHaveAdvice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   string // of the advice
	}{
		{"no connection", nil, "see whether 127.0.0.1 can be reached from here"},
		{"no answer", func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			"see whether 127.0.0.1 can be reached from here"},
		{"server error", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
			"https://slack-status.com"},
		{"no sense", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") },
			"see whether a proxy is in between"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) }))
		if tt.answer == nil {
			s.Close()
		}
		for _, c := range []Config{
			{WebhookURL: s.URL + "/services/T0/B0/hunter2hunter2"},
			{Token: "xoxb-1-hunter2", Channel: "C0123456789", APIURL: s.URL + "/api/"},
		} {
			c.Now, c.Sleep = time.Now, func(context.Context, time.Duration) error { return nil }
			n, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			err = n.Test(t.Context())
			do := advice.Of(err)
			if err == nil || !strings.Contains(do, tt.want) ||
				strings.Contains(err.Error()+do, "hunter2") {
				t.Errorf("%s: Test = %v, advice %q, want %q in it", tt.name, err, do, tt.want)
			}
		}
		s.Close()
	}
}
