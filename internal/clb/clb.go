// Package clb finds and reads load balancers of Tencent Cloud, classic and application ones, by API 2.0 or by its twin 3.0.
// It returns a whole and verified reading or an error, and refuses to take anything else for an answer: no partial list,
// no foreign envelope, no answer without a code.
package clb

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

const (
	// pageSize is the most backends that one call returns. Source: DescribeLoadBalancerBackends, parameter limit.
	pageSize = 100
	// maxPages bounds a reading; 100 backends a listener is the default quota.
	maxPages = 100
	// maxBody bounds an answer, in bytes: 100 backends take 30 kB.
	maxBody = 1 << 20
	// maxRereads is how often a new reading of several pages is read again.
	maxRereads = 3
	// attempts is how often one call is made, the first included.
	attempts = 3
	// attemptTimeout bounds one call, so that a hanging one leaves time for another.
	attemptTimeout = 5 * time.Second
	// firstRoom is what is made room for before an answer is read, in bytes: 100 backends take 30 kB.
	firstRoom = 48 << 10
	// maxSpares and maxSpare bound the buffers that are kept: how many, and of how many bytes.
	maxSpares = 64
	maxSpare  = 256 << 10
	// firstBackoff is the pause before the second attempt; it triples.
	firstBackoff = 200 * time.Millisecond
)

// Client reads load balancers, for one run: what it asks about load balancers and instances themselves it asks only once.
// Its fields are set before the first Read and not changed after.
type Client struct {
	Endpoint    *url.URL // of API 2.0; its host and path are part of the signature
	EndpointV3  *url.URL // of API 3.0
	API         API      // which of them is read
	Health      bool     // the health of backends is read too, at the price of one or more calls for each load balancer
	Credentials Credentials
	HTTP        *http.Client                                     // must not follow redirects (see NewHTTP)
	Rate        rate.Limit                                       // calls a second, for each region and action: so the platform counts
	Now         func() time.Time                                 // the clock
	Sleep       func(ctx context.Context, d time.Duration) error // returns early, with an error, when ctx ends

	once sync.Once
	own  *parts // see parts

	mu     sync.Mutex
	limits map[string]*rate.Limiter // by region and action
	spare  [][]byte                 // see free
}

var _ watch.Source = (*Client)(nil)

// NewHTTP returns the HTTP client that a Client needs: redirects are answers, not followed, and connections are kept
// for all readers of one tick. A POST is not repeated by the transport once it was sent, which would repeat its nonce.
func NewHTTP() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one, and a test would see it
	t.MaxIdleConnsPerHost = 64
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// parts is what a Client learns, and how its readers work together.
type parts struct {
	turn      *turn // from 2.0 to 3.0
	crowd     *crowd
	balancers *questions[Balancer]
	instances *questions[lb.Status]
}

func (c *Client) parts() *parts {
	c.once.Do(func() {
		crowd := &crowd{sleep: c.Sleep, open: make(map[*gathering]bool)}
		c.own = &parts{turn: newTurn(), crowd: crowd,
			balancers: newQuestions(crowd, maxIDs, c.kinds, aboutIDs),
			instances: newQuestions(crowd, maxInstances, c.statuses, aboutIDs)}
	})
	return c.own
}

// aboutIDs reports whether an error may be due to one of several ids.
func aboutIDs(err error) bool {
	var code *Error
	var refused *refusal
	return errors.As(err, &code) && code.Code == 5000 ||
		errors.As(err, &refused) && strings.HasPrefix(refused.code, "Invalid") && !strings.Contains(refused.code, "Region")
}

// Read reads one load balancer, as what it was known to be or, at first sight, as what the list of load balancers says
// that it is. While the answers are the same bytes as last time, none is decoded.
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
		case err2 == nil && is.Kind != m.kind:
			r, err = c.readAs(ctx, balancer, memory{kind: is.Kind, region: is.TargetRegion})
		}
	}
	return r, c.redact(err)
}

