package clb

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"clbwatch/internal/lb"
)

// An application load balancer's answer is a tree: listeners, the rules of those that have some, and what is bound to
// each. Here it becomes backends, each with its bindings.

// describeTargets reads it by API 3.0. Source: https://cloud.tencent.com/document/api/214/30684. It has no pages.
var describeTargets = action{"clb", "2018-03-17", "DescribeTargets"}

// bound is one binding as an answer has it.
type bound struct {
	lb.Binding
	instance, eni, kind, name string
	lan, wan                  []string
}

// id is the backend's name for us, the same by both APIs: the instance, or what else has the address.
func (b bound) id() (string, error) {
	lan := ""
	if len(b.lan) > 0 {
		lan = b.lan[0]
	}
	switch {
	case b.kind == "" && b.instance == "":
		return "", errors.New("it has no instance's id")
	case b.kind == "":
		return b.instance, nil
	case b.eni != "" && lan != "": // several backends may share a network interface
		return b.eni + ":" + lan, nil
	}
	if id := cmp.Or(b.eni, lan, b.instance); id != "" {
		return id, nil
	}
	return "", errors.New("it has neither an id nor an address")
}

// backends folds bindings into backends. states are those of the instances among them.
func backends(all []bound, states map[string]lb.Status) ([]lb.Backend, error) {
	if len(all) > maxTargets {
		return nil, fmt.Errorf("more than %d bindings: not a plausible answer", maxTargets)
	}
	at := make(map[string]int)
	var out []lb.Backend
	seen := make(map[string]map[lb.Binding]bool)
	for _, b := range all {
		id, err := b.id()
		if err == nil && len(id) > 100 {
			err = fmt.Errorf("its id is not plausible: %.60q", id)
		}
		if err != nil {
			return nil, fmt.Errorf("a backend on %s: %w", cut(b.Binding.String(), maxText), err)
		}
		i, ok := at[id]
		if !ok {
			i = len(out)
			at[id], seen[id] = i, make(map[lb.Binding]bool)
			back := lb.Backend{ID: id, Type: b.kind, Name: b.name, Status: lb.Running, WanIPs: b.wan}
			if len(b.lan) > 0 {
				back.LanIP = b.lan[0]
			}
			if b.kind == "" && isInstance(id) {
				status, known := states[id]
				if !known {
					return nil, fmt.Errorf("%s has no status", id)
				}
				back.Status = status
			}
			out = append(out, back)
		}
		key := b.Binding
		if key.Weight = 0; seen[id][key] {
			continue // two listeners may look alike, such as one for each version of IP
		}
		seen[id][key] = true
		out[i].Bindings = append(out[i].Bindings, b.Binding)
		out[i].Weight += b.Weight
	}
	for i := range out {
		lb.SortBindings(out[i].Bindings)
	}
	lb.SortBackends(out)
	return out, nil
}

// maxTargets bounds a reading that has no pages.
const maxTargets = 100_000

// isInstance reports whether an id is one that CVM knows the state of.
func isInstance(id string) bool { return strings.HasPrefix(id, "ins-") }

// typeOf is what a backend is, as Backend.Type has it: "" for an instance, which either API writes in either case.
func typeOf(raw string) string {
	if t := strings.ToUpper(cut(raw, 16)); t != "CVM" {
		return t
	}
	return ""
}

// listenerName is a listener as people see it, the same by both APIs.
func listenerName(protocol string, port number) string {
	return fmt.Sprintf("%s:%d", strings.ToUpper(cut(protocol, 16)), port)
}

func portOf(n *number) int { return int(min(max(*n, 0), math.MaxUint16)) }

// targetsV3 is an answer of DescribeTargets.
type targetsV3 struct {
	Response *struct {
		Listeners list[struct {
			Protocol string
			Port     *number
			Targets  []targetV3
			Rules    []struct {
				Domain, URL json.RawMessage
				Targets     []targetV3
			}
		}]
	}
}

