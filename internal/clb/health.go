package clb

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"clbwatch/internal/lb"
)

// Health is read where it is asked for: of an application load balancer by API 3.0, in one call; of a classic one by API
// 2.0 in one call, by API 3.0 in one for its listeners and one for each of them.
var (
	describeTargetHealth     = action{"clb", "2018-03-17", "DescribeTargetHealth"}            // https://cloud.tencent.com/document/api/214/34898
	describeClassicListeners = action{"clb", "2018-03-17", "DescribeClassicalLBListeners"}    // https://cloud.tencent.com/document/api/214/31791
	describeClassicHealth    = action{"clb", "2018-03-17", "DescribeClassicalLBHealthStatus"} // https://cloud.tencent.com/document/api/214/31792
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
	verdict      verdict
}

// probes are all health checks of a load balancer.
type probes []probe

// sum stands for them, in whatever order they came.
func (ps probes) sum() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = fmt.Sprintf("%s %s %s %s\n", p.ip, p.instance, p.on, p.verdict)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// apply gives backends their health. What is told of a backend that is not bound is nobody's.
func (ps probes) apply(bs []lb.Backend) {
	by := make(map[string]*lb.Backend)
	for i := range bs {
		if b := &bs[i]; b.LanIP != "" {
			by[b.LanIP] = b
		}
		for _, ip := range bs[i].WanIPs {
			by[ip] = &bs[i]
		}
	}
	for i := range bs {
		by[bs[i].ID] = &bs[i]
	}
	for _, p := range ps {
		b, ok := by[p.instance]
		if !ok || p.instance == "" {
			b, ok = by[p.ip]
		}
		if !ok {
			continue
		}
		b.Checked++
		switch name := p.on.String(); p.verdict {
		case fails:
			b.Failing = append(b.Failing, name)
		case unclear:
			b.Unclear = append(b.Unclear, name)
		}
	}
	for i := range bs {
		slices.Sort(bs[i].Failing)
		bs[i].Failing = slices.Compact(bs[i].Failing)
	}
}