// readAnew reads a load balancer of which nothing is known.
func (c *Client) readAnew(ctx context.Context, balancer lb.CLB) (lb.Reading, error) {
	is, err := c.lookUp(ctx, balancer)
	if err != nil {
		return lb.Reading{}, err
	}
	return c.readAs(ctx, balancer, memory{kind: is.Kind, region: is.TargetRegion})
}

// lookUp asks what a load balancer is.
func (c *Client) lookUp(ctx context.Context, balancer lb.CLB) (Balancer, error) {
	found, err := c.parts().balancers.get(ctx, balancer.Region, []string{balancer.ID})
	if err != nil {
		return Balancer{}, fmt.Errorf("look up its kind: %w", err)
	}
	is, ok := found[balancer.ID]
	if !ok {
		return Balancer{}, absent{advice.Add(errors.New("there is no such load balancer in the region"), codes[5000].do)}
	}
	return is, nil
}

// readAs reads a load balancer as what is known of it.
func (c *Client) readAs(ctx context.Context, balancer lb.CLB, m memory) (r lb.Reading, err error) {
	err = c.either(ctx, m.api == V3 && m.week == week(c.Now()), func(by API) (err error) {
		switch {
		case m.kind == lb.Application:
			r, err = c.readApplication(ctx, by, balancer, m)
		case by == V3:
			r, err = c.readClassicV3(ctx, balancer, m)
		default:
			r, err = c.readClassicV2(ctx, balancer, m)
		}
		return err
	})
	return r, err
}

// readClassicV2 reads a classic load balancer by API 2.0.
func (c *Client) readClassicV2(ctx context.Context, balancer lb.CLB, m memory) (lb.Reading, error) {
	known := ""
	if m.api == V2 {
		known = m.sum
	}
	got, err := c.readWhole(ctx, balancer, known)
	if err != nil {
		return lb.Reading{}, err
	}
	health, r := c.readHealth(ctx, V2, balancer, m, &memory{api: V2, sum: got.sum})
	if r.Unchanged {
		return r, nil
	}
	if got.unchanged { // only its health is new
		if got, err = c.readWhole(ctx, balancer, ""); err != nil {
			return lb.Reading{}, err
		}
	}
	health.apply(got.backends)
	r.Backends = got.backends
	return r, nil
}

// paged is what readWhole reads.
type paged struct {
	backends  []lb.Backend // nil if unchanged
	sum       string       // over each page, joined by "."
	unchanged bool
}

// readWhole reads by API 2.0, page by page, until the pages fit together. If backends come and go between two pages, one
// may be missed without any page looking wrong: what has several pages and is new must be read alike twice in a row.
func (c *Client) readWhole(ctx context.Context, balancer lb.CLB, known string) (paged, error) {
	r, err := c.readOnce(ctx, balancer, known)
	if errors.Is(err, errShifted) {
		r, err = c.readOnce(ctx, balancer, "")
	}
	for range maxRereads {
		if err != nil || r.unchanged || !strings.Contains(r.sum, ".") {
			return r, err
		}
		var again paged
		if again, err = c.readOnce(ctx, balancer, r.sum); again.unchanged {
			return r, err
		}
		r = again
	}
	if err == nil {
		err = fmt.Errorf("%w: the list is another at each of %d readings", errShifted, maxRereads+1)
	}
	return paged{}, err
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
	if errors.Is(err, lb.ErrNotFound) {
		return absent{clean}
	}
	return clean
}

func (c *Client) readOnce(ctx context.Context, balancer lb.CLB, known string) (paged, error) {
	knownSums := strings.Split(known, ".")
	unchanged := known != ""
	var pool pool
	var sums []string
	var same []page // pages that are as known, not decoded as long as all are
	var bodies [][]byte
	defer func() { c.free(bodies...) }() // a pool has what it needs
	for n := range maxPages {
		expect := ""
		if unchanged && n < len(knownSums) {
			expect = knownSums[n]
		}
		p, err := c.call(ctx, backendsOf(balancer, n*pageSize), expect)
		if err != nil {
			return paged{}, err
		}
		sums, bodies = append(sums, p.sum), append(bodies, p.body)
		if p.answer == nil {
			if len(sums) == len(knownSums) {
				return paged{sum: known, unchanged: true}, nil
			}
			same = append(same, p)
			continue
		}
		unchanged = false
		for _, p := range append(same, p) {
			if err := pool.add(p); err != nil {
				return paged{}, err
			}
		}
		same = nil
		if pool.whole() {
			lb.SortBackends(pool.backends)
			return paged{backends: pool.backends, sum: strings.Join(sums, ".")}, nil
		}
	}
	return paged{}, fmt.Errorf("more than %d backends: not a plausible answer", maxPages*pageSize)
}

