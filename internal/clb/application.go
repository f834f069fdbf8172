package clb

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"clbwatch/internal/lb"
)

// An application load balancer's answer is a tree: listeners, the rules of those that have some, and what is
// bound to each. Here it becomes backends, each with its bindings.

// describeTargets reads it by API 3.0. Source: https://cloud.tencent.com/document/api/214/30684. It has no
// pages.
var describeTargets = action{"clb", "2018-03-17", "DescribeTargets"}

// maxTargets bounds a reading that has no pages.
const maxTargets = 100_000

// bound is one binding as an answer has it.
type bound struct {
	lb.Binding
	instance, eni, kind, name string
	lan, wan                  []string
	vague                     bool // it does not say on which port
	nameless                  bool // it may be an instance, or one of the network interfaces on it
}

// id is the backend's name for us, the same by both APIs: the instance, or what else has the address; "" if
// the row does not tell.
func (b bound) id() string {
	lan := ""
	if len(b.lan) > 0 {
		lan = b.lan[0]
	}
	id := ""
	switch {
	case b.nameless:
	case b.kind == "":
		id = b.instance
	case b.eni != "" && lan != "": // several backends may share a network interface
		id = b.eni + ":" + lan
	default:
		id = cmp.Or(b.eni, lan, b.instance)
	}
	if !plausibleInstance(id) {
		return ""
	}
	return id
}

// tree is what a tree is folded to.
type tree struct {
	rows
	functions int
	at        map[string]int // in backends, by id
	bindings  int
}

func newTree() *tree { return &tree{at: make(map[string]int)} }

// add takes the next binding. Backends that run by what anybody knows are Running; the status of instances is
// CVM's to say.
func (t *tree) add(b bound) {
	t.bindings++
	id := b.id()
	if id == "" {
		t.unnamed++
		t.note("a target on %s has neither an id nor an address", b.Listener)
		return
	}
	i, ok := t.at[id]
	if !ok {
		i = len(t.backends)
		t.at[id] = i
		back := lb.Backend{ID: id, Type: b.kind, Name: b.name, Status: lb.Running, WanIPs: b.wan}
		if len(b.lan) > 0 {
			back.LanIP = b.lan[0]
		}
		t.backends = append(t.backends, back)
	}
	is := &t.backends[i]
	if b.vague {
		t.note("%s has no port on %s", id, b.Listener)
		is.Vague = true
		return
	}
	is.Bindings = append(is.Bindings, b.Binding)
}

// done is what was folded.
func (t *tree) done() (*tree, error) {
	if t.bindings > maxTargets {
		return nil, fmt.Errorf("more than %d bindings: not a plausible answer", maxTargets)
	}
	if t.bindings > 0 && len(t.backends) == 0 {
		return nil, errors.New("no target of the answer has a plausible id or an address")
	}
	for i := range t.backends {
		b := &t.backends[i]
		lb.SortBindings(b.Bindings)
		// Without ids two listeners may look alike, such as one for each version of IP.
		b.Bindings = slices.CompactFunc(b.Bindings, func(x, y lb.Binding) bool {
			x.Weight, y.Weight = 0, 0
			return x == y
		})
		for _, on := range b.Bindings {
			b.Weight += max(on.Weight, 0)
		}
	}
	lb.SortBackends(t.backends)
	t.at = nil
	return t, nil
}

// apply gives instances the statuses that CVM told.
func (t *tree) apply(states map[string]lb.Status) {
	for i := range t.backends {
		b := &t.backends[i]
		if b.Type != "" || !isInstance(b.ID) {
			continue
		}
		status, ok := states[b.ID]
		if !ok {
			status = lb.Unknown
		}
		if b.Status = status; status == lb.Unknown {
			t.note("CVM does not tell the status of %s", b.ID)
		}
	}
}

