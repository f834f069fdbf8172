package talk

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/slack-go/slack"
)

// maxBody bounds a request, in bytes. A click repeats the message that it is on, which takes up to 26 KB.
const maxBody = 256 << 10

// maxHeader bounds a header that is looked at, in bytes.
const maxHeader = 200

// verify returns the body as it was signed, if Slack signed it less than 5 minutes ago: HMAC-SHA256 over the
// time and the raw body, compared in constant time. Source: docs.slack.dev, verifying requests from Slack.
// Its error holds nothing of the request.
func (t *Talk) verify(r Request) ([]byte, error) {
	switch {
	case t.Secret == "":
		return nil, errors.New("SLACK_SIGNING_SECRET is not set")
	case r.Method != http.MethodPost:
		return nil, errors.New("it is no POST request")
	case max(len(r.Body), len(r.Decoded)) > maxBody:
		return nil, fmt.Errorf("its body has more than %d bytes", maxBody)
	}
	signed := make(http.Header)
	for name, value := range r.Headers {
		switch name = http.CanonicalHeaderKey(name); name {
		case "X-Slack-Signature", "X-Slack-Request-Timestamp":
			if len(value) > maxHeader || signed.Get(name) != "" {
				return nil, errors.New("a header of the signature is too long, or there twice")
			}
			signed.Set(name, value)
		}
	}
	err := check(signed, t.Secret, r.Body)
	if err == nil {
		return r.Body, nil
	}
	if r.Decoded != nil && check(signed, t.Secret, r.Decoded) == nil {
		return r.Decoded, nil
	}
	return nil, err
}

func check(signed http.Header, secret string, body []byte) error {
	v, err := slack.NewSecretsVerifier(signed, secret)
	switch {
	case errors.Is(err, slack.ErrMissingHeaders):
		return errors.New("it is not signed")
	case errors.Is(err, slack.ErrExpiredTimestamp):
		return errors.New("it was signed more than 5 minutes ago, or by a clock that differs by as much")
	case err != nil:
		return errors.New("its signature is none")
	}
	if _, err := v.Write(body); err != nil {
		return err // a hash takes everything
	}
	if v.Ensure() != nil {
		return errors.New("its signature is not that of SLACK_SIGNING_SECRET")
	}
	return nil
}
