package clb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/time/rate"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// call makes one call until it has an answer with code 0, or an error that another attempt would not mend.
// Every attempt waits for its turn under the rate and has a timestamp, nonce and signature of its own.
func (c *Client) call(ctx context.Context, l *lease, q request, expect string) (page, error) {
	pause := firstBackoff
	resigned := false
	for n := 1; ; n++ {
		if err := c.await(ctx, q.region+" 2.0 "+q.action); err != nil {
			return page{}, err
		}
		p, err := c.attempt(ctx, l, q)
		if err == nil && p.sum != expect {
			p.answer, err = decodeV2(p.body)
		}
		if refused := (*Error)(nil); errors.As(err, &refused) {
			refused.Action = q.action
		}
		switch retryOf(err) {
		case never:
			if !closed(err) {
				c.parts().turn.settle()
			}
			return p, err
		case resign: // the clock or the nonce: a fresh signature mends it, or nothing does
			if resigned {
				return page{}, err
			}
			resigned = true
		case backoff:
			if n >= attempts {
				return page{}, fmt.Errorf("%w (%d attempts)", err, n)
			}
			if c.Sleep(ctx, pause) != nil {
				return page{}, err // it says more than that the time is up
			}
			pause *= 3
		}
	}
}

// await waits for the next turn under the rate of what is called.
func (c *Client) await(ctx context.Context, what string) error {
	c.mu.Lock()
	limit, ok := c.limits[what]
	if !ok {
		if c.limits == nil {
			c.limits = make(map[string]*rate.Limiter)
		}
		limit = rate.NewLimiter(c.Rate, 1)
		c.limits[what] = limit
	}
	c.mu.Unlock()
	err := limit.Wait(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return advice.Add(fmt.Errorf("no time left for its turn at CLB_RATE calls a second: %w", err),
		watch.DoTime)
}

// attempt sends one signed request and returns the body of a 200 answer.
func (c *Client) attempt(ctx context.Context, l *lease, q request) (page, error) {
	ctx, cancel := l.attempt(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint.String(),
		strings.NewReader(c.form(q)))
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return page{}, unreached(late(ctx, err), c.Endpoint, v2Name)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	body, err := l.read(resp.Body, resp.ContentLength, maxBody)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return page{}, transient{advice.Add(fmt.Errorf("the API answers %d: too many calls", resp.StatusCode),
			doSlower)}
	case resp.StatusCode >= 500:
		err := fmt.Errorf("the API answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		return page{}, transient{advice.Add(err, doWait)}
	case resp.StatusCode != http.StatusOK:
		err := fmt.Errorf("the API answers %d, expected 200", resp.StatusCode)
		return page{}, advice.Add(err, "see whether "+v2Name+" is right: it is "+c.Endpoint.String())
	case err != nil:
		return page{}, err
	}
	sum := sha256.Sum256(body)
	return page{body: body, sum: base64.RawURLEncoding.EncodeToString(sum[:16])}, nil
}

// request is one call of API 2.0, before it is signed.
type request struct {
	action, region string
	params         map[string]string // the action's own
}

func backendsOf(balancer lb.CLB, offset int) request {
	return request{"DescribeLoadBalancerBackends", balancer.Region, map[string]string{
		"loadBalancerId": balancer.ID, "offset": strconv.Itoa(offset), "limit": strconv.Itoa(pageSize)}}
}

// form is the body of a signed request.
func (c *Client) form(q request) string {
	params := map[string]string{
		"Action":          q.action,
		"Region":          q.region,
		"Timestamp":       strconv.FormatInt(c.Now().Unix(), 10),
		"Nonce":           nonce(),
		"SecretId":        c.Credentials.SecretID,
		"SignatureMethod": "HmacSHA256",
	}
	maps.Copy(params, q.params)
	if c.Credentials.Token != "" {
		params["Token"] = c.Credentials.Token
	}
	signature := sign(http.MethodPost, c.Endpoint.Hostname(), c.Endpoint.Path, params,
		c.Credentials.SecretKey)
	form := url.Values{"Signature": {signature}}
	for k, v := range params {
		form.Set(k, v)
	}
	return form.Encode()
}

// nonce returns a random positive number: it may not repeat together with the timestamp, over all runs.
func nonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return strconv.FormatUint(binary.LittleEndian.Uint64(b[:])&math.MaxInt64|1, 10)
}

// unreached is an error of the transport on the way to an endpoint, which a setting names, without the
// request's URL.
func unreached(err error, endpoint *url.URL, setting string) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	err = advice.Add(fmt.Errorf("call the API: %w", err), reach(endpoint, setting))
	// a name that is not there is one too
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		err = unreachable{err}
	}
	return transient{err}
}

// The settings that name the endpoints.
const v2Name, v3Name = "CLB_ENDPOINT", "CLB_V3_ENDPOINT"

// reach is what to do where an endpoint does not answer.
func reach(u *url.URL, setting string) string {
	return "see whether " + u.Hostname() + " can be reached from here: DNS, firewall, proxy, " + setting
}
