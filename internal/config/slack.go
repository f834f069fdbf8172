package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

var (
	channelForm = regexp.MustCompile(`^[CDG][A-Z0-9]{7,20}$`)
	mentionForm = regexp.MustCompile(`^([UWS][A-Z0-9]{7,20}|here|channel|everyone)$`)
)

// parseSlack reads where messages go. Neither a bot nor a webhook is fine here: not everything posts.
func parseSlack(s settings) (Slack, []error) {
	c := Slack{
		Webhook: s.Webhook, Token: s.Token, Channel: s.Channel, Mention: s.Mention, MentionAt: int(s.At),
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
	const channelID = "such as C024BE91L, from the end of its details in Slack"
	switch {
	case c.Token != "" && c.Channel == "":
		wrong("SLACK_BOT_TOKEN is set and SLACK_CHANNEL is not; expected the channel's ID, " + channelID)
	case c.Token == "" && c.Channel != "":
		wrong("SLACK_CHANNEL is set and SLACK_BOT_TOKEN is not; a webhook posts to the channel " +
			"it was made for")
	case c.Channel != "" && !channelForm.MatchString(c.Channel):
		wrong("SLACK_CHANNEL is not a channel's ID, expected one " + channelID)
	}
	if c.Mention != "" && !mentionForm.MatchString(c.Mention) {
		wrong("SLACK_MENTION is not a user or group ID, expected one such as U024BE7LH or S024BE7LH, or " +
			"here, channel or everyone")
	}
	u, err := parseEndpoint(s.SlackAPI, "https://slack.com/api/")
	if err != nil {
		return c, append(errs, fmt.Errorf("SLACK_API_URL %w", err))
	}
	c.APIURL = strings.TrimSuffix(u.String(), "/") + "/"
	errs = append(errs, parseLinks(s, &c)...)
	return c, errs
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
