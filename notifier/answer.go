package notifier

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"clbwatch/internal/advice"
	"clbwatch/internal/incident"
	"clbwatch/internal/text"
)

// classOf is what Slack's word for what is wrong means, and the only place that knows. A word that is not
// here is a refusal of what was sent, as it was sent.
func classOf(word string) incident.Class {
	switch word {
	case "internal_error", "fatal_error": // "some aspect of the operation may have succeeded"
		return incident.Unknown
	case "service_unavailable", "team_added_to_org", "request_timeout":
		return incident.Temporary
	case "message_not_found", "thread_not_found":
		return incident.Gone
	case "missing_scope":
		return incident.ChannelDown
	}
	if limited(word) {
		return incident.ChannelDown
	}
	if botAdvice(word) != "" || webhookAdvice(word) != "" { // something about the channel must be put right
		return incident.ChannelDown
	}
	return incident.Content
}

// everywhere reports whether the word would be the answer to any call. Others that are about the channel may
// be about the call: a bot that may post may not always read.
func everywhere(word string) bool {
	switch word {
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive",
		"org_login_required", "ekm_access_denied", "two_factor_setup_required", "team_access_not_granted":
		return true
	}
	return limited(word)
}

// limited reports whether the word says that there were too many calls.
func limited(word string) bool { return word == "ratelimited" || word == "rate_limited" }

// forCall is a class in the light of the call: that a look-up, a reply, an edit or a mention is refused says
// nothing about other calls. An edit is tried again later: nothing else shows the present state in its place.
func forCall(call incident.Call, class incident.Class, word string) incident.Class {
	looks := call.Do == incident.Look || call.Do == incident.Copies
	replies := call.Do == incident.Send && call.TS != ""
	edits := call.Do == incident.Edit || call.Do == incident.Void
	mentions := call.Do == incident.Send && call.Post.Mention
	restricted := strings.HasPrefix(word, "restricted_action") || word == "action_prohibited"
	switch {
	case class != incident.ChannelDown || word == "":
		return class
	case edits && !everywhere(word):
		return incident.Temporary
	case looks && !everywhere(word), (replies || mentions) && restricted:
		return incident.Content
	}
	return class
}

// result is the outcome of one request, and Slack's word for what is wrong, if it said one.
type result struct {
	incident.Outcome
	word   string
	header http.Header // of the answer
}

// sending sends one request with the client.
type sending func(context.Context, *http.Client) error

// request makes one request of a call and, if Slack asks to wait for a time that ctx has left, once more.
func (s *Slack) request(ctx context.Context, call incident.Call, do sending) (r result) {
	_ = s.patiently(ctx, func() error { // r has the error
		r = s.once(ctx, call, do)
		return r.Err
	})
	return r
}

// once makes one request at most, and says what its answer means.
func (s *Slack) once(ctx context.Context, call incident.Call, do sending) result {
	err := ctx.Err()
	if err == nil && (call.Do == incident.Send || !s.bot()) {
		err = s.keepPace(ctx, call.Route)
	}
	if err == nil {
		err = ctx.Err() // the wait may have taken longer than it should
	}
	if err != nil {
		return s.result(call, verdict{class: incident.ChannelDown, why: fmt.Errorf("no time left: %w", err)})
	}
	limit := int64(maxAnswer)
	if s.bot() {
		limit = maxAPIAnswer
	}
	x, client := s.exchange(limit)
	err = unquoted(do(x.trace(ctx), client))
	r := s.result(call, s.judge(x, err))
	r.header = x.header
	return r
}

// verdict is what an answer means: Slack's word, why it is no yes, and what a person can do about it.
type verdict struct {
	class    incident.Class
	word     string
	why      error
	do, name string // name: of the setting that it is about
}

// judge says what came of a request, of which the client made err.
func (s *Slack) judge(x *exchange, err error) verdict {
	said := s.said(x)
	v := verdict{class: incident.ChannelDown, name: "SLACK_API_URL"}
	if !s.bot() {
		v.name = "SLACK_WEBHOOK_URL"
	}
	switch {
	case x.status == 0 && x.unsent():
		v.why, v.do = fmt.Errorf("no connection to Slack: %w", err), s.doReach()
	case x.status == 0:
		v.class, v.why, v.do = incident.Unknown, fmt.Errorf("no answer: %w", err), s.doReach()
	case x.status == http.StatusTooManyRequests:
		v.name, v.why = "", &rateLimited{x.retryAfter(s.cfg.Now())}
	case x.status >= 300 && x.status < 400:
		v.why, v.do = fmt.Errorf("answer %d, a redirect, which Slack does not send", x.status), s.doRedirect()
	case x.broken != nil:
		v.class, v.why, v.do = incident.Unknown, fmt.Errorf("the answer broke off: %w", x.broken), s.doReach()
	case x.status >= 500:
		v.class, v.why, v.do = incident.Unknown, fmt.Errorf("answer %d", x.status), doSlackDown
	case said.yes && err == nil:
		v.class = incident.Done
	case x.status == http.StatusRequestEntityTooLarge:
		v.class, v.why = incident.Content, fmt.Errorf("answer %d", x.status)
	case said.refuses:
		v = s.refusal(x, said)
	case x.status >= 400:
		v.why, v.do = fmt.Errorf("answer %d, which is not Slack's", x.status), s.doProxy()
	case err != nil:
		v.class, v.why = incident.Unknown, fmt.Errorf("answer %d makes no sense: %w", x.status, err)
		v.do = s.doProxy()
	default:
		v.class, v.why, v.do = incident.Unknown, fmt.Errorf("answer %d makes no sense", x.status), s.doProxy()
	}
	return v
}

// channelName is the setting that advice about a channel names.
const channelName = "SLACK_CHANNEL"

