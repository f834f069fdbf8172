// Package clb finds and reads load balancers of Tencent Cloud, classic and application ones, by API 2.0 or by
// its twin 3.0. It returns a whole and verified reading or an error. It refuses to take anything else for an
// answer: no partial list, no foreign envelope, no answer without a code. A row that is odd hides no other.
package clb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

const (
	// pageSize is the most backends that one call returns. Source: DescribeLoadBalancerBackends, parameter
	// limit.
	pageSize = 100
	// maxPages bounds a reading; 100 backends a listener is the default quota.
	maxPages = 100
	// maxBody bounds an answer of API 2.0, in bytes: 100 backends take 30 kB.
	maxBody = 1 << 20
	// maxRereads is how often a new reading of several pages is read again.
	maxRereads = 3
	// attempts is how often one call is made, the first included.
	attempts = 3
	// attemptTimeout bounds one call, so that a hanging one leaves time for another.
	attemptTimeout = 5 * time.Second
	// firstBackoff is the pause before the second attempt; it triples.
	firstBackoff = 200 * time.Millisecond
)

// Client reads load balancers, for one run: what it asks about load balancers and instances themselves it
// asks only once. Its fields are set before the first Read and not changed after.
type Client struct {
	Endpoint   *url.URL // of API 2.0; its host and path are part of the signature
	EndpointV3 *url.URL // of API 3.0
	API        API      // which of them is read
	// the health of backends is read too, at the price of one or more calls for each load balancer
	Health      bool
	Credentials Credentials
	HTTP        *http.Client // must not follow redirects (see NewHTTP)
	// calls a second, for each region and action: so the platform counts
	Rate rate.Limit
	Now  func() time.Time // the clock
	// returns early, with an error, when ctx ends
	Sleep func(ctx context.Context, d time.Duration) error
	// bytes that the platform grants this process; 0 if it sets no limit
	Memory int64

	once sync.Once
	own  *parts // see parts

	mu     sync.Mutex
	limits map[string]*rate.Limiter // by region and action
}

var _ watch.Source = (*Client)(nil)

// NewHTTP returns the HTTP client that a Client needs: redirects are answers, not followed, and connections
// are kept for all readers of one tick. A POST is not repeated by the transport once it was sent, which would
// repeat its nonce.
func NewHTTP() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one, and a test would see it
	t.MaxIdleConnsPerHost = 64
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// parts is what a Client learns, and how its readers work together.
type parts struct {
	turn      *turn // from 2.0 to 3.0
	room      *room
	crowd     *crowd
	extra     *extra
	balancers *questions[Balancer]
	instances *questions[lb.Status]
	again     *questions[lb.Status] // instances that were missing from a first answer
}

func (c *Client) parts() *parts {
	c.once.Do(func() {
		crowd := &crowd{sleep: c.Sleep, open: make(map[*gathering]bool)}
		extra := &extra{left: maxExtra}
		c.own = &parts{turn: newTurn(), room: newRoom(c.Memory, crowd), crowd: crowd, extra: extra,
			balancers: newQuestions(crowd, maxIDs, extra, c.kinds),
			instances: newQuestions(crowd, maxInstances, extra, c.statuses),
			again:     newQuestions(crowd, maxInstances, extra, c.statuses)}
	})
	return c.own
}

// Read reads one load balancer, as what it was known to be or, at first sight, as what the list of load
// balancers says that it is. While the answers are the same bytes as last time, none is decoded.
func (c *Client) Read(ctx context.Context, balancer lb.CLB, known lb.Digest) (lb.Reading, error) {
	c.parts().crowd.enter()
	defer c.parts().crowd.leave()
	m := recall(known)
	if m.api == "" {
		r, err := c.readAnew(ctx, balancer)
		return r, c.redact(err)
	}
	r, err := c.readAs(ctx, balancer, m)
	if contradicts(err) { // it may have been upgraded, or deleted
		is, err2 := c.lookUp(ctx, balancer)
		switch {
		case errors.Is(err2, lb.ErrNotFound):
			err = absent{err}
		case denied(err2):
			r, err = c.readUntold(ctx, balancer, err2)
		case err2 == nil && is.Kind != m.kind:
			r, err = c.readAs(ctx, balancer, is.memory())
		}
	}
	return r, c.redact(err)
}