// instances are the ids of the backends that are instances, in order.
func (t *tree) instances() (ids []string) {
	for _, b := range t.backends {
		if b.Type == "" && isInstance(b.ID) {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

// isInstance reports whether an id is one that CVM knows the state of.
func isInstance(id string) bool { return strings.HasPrefix(id, "ins-") }

// typeOf is what a backend is, as Backend.Type has it: "" for an instance, which either API writes in either
// case. Where the row does not tell, its ids do.
func typeOf(raw, instance, eni string) string {
	switch t := strings.ToUpper(cut(raw, 16)); {
	case t == "CVM":
		return ""
	case t != "":
		return t
	case eni != "" && !isInstance(instance):
		return "ENI"
	}
	return ""
}

// on is a listener, or one of its rules.
type on struct {
	lb.Binding      // without a port and a weight
	named      bool // it says which it is
}

// listenerOn is a listener as people see it, the same by both APIs, and as the API tells it from others.
func listenerOn(protocol str, first, last num, id str) (o on) {
	o.ID = plausibleOrNone(id)
	if o.named = protocol != "" && first.ok; !o.named {
		return o
	}
	o.Listener = fmt.Sprintf("%s:%d", strings.ToUpper(cut(string(protocol), 16)), first.v)
	if last.ok && last.v > first.v {
		o.Listener += fmt.Sprintf("-%d", last.v)
	}
	return o
}

// told is a text that says which rule something is of: ok if it is there.
type told struct {
	s  string
	ok bool
}

// UnmarshalJSON reads a text, and takes anything else for missing.
func (t *told) UnmarshalJSON(b []byte) error {
	*t = told{text(b), len(b) > 0 && b[0] == '"'}
	return nil
}

// rule is one of its rules. What does not tell its domain and path is known by its id only.
func (o on) rule(domain told, domains strs, url told, id str) on {
	if rule := plausibleOrNone(id); o.ID != "" && rule != "" {
		o.ID += "/" + rule
	} else {
		o.ID = ""
	}
	if o.named = o.named && domain.ok && url.ok; !o.named {
		o.Listener = ""
		return o
	}
	o.Rule = domain.s + url.s
	if len(domains) > 1 {
		o.Rule = cut(strings.Join(domains, ","), maxText) + url.s
	}
	return o
}

// binds reports whether an answer says what is bound to a listener, which has rules or targets by its
// protocol.
func (o on) binds(rules, targets presence) bool {
	switch protocol, _, _ := strings.Cut(o.Listener, ":"); {
	case rules == wrong, targets == wrong:
		return false
	case protocol == "HTTP", protocol == "HTTPS", protocol == "QUIC":
		return rules == there
	case rules == there && targets == there:
		return true
	case o.named:
		return targets == there
	}
	return rules == there || targets == there
}

// presence says whether a list is in an answer.
type presence int

const (
	absentList presence = iota
	there
	wrong // something else is in its place
)

func plausibleOrNone(id str) string {
	if !plausibleID(string(id)) {
		return ""
	}
	return string(id)
}

// unsure notes that a listener or a rule does not say which it is: nobody knows what is bound there.
func (t *tree) unsure(o on, targets int) {
	t.unnamed += max(targets, 1)
	t.note("a listener or rule does not tell what it is, with %d targets: %s", targets, o.Binding.String())
}

func portOf(n num) int { return min(max(n.v, 0), math.MaxUint16) }

// targetsV3 is an answer of DescribeTargets.
type targetsV3 struct {
	Response *struct {
		Listeners list[struct {
			ListenerID str `json:"ListenerId"`
			Protocol   str
			Port       num
			EndPort    num
			Targets    list[targetV3]
			Rules      list[struct {
				LocationID      str `json:"LocationId"`
				Domain          told
				Domains         strs
				URL             told `json:"Url"`
				Targets         list[targetV3]
				FunctionTargets list[json.RawMessage]
			}]
			FunctionTargets list[json.RawMessage]
		}]
	}
}

// list is one that may have to be there and may be null, by which API 3.0 says that there is nothing in it.
// Rows of the wrong type are zero.
type list[T any] struct {
	there, null, wrong bool
	of                 []T
}

func (l list[T]) presence() presence {
	switch {
	case l.wrong:
		return wrong
	case l.there:
		return there
	}
	return absentList
}

// UnmarshalJSON notes that it is there, unless it is something else.
func (l *list[T]) UnmarshalJSON(b []byte) error {
	l.null = string(b) == "null"
	l.there = l.null || len(b) > 0 && b[0] == '['
	if l.wrong = !l.there; l.wrong || l.null {
		return nil
	}
	return lenient(b, &l.of)
}

type targetV3 struct {
	Type               str
	InstanceID         str `json:"InstanceId"`
	EniID              str `json:"EniId"`
	Port               num
	Weight             num
	InstanceName       str
	PrivateIPAddresses strs `json:"PrivateIpAddresses"`
	PublicIPAddresses  strs `json:"PublicIpAddresses"`
}

func (b targetV3) bound(o on) bound {
	o.Port, o.Weight = portOf(b.Port), b.Weight.weight()
	return bound{Binding: o.Binding, instance: string(b.InstanceID), eni: string(b.EniID),
		name: string(b.InstanceName),
		kind: typeOf(string(b.Type), string(b.InstanceID), string(b.EniID)), lan: b.PrivateIPAddresses,
		wan:   b.PublicIPAddresses,
		vague: !b.Port.ok, nameless: b.Type == "" && b.EniID != "" && isInstance(string(b.InstanceID))}
}

// decodeTargets reads an answer of API 3.0. Listeners must be there. They, their rules and targets may be
// null, which says that there are none.
func decodeTargets(body []byte) (*tree, error) {
	var a targetsV3
	if err := decodeAnswer(body, &a); err != nil {
		return nil, err
	}
	if a.Response == nil || !a.Response.Listeners.there {
		return nil, errors.New("the answer has no Listeners")
	}
	t := newTree()
	for _, l := range a.Response.Listeners.of {
		o := listenerOn(l.Protocol, l.Port, l.EndPort, l.ListenerID)
		addTargets(t, o, l.Targets.of)
		t.functions += len(l.FunctionTargets.of)
		for _, r := range l.Rules.of {
			o := o.rule(r.Domain, r.Domains, r.URL, r.LocationID)
			addTargets(t, o, r.Targets.of)
			t.functions += len(r.FunctionTargets.of)
			if r.Targets.presence() != there {
				t.unsure(o, 0)
			}
		}
		if !o.named && len(l.Targets.of)+len(l.Rules.of) == 0 || !o.binds(l.Rules.presence(),
			l.Targets.presence()) {
			t.unsure(o, 0)
		}
	}
	return t.done()
}

// binder is a row of either API.
type binder interface{ bound(o on) bound }

// addTargets takes the targets of a listener or rule.
func addTargets[T binder](t *tree, o on, targets []T) {
	if !o.named && o.ID == "" && len(targets) > 0 {
		t.unsure(o, len(targets))
		for _, b := range targets { // which backends there are is known all the same
			b := b.bound(o)
			b.vague = true
			t.add(b)
		}
		return
	}
	if !o.named && len(targets) > 0 {
		t.note("%s does not tell its protocol and port, or its domain and path", o.ID)
	}
	for _, b := range targets {
		t.add(b.bound(o))
	}
}

// forwardV2 is the data of an answer of DescribeForwardLBBackends,
// https://cloud.tencent.com/document/api/214/8987.
type forwardV2 struct {
	ListenerID   str `json:"listenerId"`
	Protocol     num
	ProtocolType str
	Port         num `json:"loadBalancerPort"`
	EndPort      num `json:"loadBalancerEndPort"`
	Backends     list[backendV2]
	Rules        list[struct {
		LocationID str `json:"locationId"`
		Domain     told
		URL        told `json:"url"`
		Backends   list[backendV2]
	}]
}

type backendV2 struct {
	TargetType   str
	UnInstanceID str `json:"unInstanceId"`
	UniqEniID    str `json:"uniqEniId"`
	Port         num
	Weight       num
	InstanceName str
	LanIP        str  `json:"lanIp"`
	WanIPSet     strs `json:"wanIpSet"`
}

func (b backendV2) bound(o on) bound {
	o.Port, o.Weight = portOf(b.Port), b.Weight.weight()
	next := bound{Binding: o.Binding, instance: string(b.UnInstanceID), eni: string(b.UniqEniID),
		name: string(b.InstanceName),
		wan:  b.WanIPSet, vague: !b.Port.ok}
	next.kind = typeOf(string(b.TargetType), next.instance, next.eni)
	if b.LanIP != "" {
		next.lan = []string{cut(string(b.LanIP), maxAddress)}
	}
	return next
}

// protocols are the numbers that API 2.0 has for them.
var protocols = map[int]str{1: "HTTP", 2: "TCP", 3: "UDP", 4: "HTTPS"}

// decodeForward reads the data of an answer of API 2.0.
func decodeForward(data json.RawMessage) (*tree, error) {
	var listeners list[forwardV2]
	if err := lenient(data, &listeners); err != nil || !listeners.there || listeners.null {
		return nil, errors.New("the answer has no data, or not that of listeners")
	}
	t := newTree()
	for _, l := range listeners.of {
		o := listenerOn(cmp.Or(l.ProtocolType, protocols[l.Protocol.v]), l.Port, l.EndPort, l.ListenerID)
		addTargets(t, o, l.Backends.of)
		for _, r := range l.Rules.of {
			o := o.rule(r.Domain, nil, r.URL, r.LocationID)
			addTargets(t, o, r.Backends.of)
			if r.Backends.presence() != there {
				t.unsure(o, 0)
			}
		}
		if !o.named && len(l.Backends.of)+len(l.Rules.of) == 0 || !o.binds(l.Rules.presence(),
			l.Backends.presence()) {
			t.unsure(o, 0)
		}
	}
	t.functions = -1
	return t.done()
}
