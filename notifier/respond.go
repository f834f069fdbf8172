package notifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/slack-go/slack"

	"clbwatch/internal/talk"
)

// hooks are the hosts of the addresses that come with clicks. Source: docs.slack.dev, handling user
// interaction.
var hooks = map[string]bool{"hooks.slack.com": true, "hooks.slack-gov.com": true}

// respondTimeout is how long a response may take where ctx leaves more.
const respondTimeout = 3 * time.Second

// Respond tells people what a click did, once: nothing is repeated, because nobody would wait for it. It
// needs neither a bot nor a webhook. apiURL is where the Web API is: an address on this machine is taken only
// if that is on this machine, too. Its error does not hold the address.
func Respond(ctx context.Context, transport http.RoundTripper, apiURL string, r talk.Reply) error {
	to, err := url.Parse(r.To)
	if err != nil || to.User != nil || !hookOf(to, apiURL) {
		return errors.New("the address that came with the click is not one of Slack's")
	}
	m := r.Message.Webhook(r.Public)
	m.ThreadTimestamp, m.ReplaceOriginal = r.Thread, r.Replace
	err = slack.PostWebhookCustomHTTPContext(ctx, r.To, straight(transport, respondTimeout), m)
	var status slack.StatusCodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return fmt.Errorf("Slack answers %d", status.Code)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errors.New("Slack did not answer in time")
	}
	return fmt.Errorf("Slack was not reached: %w", unquoted(err))
}

// hookOf reports whether an address is one of Slack's.
func hookOf(to *url.URL, apiURL string) bool {
	if to.Scheme == "https" && hooks[to.Host] {
		return true
	}
	api, err := url.Parse(apiURL)
	return err == nil && loopback(api.Hostname()) && to.Host == api.Host
}