// refusal is what an answer means with which Slack refuses, or says that it may have failed.
func (s *Slack) refusal(x *exchange, said said) verdict {
	v := verdict{class: classOf(said.word), word: said.word}
	v.why = fmt.Errorf("Slack says %s%s", cmp.Or(said.word, "a word that is none of its own"), said.hints)
	switch {
	case v.class != incident.ChannelDown:
	case limited(said.word):
		v.why = &rateLimited{x.retryAfter(s.cfg.Now())}
	case !s.bot():
		v.name, v.do = "SLACK_WEBHOOK_URL", cmp.Or(webhookAdvice(said.word), doWebhook)
	case said.word == "missing_scope":
		v.name, v.do = "SLACK_BOT_TOKEN", addScope
	default:
		v.name, v.do = "SLACK_BOT_TOKEN", cmp.Or(botAdvice(said.word), doBot)
		if strings.Contains(v.do, channelName) {
			v.name = channelName
		}
	}
	return v
}

// result is the outcome of a call. No error of it holds a secret.
func (s *Slack) result(call incident.Call, v verdict) result {
	r := result{Outcome: incident.Outcome{Class: forCall(call, v.class, v.word)}, word: v.word}
	if v.class == incident.Done {
		return r
	}
	// Each method has a limit of its own: posts may still go.
	if limit := (*rateLimited)(nil); (call.Do == incident.Look || call.Do == incident.Copies) &&
		errors.As(v.why, &limit) {
		r.Class = incident.Temporary
	}
	v = s.about(call.Route, v)
	if v.class == incident.ChannelDown && v.name != "" {
		v.why = fmt.Errorf("%s: %w", v.name, v.why)
	}
	r.Err = s.redact(fmt.Errorf("%s: %w", tried(call.Do), v.why))
	if v.do != "" {
		r.Err = advice.Add(r.Err, v.do)
	}
	return r
}

// about names the channel of a verdict where that is not SLACK_CHANNEL. About one that the settings do not
// have any more there is nothing to do.
func (s *Slack) about(route incident.Route, v verdict) verdict {
	if !s.bot() || string(route) == s.cfg.Channel || !strings.Contains(v.do, channelName) {
		return v
	}
	if v.name == channelName {
		v.name = ""
	}
	if !slices.Contains(s.cfg.Others, string(route)) {
		v.why, v.do = fmt.Errorf("channel %s, which is not in use any more: %w", route, v.why), ""
		return v
	}
	v.why = fmt.Errorf("channel %s of SLACK_ROUTES: %w", route, v.why)
	v.do = strings.ReplaceAll(v.do, channelName, "SLACK_ROUTES")
	return v
}

// tried is what a call was for.
func tried(do incident.Do) string {
	switch do {
	case incident.Look, incident.Copies:
		return "look for a message in Slack"
	case incident.Ask:
		return "ask whether Slack answers"
	case incident.Edit, incident.Void, incident.Leave:
		return "edit a message in Slack"
	default:
		return "post to Slack"
	}
}

// said is what an answer says, as far as it is one of Slack's.
type said struct {
	yes, refuses bool
	word         string // for what is wrong; "" if it is none that may be shown
	hints        string // ": " and where Slack sees the mistake, or which scope it lacks; or ""
}

// said reads an answer of a webhook or of the Web API.
func (s *Slack) said(x *exchange) said {
	if !s.bot() {
		word := x.code()
		known := classOf(word) != incident.Content || contentCode(word)
		return said{
			yes: x.status == http.StatusOK && string(x.body) == "ok",
			// Whatever a 400 says is about the message. What others say must be a word of Slack's.
			refuses: word != "" && (known || x.status == http.StatusBadRequest),
			word:    word,
		}
	}
	var a struct {
		OK     *bool  `json:"ok"`
		Error  string `json:"error"`
		Needed string `json:"needed"`
		Meta   struct {
			Messages []string `json:"messages"`
		} `json:"response_metadata"`
	}
	if json.Unmarshal(x.body, &a) != nil || a.OK == nil {
		return said{}
	}
	hint := strings.Join(a.Meta.Messages, "; ")
	if a.Needed != "" {
		hint = "needed: " + a.Needed
	}
	if hint != "" {
		hint = ": " + text.Clean(x.conceal(hint), maxText) // concealed before it is cut
	}
	return said{
		yes:     *a.OK && x.status == http.StatusOK,
		refuses: !*a.OK && a.Error != "",
		word:    errorCode(a.Error),
		hints:   hint,
	}
}

// What to do where Slack's word has no advice of its own.
const (
	doBot = "copy the token again from the Slack app's page OAuth & Permissions, and see whether " +
		"the app may post in the channel"
	doWebhook = "make a new webhook in the Slack app's page Incoming Webhooks and set it"
)

// doSlackDown is what to do where Slack answers that it cannot.
const doSlackDown = "usually clears by itself; https://slack-status.com says whether Slack has trouble"

// doReach is what to do where Slack does not answer. Of a webhook's URL only the host is no secret.
func (s *Slack) doReach() string {
	to, setting := s.cfg.APIURL, "SLACK_API_URL"
	if !s.bot() {
		to, setting = s.cfg.WebhookURL, "SLACK_WEBHOOK_URL"
	}
	host := "Slack"
	if u, err := url.Parse(to); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	return "see whether " + host + " can be reached from here: DNS, firewall, proxy, " + setting
}

func (s *Slack) doRedirect() string {
	if s.bot() {
		return "set SLACK_API_URL as docs/settings.md says, or not at all"
	}
	return "copy it again from the Slack app's page Incoming Webhooks"
}

func (s *Slack) doProxy() string {
	if s.bot() {
		return "see whether a proxy is in between"
	}
	return "see whether a proxy is in between; if not, " + doWebhook
}