// readHealth reads the health of a load balancer's backends, if it is to be read, and begins the Reading. next is what
// will be known after it.
func (c *Client) readHealth(ctx context.Context, by API, balancer lb.CLB, m memory, next *memory) (ps probes, r lb.Reading) {
	r.Kind = next.kind
	if c.API == Auto && by == V3 {
		next.week = week(c.Now())
	}
	if c.Health {
		switch {
		case next.kind == lb.Application:
			ps, r.HealthErr = c.targetHealth(ctx, balancer)
		case by == V3:
			ps, r.HealthErr = c.classicHealthV3(ctx, balancer)
		default:
			ps, r.HealthErr = c.classicHealthV2(ctx, balancer)
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
func (c *Client) targetHealth(ctx context.Context, balancer lb.CLB) (ps probes, err error) {
	err = c.callV3(ctx, balancer.Region, describeTargetHealth, map[string]any{"LoadBalancerIds": []string{balancer.ID}}, func(body []byte) (err error) {
		ps, err = decodeTargetHealth(body, balancer.ID)
		return err
	})
	return ps, err
}

func decodeTargetHealth(body []byte, id string) (ps probes, err error) {
	var a struct {
		Response *struct {
			LoadBalancers *[]struct {
				ID        string `json:"LoadBalancerId"`
				Listeners []struct {
					Protocol string
					Port     *number
					Rules    []struct {
						Domain, URL json.RawMessage
						Targets     []struct {
							IP, TargetID json.RawMessage
							Port         *number
							HealthStatus *bool
							Detail       json.RawMessage `json:"HealthStatusDetail"`
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	if a.Response == nil || a.Response.LoadBalancers == nil || len(*a.Response.LoadBalancers) != 1 || (*a.Response.LoadBalancers)[0].ID != id {
		return nil, errors.New("the answer is not about the one load balancer that was asked for")
	}
	for _, l := range (*a.Response.LoadBalancers)[0].Listeners {
		if l.Protocol == "" || l.Port == nil {
			return nil, errors.New("a listener has no Protocol or no Port")
		}
		on := lb.Binding{Listener: listenerName(l.Protocol, *l.Port)}
		for _, rule := range l.Rules {
			on.Rule = text(rule.Domain) + text(rule.URL)
			for _, t := range rule.Targets {
				if t.Port == nil || t.HealthStatus == nil {
					return nil, errors.New("a target has no Port or no HealthStatus")
				}
				on.Port = portOf(t.Port)
				p := probe{text(t.IP), text(t.TargetID), on, passes}
				switch {
				case text(t.Detail) == "Unknown":
					p.verdict = unclear
				case !*t.HealthStatus:
					p.verdict = fails
				}
				ps = append(ps, p)
			}
		}
	}
	return ps, nil
}

// classicHealthV3 reads the health of a classic load balancer, listener by listener.
func (c *Client) classicHealthV3(ctx context.Context, balancer lb.CLB) (all probes, err error) {
	var listeners []string
	err = c.callV3(ctx, balancer.Region, describeClassicListeners, map[string]any{"LoadBalancerId": balancer.ID}, func(body []byte) error {
		listeners, err = decodeListeners(body)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range listeners {
		var ps probes
		err := c.callV3(ctx, balancer.Region, describeClassicHealth, map[string]any{"LoadBalancerId": balancer.ID, "ListenerId": id}, func(body []byte) (err error) {
			ps, err = decodeClassicHealth(body)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, ps...)
	}
	return all, nil
}

// decodeListeners returns the ids of the listeners that check health.
func decodeListeners(body []byte) (ids []string, err error) {
	var a struct {
		Response *struct {
			Listeners list[struct {
				ID           string `json:"ListenerId"`
				HealthSwitch *number
			}]
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	if a.Response == nil || !a.Response.Listeners.there {
		return nil, errors.New("the answer has no Listeners")
	}
	for _, l := range a.Response.Listeners.of {
		if l.ID == "" {
			return nil, errors.New("a listener has no ListenerId")
		}
		if l.HealthSwitch == nil || *l.HealthSwitch != 0 {
			ids = append(ids, l.ID)
		}
	}
	return ids, nil
}

func decodeClassicHealth(body []byte) (ps probes, err error) {
	var a struct {
		Response *struct {
			HealthList list[struct {
				IP           json.RawMessage
				Protocol     string
				Port         *number
				ListenerPort *number
				HealthStatus *number
			}]
		}
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	if a.Response == nil || !a.Response.HealthList.there {
		return nil, errors.New("the answer has no HealthList")
	}
	for _, h := range a.Response.HealthList.of {
		p, err := classicProbe(text(h.IP), h.Protocol, h.ListenerPort, h.Port, h.HealthStatus)
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// classicHealthV2 reads the health of a classic load balancer by API 2.0: DescribeLBHealthStatus,
// https://cloud.tencent.com/document/api/214/1326.
func (c *Client) classicHealthV2(ctx context.Context, balancer lb.CLB) (ps probes, err error) {
	p, err := c.call(ctx, request{"DescribeLBHealthStatus", balancer.Region, map[string]string{"loadBalancerId": balancer.ID}}, "")
	if err != nil {
		return nil, err
	}
	var rows *[]struct {
		IP           json.RawMessage
		Protocol     string
		Port, VPort  *number
		HealthStatus *number
	}
	if err := json.Unmarshal(p.answer.Data, &rows); err != nil || rows == nil {
		return nil, errors.New("the answer has no data, or not that of health")
	}
	for _, h := range *rows {
		p, err := classicProbe(text(h.IP), h.Protocol, h.VPort, h.Port, h.HealthStatus)
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func classicProbe(ip, protocol string, listener, port, status *number) (probe, error) {
	if ip == "" || protocol == "" || listener == nil || port == nil || status == nil {
		return probe{}, errors.New("a health check has no IP, protocol, port or status")
	}
	p := probe{ip: ip, on: lb.Binding{Listener: listenerName(protocol, *listener), Port: portOf(port)}, verdict: passes}
	switch {
	case *status == 0:
		p.verdict = fails
	case *status < 0: // of API 2.0 until 2017
		p.verdict = unclear
	}
	return p, nil
}
