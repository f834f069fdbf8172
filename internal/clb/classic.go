package clb

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"clbwatch/internal/lb"
)

// readClassicV2 reads a classic load balancer by API 2.0.
func (c *Client) readClassicV2(ctx context.Context, balancer lb.CLB, m memory) (lb.Reading, error) {
	l := c.parts().room.lease()
	defer l.keep(0)
	known := ""
	if m.api == V2 {
		known = m.sum
	}
	got, err := c.readWhole(ctx, l, balancer, known)
	if err != nil {
		return lb.Reading{}, err
	}
	health, r := c.readHealth(ctx, l, V2, balancer, m, &memory{api: V2, sum: got.sum})
	if r.Unchanged {
		return r, nil
	}
	if got.unchanged { // only its health is new
		if got, err = c.readWhole(ctx, l, balancer, ""); err != nil {
			return lb.Reading{}, err
		}
	}
	health.apply(got.backends)
	got.into(&r)
	return r, nil
}

// rows are what an answer has, as far as it tells.
type rows struct {
	backends []lb.Backend
	odd      []string // the first maxOdd
	unnamed  int
	statuses int // backends whose rows have a status, whatever it is
}

// check returns an error if no row has what every row should have: then this is an answer of another form. n
// is how many rows there are.
func (r *rows) check(n int, id, status string) error {
	switch {
	case n > 0 && len(r.backends) == 0:
		return fmt.Errorf("no row of the answer has a plausible %s", id)
	case n > 0 && r.statuses == 0:
		return fmt.Errorf("no row of the answer has an %s", status)
	}
	return nil
}

// Bounds of what a reading says of odd rows: how many, and each in bytes.
const (
	maxOdd  = 5
	oddText = 120
)

// note keeps what is odd about a row.
func (r *rows) note(format string, args ...any) {
	if len(r.odd) < maxOdd {
		r.odd = append(r.odd, cut(fmt.Sprintf(format, args...), oddText))
	}
}

func (r *rows) into(to *lb.Reading) {
	to.Backends, to.Odd, to.Unnamed = r.backends, r.odd, r.unnamed
	if to.Backends == nil {
		to.Backends = []lb.Backend{}
	}
}

// add takes a backend, unless one of its id is there already: what they say differently is not known then.
func (r *rows) add(at map[string]int, b lb.Backend) {
	i, twice := at[b.ID]
	if !twice {
		at[b.ID] = len(r.backends)
		r.backends = append(r.backends, b)
		return
	}
	r.note("%s is in the answer twice", b.ID)
	is := &r.backends[i]
	if is.Status != b.Status {
		is.Status = lb.Unknown
	}
	if is.Weight != b.Weight {
		is.Weight = lb.UnknownWeight
	}
	if !reflect.DeepEqual(is.WanIPs, b.WanIPs) {
		is.WanIPs = nil
	}
}

// paged is what readWhole reads.
type paged struct {
	rows             // none if unchanged
	sum       string // over each page, joined by "."
	unchanged bool
}

// readWhole reads by API 2.0, page by page, until the pages fit together. If backends come and go between two
// pages, one may be missed without any page looking wrong: what has several pages and is new must be read
// alike twice in a row.
func (c *Client) readWhole(ctx context.Context, l *lease, balancer lb.CLB, known string) (paged, error) {
	r, err := c.readOnce(ctx, l, balancer, known)
	if errors.Is(err, errShifted) {
		r, err = c.readOnce(ctx, l, balancer, "")
	}
	for range maxRereads {
		if err != nil || r.unchanged || !strings.Contains(r.sum, ".") {
			return r, err
		}
		var again paged
		if again, err = c.readOnce(ctx, l, balancer, r.sum); again.unchanged {
			return r, err
		}
		r = again
	}
	if err == nil {
		err = fmt.Errorf("%w: the list is another at each of %d readings", errShifted, maxRereads+1)
	}
	return paged{}, err
}