// call makes one call until it has an answer with code 0, or an error that another attempt would not mend. Every attempt
// waits for its turn under the rate and has a timestamp, nonce and signature of its own.
func (c *Client) call(ctx context.Context, q request, expect string) (page, error) {
	pause := firstBackoff
	resigned := false
	for n := 1; ; n++ {
		if err := c.await(ctx, q.region+" 2.0 "+q.action); err != nil {
			return page{}, err
		}
		p, err := c.attempt(ctx, q)
		if err == nil && p.sum != expect {
			p.answer, err = decodeV2(p.body)
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
	return advice.Add(fmt.Errorf("no time left for its turn at CLB_RATE calls a second: %w", err), watch.DoTime)
}

// attempt sends one signed request and returns the body of a 200 answer.
func (c *Client) attempt(ctx context.Context, q request) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint.String(), strings.NewReader(c.form(q)))
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return page{}, c.unreached(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	body, err := c.readBody(resp.Body, maxBody)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return page{}, transient{advice.Add(fmt.Errorf("the API answers %d: too many calls", resp.StatusCode), doSlower)}
	case resp.StatusCode >= 500:
		return page{}, transient{advice.Add(fmt.Errorf("the API answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)), doWait)}
	case resp.StatusCode != http.StatusOK:
		return page{}, advice.Add(fmt.Errorf("the API answers %d, expected 200", resp.StatusCode), "see whether CLB_ENDPOINT is right")
	case err != nil:
		return page{}, err
	}
	sum := sha256.Sum256(body)
	return page{body: body, sum: base64.RawURLEncoding.EncodeToString(sum[:16])}, nil
}

// readBody reads an answer of at most limit bytes.
func (c *Client) readBody(r io.Reader, limit int64) ([]byte, error) {
	buf := bytes.NewBuffer(c.room())
	n, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, transient{fmt.Errorf("the answer broke off after %d bytes: %w", n, err)}
	}
	if n > limit {
		return nil, fmt.Errorf("the answer has more than %d bytes: not a plausible one", limit)
	}
	return buf.Bytes(), nil
}

// room is an empty buffer for an answer, one that was used before if there is any: most answers are as they were, and
// making room for each was most of the work of a tick.
func (c *Client) room() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.spare) - 1
	if last < 0 {
		return make([]byte, 0, firstRoom)
	}
	b := c.spare[last]
	c.spare = c.spare[:last]
	return b
}

// free gives answers back that nobody looks at any more. One that is not given back is left to the garbage collector.
func (c *Client) free(bodies ...[]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range bodies {
		if 0 < cap(b) && cap(b) <= maxSpare && len(c.spare) < maxSpares {
			c.spare = append(c.spare, b[:0])
		}
	}
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
	form := url.Values{"Signature": {sign(http.MethodPost, c.Endpoint.Hostname(), c.Endpoint.Path, params, c.Credentials.SecretKey)}}
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

// unreached is an error of the transport, without the request's URL.
func (c *Client) unreached(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	err = advice.Add(fmt.Errorf("call the API: %w", err), reach(c.Endpoint, "CLB_ENDPOINT"))
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" { // a name that is not there is one too
		err = unreachable{err}
	}
	return transient{err}
}

// reach is what to do where an endpoint does not answer.
func reach(u *url.URL, setting string) string {
	return "see whether " + u.Hostname() + " can be reached from here: DNS, firewall, proxy, " + setting
}
