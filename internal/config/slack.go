package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// channelID is what the ID of a channel looks like, and where it is.
const channelID = "such as C024BE91L, from the end of its details in Slack"

// Bounds of SLACK_ROUTES.
const (
	maxRoutes    = 100
	maxRouteGlob = 200 // bytes
)

var (
	channelForm = regexp.MustCompile(`^[CDG][A-Z0-9]{7,20}$`)
	mentionForm = regexp.MustCompile(`^([UWS][A-Z0-9]{7,20}|here|channel|everyone)$`)
)

// parseSlack reads where messages go. Neither a bot nor a webhook is fine here: not everything posts.
func parseSlack(s settings) (Slack, []error) {
	c := Slack{
		Webhook: s.Webhook, Token: s.Token, Channel: s.Channel, Mention: s.Mention, MentionAt: int(s.At),
		Signing: s.Signing,
	}
	var errs []error
	wrong := func(why string) { errs = append(errs, errors.New(why)) }
	const copyIt = "copy it from the Slack app's page OAuth & Permissions"
	switch token := c.Token.Reveal(); {
	case token == "":
	case strings.HasPrefix(token, "xoxe"): // such as xoxe.xoxb-1-…
		wrong("SLACK_BOT_TOKEN is a rotating token (xoxe), which is valid for 12 hours; rotation cannot be " +
			"turned off, so make a Slack app without it and use its token, which begins with xoxb-")
	case !strings.HasPrefix(token, "xoxb-"):
		wrong("SLACK_BOT_TOKEN is not a bot token, expected one that begins with xoxb-; " + copyIt)
	}
	switch {
	case c.Token != "" && c.Channel == "":
		wrong("SLACK_BOT_TOKEN is set and SLACK_CHANNEL is not; expected the channel's ID, " + channelID)
	case c.Token == "" && c.Channel != "" && c.Signing == "": // else commands come from there
		wrong("SLACK_CHANNEL is set and SLACK_BOT_TOKEN is not; a webhook posts to the channel " +
			"it was made for")
	case c.Channel != "" && !channelForm.MatchString(c.Channel):
		wrong("SLACK_CHANNEL is not a channel's ID, expected one " + channelID)
	}
	secret := c.Signing.Reveal()
	if strings.HasPrefix(secret, "xox") || strings.Contains(secret, "://") ||
		strings.ContainsAny(secret, " \t") {
		wrong("SLACK_SIGNING_SECRET is not a signing secret; copy it from the Slack app's page Basic Information")
	}
	if c.Mention != "" && !mentionForm.MatchString(c.Mention) {
		wrong("SLACK_MENTION is not a user or group ID, expected one such as U024BE7LH or S024BE7LH, or " +
			"here, channel or everyone")
	}
	var wrongRoutes []error
	c.Routes, wrongRoutes = parseRoutes(s)
	errs = append(errs, wrongRoutes...)
	u, err := parseEndpoint(s.SlackAPI, "https://slack.com/api/")
	if err != nil {
		return c, append(errs, fmt.Errorf("SLACK_API_URL %w", err))
	}
	c.APIURL = strings.TrimSuffix(u.String(), "/") + "/"
	errs = append(errs, parseLinks(s, &c)...)
	return c, errs
}

// parseRoutes reads which load balancers have a channel of their own: "glob=CHANNEL_ID", separated by
// commas. The last = separates, because names are free text.
func parseRoutes(s settings) (routes []Route, errs []error) {
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("SLACK_ROUTES "+format, args...))
	}
	const form = "expected glob=CHANNEL_ID, separated by commas, such as prod-*=C024BE91L"
	switch {
	case s.Routes == "":
		return nil, nil
	case s.Token == "" && s.Webhook != "":
		wrong("is set and SLACK_BOT_TOKEN is not; a webhook posts to the channel it was made for, so " +
			"routes need a bot")
	case s.Token == "" && s.Signing == "": // else commands come from there
		wrong("is set and SLACK_BOT_TOKEN is not; only a bot can post to several channels")
	}
	for entry := range strings.SplitSeq(s.Routes, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		at := strings.LastIndexByte(entry, '=')
		shown := withoutSecret(entry)
		if at < 0 {
			wrong("has %.80q, %s", shown, form)
			continue
		}
		r := Route{Glob: strings.TrimSpace(entry[:at]), Channel: strings.TrimSpace(entry[at+1:])}
		same := func(other Route) bool { return other.Glob == r.Glob }
		switch {
		case r.Glob == "":
			wrong("has %.80q without a glob, %s; everything else goes to SLACK_CHANNEL anyway", shown, form)
		case len(r.Glob) > maxRouteGlob:
			wrong("has %.80q, whose glob has %d bytes, expected at most %d", shown, len(r.Glob), maxRouteGlob)
		case !channelForm.MatchString(r.Channel):
			wrong("has %.80q, which does not end in the ID of a channel, expected one %s", shown, channelID)
		case slices.ContainsFunc(routes, same):
			wrong("has the glob %.80q twice; the first that matches counts", r.Glob)
		default:
			routes = append(routes, r)
		}
	}
	if len(routes) > maxRoutes {
		wrong("has %d entries, expected at most %d", len(routes), maxRoutes)
	}
	return routes, errs
}

// withoutSecret is an entry that may be shown: somebody may have put a token or a webhook there.
func withoutSecret(entry string) string {
	for _, secret := range []string{"xox", "://"} {
		if before, _, ok := strings.Cut(entry, secret); ok {
			entry = before + secret + "…"
		}
	}
	return entry
}

// parseLinks reads where links in messages lead.
func parseLinks(s settings, c *Slack) (errs []error) {
	console, err := parseEndpoint(s.Console, "https://console.cloud.tencent.com")
	if err != nil {
		errs = append(errs, fmt.Errorf("CONSOLE_URL %w", err))
	} else {
		c.Console = strings.TrimSuffix(console.String(), "/")
	}
	if c.Runbook = s.Runbook; c.Runbook == "" {
		return errs
	}
	filled := strings.NewReplacer("{clb}", "x", "{label}", "x", "{region}", "x").Replace(c.Runbook)
	u, err := url.Parse(filled)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		errs = append(errs, errors.New("RUNBOOK_URL is not a URL like https://wiki.example.com/clb/{clb}"))
	case strings.ContainsAny(filled, "{}"):
		errs = append(errs, errors.New("RUNBOOK_URL has a brace that is neither of {clb}, {label} nor {region}"))
	case len(c.Runbook) > 1000:
		errs = append(errs, errors.New("RUNBOOK_URL has more than 1,000 characters"))
	}
	return errs
}

// parseHeartbeat reads the URL that is called after each good tick. It is a secret: whoever has it can keep a
// dead watcher looking alive.
func parseHeartbeat(s Secret, shard string) (Secret, error) {
	if s == "" {
		return "", nil
	}
	text := strings.ReplaceAll(s.Reveal(), "{shard}", url.PathEscape(shard))
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return "", errors.New("is not a URL like https://hc-ping.com/…")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", errors.New("is not an https URL")
	}
	return Secret(text), nil
}