func (c *Client) readOnce(ctx context.Context, l *lease, balancer lb.CLB, known string) (paged, error) {
	knownSums := strings.Split(known, ".")
	unchanged := known != ""
	var pool pool
	var sums []string
	var same []page // pages that are as known, not decoded as long as all are
	var bodies [][]byte
	defer func() { // a pool has what it needs
		l.free(bodies...)
		l.keep(0)
	}()
	for n := range maxPages {
		expect := ""
		if unchanged && n < len(knownSums) {
			expect = knownSums[n]
		}
		p, err := c.call(ctx, l, backendsOf(balancer, n*pageSize), expect)
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
			rows, err := pool.done()
			return paged{rows: rows, sum: strings.Join(sums, ".")}, err
		}
	}
	return paged{}, fmt.Errorf("more than %d backends: not a plausible answer", maxPages*pageSize)
}

// pool gathers the pages of one reading.
type pool struct {
	rows
	at    map[string]int // in backends, by id
	total int
	n     int // rows so far
	pages int
}

// errShifted: the pages of one reading do not fit together.
var errShifted = errors.New("the pages do not fit together")

// add takes the next page. Its rows count whatever they say: how many backends there are, the answer says
// itself.
func (p *pool) add(next page) error {
	a := next.answer
	if a == nil {
		var err error
		if a, err = decodeV2(next.body); err != nil {
			return err
		}
	}
	switch {
	case a.TotalCount == nil || *a.TotalCount < 0:
		return errors.New("the answer has no totalCount")
	case *a.TotalCount > maxPages*pageSize:
		return fmt.Errorf("the answer's totalCount is %d: not a plausible one", *a.TotalCount)
	case !a.BackendSet.there, a.BackendSet.null && *a.TotalCount > 0:
		return errors.New("the answer has no backendSet")
	case p.pages > 0 && int(*a.TotalCount) != p.total:
		return fmt.Errorf("%w: totalCount was %d, now %d", errShifted, p.total, *a.TotalCount)
	}
	set := a.BackendSet.of
	p.total = int(*a.TotalCount)
	p.pages++
	if p.at == nil {
		p.at = make(map[string]int, p.total)
	}
	before := len(p.backends)
	for i, r := range set {
		b, ok := r.backend(&p.rows)
		if !ok {
			p.note("row %d has no unInstanceId", p.n+i+1)
			continue
		}
		if at, twice := p.at[b.ID]; twice && at < before { // on an earlier page
			return fmt.Errorf("%w: %.60q is in it twice", errShifted, b.ID)
		}
		p.rows.add(p.at, b)
	}
	if p.n += len(set); len(p.backends) > p.total {
		return fmt.Errorf("the answer has more backends than its totalCount %d", p.total)
	}
	if len(set) < pageSize && p.n < p.total {
		return fmt.Errorf("%w: page %d has %d backends, with %d of %d", errShifted, p.pages, len(set), p.n,
			p.total)
	}
	return nil
}

func (p *pool) whole() bool { return p.n >= p.total }

// done is what was gathered.
func (p *pool) done() (rows, error) {
	p.unnamed = p.total - len(p.backends)
	lb.SortBackends(p.backends)
	return p.rows, p.check(p.n, "unInstanceId", "instanceStatus")
}

// backend is the backend of a row; ok is false if the row does not say which it is.
func (r row) backend(of *rows) (b lb.Backend, ok bool) {
	b = lb.Backend{ID: string(r.UnInstanceID), Name: string(r.InstanceName),
		LanIP: string(r.LanIP), WanIPs: r.WanIPSet}
	ok = of.say(&b, "instanceStatus", r.InstanceStatus, "weight", r.Weight)
	return b, ok
}

// say gives a backend the status and the weight that its row says, and notes what is odd about them. It
// returns false if the row does not say which backend it is. The names are those of the API's fields.
func (r *rows) say(b *lb.Backend, statusName string, status num, weightName string, weight num) bool {
	b.Status, b.Weight = lb.Status(status.v), weight.weight()
	if !plausibleInstance(b.ID) {
		return false
	}
	if !status.ok {
		r.note("%s has no %s", b.ID, statusName)
		b.Status = lb.Unknown
	}
	if status.there {
		r.statuses++
	}
	if weight.there && !weight.ok {
		r.note("%s has no %s", b.ID, weightName)
	}
	return true
}