// list is one that must be there and may be null, by which API 3.0 says that there is nothing in it.
type list[T any] struct {
	there bool
	of    []T
}

// UnmarshalJSON notes that it is there.
func (l *list[T]) UnmarshalJSON(b []byte) error {
	l.there = true
	return json.Unmarshal(b, &l.of)
}

type targetV3 struct {
	Type               string
	InstanceID         json.RawMessage `json:"InstanceId"`
	EniID              json.RawMessage `json:"EniId"`
	Port               *number
	Weight             json.RawMessage
	InstanceName       json.RawMessage
	PrivateIPAddresses json.RawMessage `json:"PrivateIpAddresses"`
	PublicIPAddresses  json.RawMessage `json:"PublicIpAddresses"`
}

// decodeTargets reads an answer of API 3.0. Listeners must be there. They, their rules and targets may be null, which says
// that there are none; where there were some, that is asked again, like every pool that reads as empty.
func decodeTargets(body []byte) (all []bound, err error) {
	var a targetsV3
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, transient{fmt.Errorf("the answer is damaged: %w", err)}
	}
	if a.Response == nil || !a.Response.Listeners.there {
		return nil, errors.New("the answer has no Listeners")
	}
	for _, l := range a.Response.Listeners.of {
		if l.Protocol == "" || l.Port == nil {
			return nil, errors.New("a listener has no Protocol or no Port")
		}
		on := lb.Binding{Listener: listenerName(l.Protocol, *l.Port)}
		add := func(targets []targetV3) error {
			for _, t := range targets {
				if t.Port == nil || t.Type == "" {
					return fmt.Errorf("a target on %s has no Port or no Type", on.Listener)
				}
				on.Port, on.Weight = portOf(t.Port), weightOf(t.Weight)
				all = append(all, bound{Binding: on, instance: text(t.InstanceID), eni: text(t.EniID), kind: typeOf(t.Type),
					name: text(t.InstanceName), lan: texts(t.PrivateIPAddresses), wan: texts(t.PublicIPAddresses)})
			}
			return nil
		}
		if err := add(l.Targets); err != nil {
			return nil, err
		}
		for _, r := range l.Rules {
			on.Rule = text(r.Domain) + text(r.URL)
			if err := add(r.Targets); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// forwardV2 is the data of an answer of DescribeForwardLBBackends, https://cloud.tencent.com/document/api/214/8987.
type forwardV2 []struct {
	Protocol     *number
	ProtocolType string
	Port         *number `json:"loadBalancerPort"`
	Backends     []backendV2
	Rules        []struct {
		Domain, URL json.RawMessage
		Backends    []backendV2
	}
}

type backendV2 struct {
	TargetType   string
	UnInstanceID json.RawMessage `json:"unInstanceId"`
	UniqEniID    json.RawMessage `json:"uniqEniId"`
	Port         *number
	Weight       json.RawMessage
	InstanceName json.RawMessage
	LanIP        json.RawMessage `json:"lanIp"`
	WanIPSet     json.RawMessage `json:"wanIpSet"`
}

// protocols are the numbers that API 2.0 has for them.
var protocols = map[number]string{1: "HTTP", 2: "TCP", 3: "UDP", 4: "HTTPS"}

// decodeForward reads the data of an answer of API 2.0.
func decodeForward(data json.RawMessage) (all []bound, err error) {
	var listeners *forwardV2
	if err := json.Unmarshal(data, &listeners); err != nil || listeners == nil {
		return nil, errors.New("the answer has no data, or not that of listeners")
	}
	for _, l := range *listeners {
		protocol := l.ProtocolType
		if protocol == "" && l.Protocol != nil {
			protocol = protocols[*l.Protocol]
		}
		if protocol == "" || l.Port == nil {
			return nil, errors.New("a listener has no protocol or no loadBalancerPort")
		}
		on := lb.Binding{Listener: listenerName(protocol, *l.Port)}
		add := func(backends []backendV2) error {
			for _, b := range backends {
				if b.Port == nil {
					return fmt.Errorf("a backend on %s has no port", on.Listener)
				}
				on.Port, on.Weight = portOf(b.Port), weightOf(b.Weight)
				next := bound{Binding: on, instance: text(b.UnInstanceID), eni: text(b.UniqEniID), name: text(b.InstanceName), wan: texts(b.WanIPSet)}
				if b.TargetType != "" {
					next.kind = typeOf(b.TargetType)
				}
				if ip := text(b.LanIP); ip != "" {
					next.lan = []string{cut(ip, maxAddress)}
				}
				all = append(all, next)
			}
			return nil
		}
		if err := add(l.Backends); err != nil {
			return nil, err
		}
		for _, r := range l.Rules {
			on.Rule = text(r.Domain) + text(r.URL)
			if err := add(r.Backends); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// instancesIn returns the ids of instances in an answer, each once, in order. The answer is not decoded for it: in JSON a
// key cannot stand in a text, where its quotes would be escaped.
func instancesIn(body []byte, key string) []string {
	set := make(map[string]bool)
	for quoted := []byte(`"` + key + `"`); ; {
		at := bytes.Index(body, quoted)
		if at < 0 {
			return slices.Sorted(maps.Keys(set))
		}
		body = body[at+len(quoted):]
		rest := bytes.TrimLeft(body, " \t\r\n:")
		if value, ok := bytes.CutPrefix(rest, []byte(`"`)); ok {
			if end := bytes.IndexByte(value, '"'); end > 0 && end <= 100 && isInstance(string(value[:end])) {
				set[string(value[:end])] = true
			}
		}
	}
}

// readApplication reads an application load balancer: what is bound to it, and the status of the instances among that.
func (c *Client) readApplication(ctx context.Context, by API, balancer lb.CLB, m memory) (lb.Reading, error) {
	next := memory{api: by, kind: lb.Application, region: m.region}
	known := "" // the sum of an answer that need not be decoded
	if m.api == by {
		known = m.sum
	}
	var all []bound // nil until it is decoded
	var decode func() error
	var ids []string
	var answer []byte
	defer func() { c.free(answer) }()
	var err error
	if by == V3 {
		err = c.callV3(ctx, balancer.Region, describeTargets, map[string]any{"LoadBalancerId": balancer.ID}, func(body []byte) (err error) {
			if next.sum, err = sumV3(body); err != nil {
				return err
			}
			answer, ids = body, instancesIn(body, "InstanceId")
			decode = func() (err error) { all, err = decodeTargets(body); return err }
			if next.sum != known {
				return decode() // now, while a damaged answer can be asked for again
			}
			return nil
		})
	} else {
		var p page
		p, err = c.call(ctx, request{"DescribeForwardLBBackends", balancer.Region, map[string]string{"loadBalancerId": balancer.ID}}, known)
		answer, next.sum, ids = p.body, p.sum, instancesIn(p.body, "unInstanceId")
		decode = func() (err error) {
			if p.answer == nil {
				if p.answer, err = decodeV2(p.body); err != nil {
					return err
				}
			}
			all, err = decodeForward(p.answer.Data)
			return err
		}
	}
	if err != nil {
		return lb.Reading{}, err
	}
	states, err := c.parts().instances.get(ctx, cmp.Or(m.region, balancer.Region), ids)
	if err != nil {
		return lb.Reading{}, fmt.Errorf("ask CVM for the status of the instances: %w", err)
	}
	next.states = sumStates(states)
	health, r := c.readHealth(ctx, by, balancer, m, &next)
	if r.Unchanged {
		return r, nil
	}
	if all == nil {
		if err := decode(); err != nil {
			return lb.Reading{}, err
		}
	}
	if r.Backends, err = backends(all, states); err != nil {
		return lb.Reading{}, err
	}
	health.apply(r.Backends)
	return r, nil
}