// readAnew reads a load balancer of which nothing is known.
func (c *Client) readAnew(ctx context.Context, balancer lb.CLB) (lb.Reading, error) {
	is, err := c.lookUp(ctx, balancer)
	switch {
	case denied(err), err == nil && is.kindUnknown:
		return c.readUntold(ctx, balancer, err)
	case err != nil:
		return lb.Reading{}, err
	}
	return c.readAs(ctx, balancer, is.memory())
}

// readUntold reads a load balancer whose kind the account may not look up, or which the answer does not tell,
// by trying both. Backends prove which it is. why is the refusal; nil if there was none.
func (c *Client) readUntold(ctx context.Context, balancer lb.CLB, why error) (lb.Reading, error) {
	classic, err := c.readAs(ctx, balancer, memory{kind: lb.Classic})
	if err == nil && len(classic.Backends) > 0 || err != nil && !contradicts(err) && !denied(err) {
		return classic, err
	}
	app, err2 := c.readAs(ctx, balancer, memory{kind: lb.Application})
	switch {
	case err2 == nil:
		return app, nil
	case err == nil && contradicts(err2):
		return classic, nil
	case contradicts(err) && contradicts(err2):
		return lb.Reading{}, absent{err}
	case err == nil: // a classic one without backends, or an application one that cannot be read
		err = errors.New("it has no backends as a classic load balancer")
	}
	all := fmt.Errorf("read as a classic load balancer: %w; as an application one: %w", err, err2)
	var do []string
	for _, e := range []error{err, why, err2} {
		if d := advice.Of(e); d != "" && !contradicts(e) && !slices.Contains(do, d) {
			do = append(do, d)
		}
	}
	if why != nil {
		all = fmt.Errorf("%w; %w", why, all)
	}
	return lb.Reading{}, advice.Add(all, strings.Join(do, "; "))
}

// lookUp asks what a load balancer is.
func (c *Client) lookUp(ctx context.Context, balancer lb.CLB) (Balancer, error) {
	found, failed, err := c.parts().balancers.get(ctx, balancer.Region, []string{balancer.ID})
	if err == nil {
		err = failed[balancer.ID]
	}
	if err != nil {
		return Balancer{}, fmt.Errorf("look up its kind: %w", err)
	}
	is, ok := found[balancer.ID]
	if !ok {
		return Balancer{}, absent{advice.Add(errors.New("there is no such load balancer in the region"),
			codes[5000].do)}
	}
	return is, nil
}

// errMoved: what was remembered of the load balancer is not so any more.
type errMoved struct{ is Balancer }

func (e errMoved) Error() string { return "the load balancer has another target region now" }

// readAs reads a load balancer as what is known of it.
func (c *Client) readAs(ctx context.Context, balancer lb.CLB, m memory) (r lb.Reading, err error) {
	for range 2 {
		err = c.either(ctx, m.api == V3 && m.week == week(c.Now()), func(by API) (err error) {
			switch {
			case m.kind == lb.Application:
				r, err = c.readApplication(ctx, by, balancer, m)
			case by == V3:
				r, err = c.readClassicV3(ctx, balancer, m)
			default:
				r, err = c.readClassicV2(ctx, balancer, m)
			}
			r.By = by.version()
			return err
		})
		var moved errMoved
		if !errors.As(err, &moved) {
			break
		}
		m = moved.is.memory()
	}
	return r, err
}

// redact is an error without the credentials, which an API may echo.
func (c *Client) redact(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range []string{c.Credentials.SecretKey, c.Credentials.Token, c.Credentials.SecretID} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[secret]")
		}
	}
	if text == err.Error() {
		return err
	}
	clean := advice.Add(errors.New(text), advice.Of(err))
	for _, sentinel := range []error{lb.ErrNotFound, watch.ErrNoRegion} {
		if errors.Is(err, sentinel) {
			return marked{clean, sentinel}
		}
	}
	return clean
}

// marked is an error that a caller may decide by.
type marked struct {
	error
	sentinel error
}

func (m marked) Unwrap() error        { return m.error }
func (m marked) Is(target error) bool { return target == m.sentinel }