// plausibleInstance reports whether an id can be one of a backend.
func plausibleInstance(id string) bool { return id != "" && len(id) <= 100 }

// describeClassic reads a classic load balancer. It has no pages and no total.
// Source: https://cloud.tencent.com/document/api/214/31790.
var describeClassic = action{"clb", "2018-03-17", "DescribeClassicalLBTargets"}

// readClassicV3 reads a classic load balancer by API 3.0.
func (c *Client) readClassicV3(ctx context.Context, balancer lb.CLB, m memory) (r lb.Reading, err error) {
	l := c.parts().room.lease()
	defer l.keep(0)
	next := memory{api: V3}
	var got *rows
	var answer []byte
	defer func() { l.free(answer) }()
	decode := func() error {
		done, err := l.decoding(ctx, len(answer))
		if err != nil {
			return err
		}
		defer done()
		got, err = decodeClassic(answer)
		return err
	}
	params := map[string]any{"LoadBalancerId": balancer.ID}
	err = c.callV3(ctx, l, balancer.Region, describeClassic, params, func(body []byte) (err error) {
		answer = body
		if next.sum, err = sumV3(body); err != nil {
			return err
		}
		if m.api != V3 || m.sum != next.sum {
			return decode() // now, while a damaged answer can be asked for again
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	health, r := c.readHealth(ctx, l, V3, balancer, m, &next)
	if r.Unchanged {
		return r, nil
	}
	if got == nil { // only its health is new, or the week
		if err := decode(); err != nil {
			return lb.Reading{}, err
		}
	}
	health.apply(got.backends)
	got.into(&r)
	return r, nil
}

// target is one backend of an answer of API 3.0.
type target struct {
	InstanceID         str `json:"InstanceId"`
	InstanceName       str
	PrivateIPAddresses strs `json:"PrivateIpAddresses"`
	PublicIPAddresses  strs `json:"PublicIpAddresses"`
	RunFlag            num
	Weight             num
}

// classicTargets is an answer of DescribeClassicalLBTargets.
type classicTargets struct {
	Response *struct{ Targets list[target] }
}

// decodeClassic reads an answer. Targets may be null, which says that there are none, but must be there.
func decodeClassic(body []byte) (*rows, error) {
	var a classicTargets
	if err := decodeAnswer(body, &a); err != nil {
		return nil, err
	}
	if a.Response == nil || !a.Response.Targets.there {
		return nil, errors.New("the answer has no Targets")
	}
	targets := a.Response.Targets.of
	if len(targets) > maxPages*pageSize {
		return nil, fmt.Errorf("more than %d backends: not a plausible answer", maxPages*pageSize)
	}
	got := &rows{backends: make([]lb.Backend, 0, len(targets))}
	at := make(map[string]int, len(targets))
	for i, t := range targets {
		b, ok := t.backend(got)
		if !ok {
			got.note("target %d has no InstanceId", i+1)
			continue
		}
		got.add(at, b)
	}
	got.unnamed = len(targets) - len(got.backends)
	lb.SortBackends(got.backends)
	return got, got.check(len(targets), "InstanceId", "RunFlag")
}

// backend is the same that API 2.0 gives for the instance; ok is false if the row does not say which it is.
func (t target) backend(of *rows) (b lb.Backend, ok bool) {
	b = lb.Backend{ID: string(t.InstanceID), Name: string(t.InstanceName), WanIPs: t.PublicIPAddresses}
	if len(t.PrivateIPAddresses) > 0 {
		b.LanIP = t.PrivateIPAddresses[0]
	}
	ok = of.say(&b, "RunFlag", t.RunFlag, "Weight", t.Weight)
	return b, ok
}
