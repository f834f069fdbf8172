package clb

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"clbwatch/internal/lb"
)

// Health is read where it is asked for: of an application load balancer by API 3.0, in one call; of a classic
// one by API 2.0 in one call, by API 3.0 in one for its listeners and one for each of them.
var (
	// https://cloud.tencent.com/document/api/214/34898
	describeTargetHealth = action{"clb", "2018-03-17", "DescribeTargetHealth"}
	// https://cloud.tencent.com/document/api/214/31791
	describeClassicListeners = action{"clb", "2018-03-17", "DescribeClassicalLBListeners"}
	// https://cloud.tencent.com/document/api/214/31792
	describeClassicHealth = action{"clb", "2018-03-17", "DescribeClassicalLBHealthStatus"}
)

// verdict is what a health check says.
type verdict string

const (
	passes  verdict = "passes"
	fails   verdict = "fails"
	unclear verdict = "unclear" // not decided yet
)

// probe is the health check of one port of one backend.
type probe struct {
	ip, instance string // one of them may be ""
	on           lb.Binding
	alias        string // another id of on: it may be a rule that does not tell its domain
	verdict      verdict
}

// probes are all health checks of a load balancer.
type probes struct {
	all []probe
	odd int // rows that do not tell what they are about
}

// sum stands for them, in whatever order they came.
func (ps probes) sum() string {
	lines := make([]string, len(ps.all))
	for i, p := range ps.all {
		lines[i] = fmt.Sprintf("%s %s %s %s %s\n", p.ip, p.instance, p.on.ID, p.on, p.verdict)
	}
	slices.Sort(lines)
	lines = append(lines, fmt.Sprint(ps.odd))
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// apply gives backends their health. A check is of the backend at its address, and on its port; only if there
// is none, of the one with its id: a network interface on an instance is another backend than the instance.
// What is told of a backend that is not bound is nobody's.
func (ps probes) apply(bs []lb.Backend) {
	at, by := make(map[string][]int), make(map[string][]int)
	for i, b := range bs {
		if b.LanIP != "" {
			at[b.LanIP] = append(at[b.LanIP], i)
		}
		for _, ip := range b.WanIPs {
			at[ip] = append(at[ip], i)
		}
		by[b.ID] = append(by[b.ID], i)
	}
	seen := make(map[check]bool)
	for _, p := range ps.all {
		i, on := p.backend(bs, at[p.ip], by[p.instance])
		if i < 0 {
			continue
		}
		if on == nil || on.Listener == "" { // an odd row: the check itself says which listener it is of
			on = &p.on
		}
		b, name := &bs[i], on.String()
		what := check{i, p.on.ID, name, p.on.Port}
		if seen[what] {
			continue
		}
		seen[what] = true
		b.Checked++
		switch p.verdict {
		case fails:
			b.Failing = append(b.Failing, name)
		case unclear:
			b.Unclear = append(b.Unclear, name)
		default:
			if ps.odd > 0 {
				b.Passing = append(b.Passing, name)
			}
		}
	}
	for i := range bs {
		slices.Sort(bs[i].Failing)
		// nobody knows its address
		bs[i].VagueHealth = ps.odd > 0 || len(ps.all) > 0 && bs[i].LanIP == "" && bs[i].Checked == 0
	}
}

// check is one of a backend.
type check struct {
	backend  int
	id, name string
	port     int
}

// backend is which backend a check is of, below 0 if of none, and which of its bindings, nil if it has none:
// those at the address come first, and among them one that is bound there.
func (p probe) backend(bs []lb.Backend, at, by []int) (i int, on *lb.Binding) {
	for _, which := range [][]int{at, by} {
		for _, i := range which {
			for j := range bs[i].Bindings {
				if on := &bs[i].Bindings[j]; p.is(*on) {
					return i, on
				}
			}
		}
	}
	for _, which := range [][]int{at, by} {
		if len(which) > 0 {
			return which[0], nil
		}
	}
	return -1, nil
}

// is reports whether a check is of a binding.
func (p probe) is(on lb.Binding) bool {
	if p.on.Port != on.Port {
		return false
	}
	if p.on.ID != "" && on.ID != "" {
		return p.on.ID == on.ID || p.alias == on.ID
	}
	return p.on.Listener == on.Listener && p.on.Rule == on.Rule
}

// readHealth reads the health of a load balancer's backends, if it is to be read, and begins the Reading.
// next is what will be known after it.
func (c *Client) readHealth(ctx context.Context, l *lease, by API, balancer lb.CLB, m memory,
	next *memory) (ps probes, r lb.Reading) {
	r.Kind = next.kind
	before := l.bytes
	defer l.keep(before)
	if c.API == Auto && by == V3 {
		next.week = week(c.Now())
	}
	if c.Health {
		switch {
		case next.kind == lb.Application:
			ps, r.HealthErr = c.targetHealth(ctx, l, balancer)
		case by == V3:
			ps, r.HealthErr = c.classicHealthV3(ctx, l, balancer)
		default:
			ps, r.HealthErr = c.classicHealthV2(ctx, l, balancer)
		}
		r.HealthErr = c.redact(r.HealthErr)
		if r.Health = r.HealthErr == nil; r.Health {
			next.health = ps.sum()
		} else if next.health = m.health; *next != m {
			next.health = "-" // what is new among the backends has no health yet
		}
	}
	r.Digest = next.digest()
	r.Unchanged = *next == m
	r.Remember = next.week != "" && (m.api != V3 || m.week != next.week)
	return ps, r
}

// targetHealth reads the health of an application load balancer.
func (c *Client) targetHealth(ctx context.Context, l *lease, balancer lb.CLB) (ps probes, err error) {
	params := map[string]any{"LoadBalancerIds": []string{balancer.ID}}
	err = c.callV3(ctx, l, balancer.Region, describeTargetHealth, params, func(body []byte) error {
		done, err := l.decoding(ctx, len(body))
		if err != nil {
			return err
		}
		defer done()
		ps, err = decodeTargetHealth(body, balancer.ID)
		return err
	})
	return ps, err
}

// healthV3 is an answer of DescribeTargetHealth.
type healthV3 struct {
	Response *struct {
		LoadBalancers list[struct {
			ID        str `json:"LoadBalancerId"`
			Listeners list[struct {
				ListenerID str `json:"ListenerId"`
				Protocol   str
				Port       num
				Rules      list[struct {
					LocationID str `json:"LocationId"`
					Domain     told
					URL        told `json:"Url"`
					Targets    list[struct {
						IP           str
						TargetID     str `json:"TargetId"`
						Port         num
						HealthStatus *truth
						Detail       str `json:"HealthStatusDetail"`
						Detial       str `json:"HealthStatusDetial"` // as it was written first
					}]
				}]
			}]
		}]
	}
}

// truth is true or false; what is neither is not known.
type truth struct{ yes, no bool }

// UnmarshalJSON reads true and false.
func (t *truth) UnmarshalJSON(b []byte) error {
	t.yes, t.no = string(b) == "true", string(b) == "false"
	return nil
}

// decodeTargetHealth reads an answer. One about no load balancer says that nothing is checked.
func decodeTargetHealth(body []byte, id string) (ps probes, err error) {
	var a healthV3
	if err := decodeAnswer(body, &a); err != nil {
		return ps, err
	}
	if a.Response == nil || !a.Response.LoadBalancers.there {
		return ps, errors.New("the answer has no LoadBalancers")
	}
	mine := a.Response.LoadBalancers.of
	if len(mine) == 0 {
		return ps, nil
	}
	at := 0
	for i, b := range mine {
		if string(b.ID) == id {
			at = i
		}
	}
	if is := string(mine[at].ID); is != id && (is != "" || len(mine) > 1) {
		return ps, errors.New("the answer is not about the load balancer that was asked for")
	}
	for _, l := range mine[at].Listeners.of {
		o := listenerOn(l.Protocol, l.Port, num{}, l.ListenerID)
		for _, rule := range l.Rules.of {
			on := o
			if rule.Domain.s != "" || rule.URL.s != "" || rule.LocationID != "" && !o.named {
				on = o.rule(rule.Domain, nil, rule.URL, rule.LocationID)
			}
			for _, t := range rule.Targets.of {
				detail := cmp.Or(t.Detail, t.Detial)
				p := probe{ip: string(t.IP), instance: string(t.TargetID), on: on.Binding, verdict: unclear}
				p.on.Port = portOf(t.Port)
				if id := plausibleOrNone(rule.LocationID); id != "" && on.ID == o.ID {
					p.alias = o.ID + "/" + id
				}
				switch status := t.HealthStatus; {
				case detail == "Unknown":
				case status != nil && status.no, (status == nil || !status.yes) && detail == "Dead":
					p.verdict = fails
				case status != nil && status.yes, detail == "Alive":
					p.verdict = passes
				}
				ps.add(p, t.Port.ok && (on.named || on.ID != "") && (t.IP != "" || t.TargetID != ""))
			}
		}
	}
	return ps, nil
}

// add takes the next check, if it tells what it is about.
func (ps *probes) add(p probe, ok bool) {
	if ok {
		ps.all = append(ps.all, p)
	} else {
		ps.odd++
	}
}

// classicHealthV3 reads the health of a classic load balancer, listener by listener.
func (c *Client) classicHealthV3(ctx context.Context, l *lease, balancer lb.CLB) (all probes, err error) {
	var listeners []string
	params := map[string]any{"LoadBalancerId": balancer.ID}
	err = c.callV3(ctx, l, balancer.Region, describeClassicListeners, params, func(body []byte) (err error) {
		listeners, all.odd, err = decodeListeners(body)
		return err
	})
	if err != nil {
		return probes{}, err
	}
	for _, id := range listeners {
		var ps probes
		params := map[string]any{"LoadBalancerId": balancer.ID, "ListenerId": id}
		err := c.callV3(ctx, l, balancer.Region, describeClassicHealth, params,
			func(body []byte) (err error) {
				ps, err = decodeClassicHealth(body)
				return err
			})
		if err != nil {
			return probes{}, err
		}
		all.all, all.odd = append(all.all, ps.all...), all.odd+ps.odd
	}
	return all, nil
}

// listenersV3 is an answer of DescribeClassicalLBListeners.
type listenersV3 struct {
	Response *struct {
		Listeners list[struct {
			ID           str `json:"ListenerId"`
			HealthSwitch num
		}]
	}
}

// decodeListeners returns the ids of the listeners that check health, and how many have none.
func decodeListeners(body []byte) (ids []string, odd int, err error) {
	var a listenersV3
	if err := decodeAnswer(body, &a); err != nil {
		return nil, 0, err
	}
	if a.Response == nil || !a.Response.Listeners.there {
		return nil, 0, errors.New("the answer has no Listeners")
	}
	for _, l := range a.Response.Listeners.of {
		switch {
		case l.ID == "":
			odd++
		case !l.HealthSwitch.ok || l.HealthSwitch.v != 0:
			ids = append(ids, string(l.ID))
		}
	}
	return ids, odd, nil
}

// classicHealthAnswer is an answer of DescribeClassicalLBHealthStatus.
type classicHealthAnswer struct {
	Response *struct {
		HealthList list[struct {
			IP           str
			Protocol     str
			Port         num
			ListenerPort num
			HealthStatus num
		}]
	}
}

func decodeClassicHealth(body []byte) (ps probes, err error) {
	var a classicHealthAnswer
	if err := decodeAnswer(body, &a); err != nil {
		return ps, err
	}
	if a.Response == nil || !a.Response.HealthList.there {
		return ps, errors.New("the answer has no HealthList")
	}
	for _, h := range a.Response.HealthList.of {
		ps.addClassic(h.IP, h.Protocol, h.ListenerPort, h.Port, h.HealthStatus)
	}
	return ps, nil
}

// healthV2 is a row of the data of an answer of DescribeLBHealthStatus.
type healthV2 struct {
	IP           str
	Protocol     str
	Port, VPort  num
	HealthStatus num
}

// classicHealthV2 reads the health of a classic load balancer by API 2.0: DescribeLBHealthStatus,
// https://cloud.tencent.com/document/api/214/1326.
func (c *Client) classicHealthV2(ctx context.Context, l *lease, balancer lb.CLB) (ps probes, err error) {
	q := request{"DescribeLBHealthStatus", balancer.Region, map[string]string{"loadBalancerId": balancer.ID}}
	p, err := c.call(ctx, l, q, "")
	if err != nil {
		return ps, err
	}
	var rows list[healthV2]
	if err := lenient(p.answer.Data, &rows); err != nil || !rows.there {
		return ps, errors.New("the answer has no data, or not that of health")
	}
	for _, h := range rows.of {
		ps.addClassic(h.IP, h.Protocol, h.VPort, h.Port, h.HealthStatus)
	}
	return ps, nil
}

// addClassic takes the next check of a classic load balancer.
func (ps *probes) addClassic(ip, protocol str, listener, port, status num) {
	o := listenerOn(protocol, listener, num{}, "")
	p := probe{ip: string(ip), on: o.Binding, verdict: passes}
	p.on.Port = portOf(port)
	switch {
	case !status.ok, status.v < 0: // below 0 by API 2.0 until 2017
		p.verdict = unclear
	case status.v == 0:
		p.verdict = fails
	}
	ps.add(p, ip != "" && o.named && port.ok)
}
