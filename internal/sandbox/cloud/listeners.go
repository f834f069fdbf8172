package cloud

import (
	"cmp"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
)

// Listener is where a load balancer listens. One of the application kind binds instances to listeners, or to
// their rules; one of the classic kind binds them as a whole, and its listeners matter for health alone.
type Listener struct {
	Protocol    string // HTTP, HTTPS, TCP, UDP or TCP_SSL
	Port        int
	Rules       []Rule // of HTTP and HTTPS, which bind to rules only
	BackendPort int    // of the instances that are bound to it; 0 is 8080
	EndPort     int    // the last port, if it listens on several; 0: it does not
	Twin        string // tells it from another of its protocol and port, which only its id does: "TCP:443#b"
}

// Rule is what a listener for HTTP or HTTPS forwards by.
type Rule struct {
	Domain, URL string   // "example.com", "/api"
	Domains     []string // all of them, if there are several
	Twin        string   // as in Listener
	Functions   int      // cloud functions that are bound to it
}

const defaultBackendPort = 8080

// protocols are the numbers of API 2.0 (https://cloud.tencent.com/document/api/214/8987). It has none for
// TCP_SSL, which is younger.
var protocols = map[string]int{"HTTP": 1, "TCP": 2, "UDP": 3, "HTTPS": 4, "TCP_SSL": 0}

// Listen sets the listeners of a load balancer, which it creates if need be. Without it one of the
// application kind has HTTP:80 with the rules example.com/ and example.com/api, and TCP:8443; one of the
// classic kind has TCP:80. On the application kind, what was bound to a listener or rule that stays is bound
// to it still, and new ones begin empty. The ids follow from the load balancer's id and the names. Listeners
// that cannot be are a mistake of the test: it panics.
func (c *Cloud) Listen(region, lb string, ls ...Listener) {
	seen := make(map[string]bool)
	once := func(name string) {
		if seen[name] {
			panic(fmt.Sprintf("sandbox: %s is there twice", name))
		}
		seen[name] = true
	}
	listeners := []Listener{} // not nil, which means the default ones
	for _, l := range ls {
		_, known := protocols[l.Protocol]
		if !known || l.Port < 1 || l.Port > 65535 || len(l.Rules) > 0 && !l.hasRules() {
			panic(fmt.Sprintf("sandbox: there is no such listener: %+v", l))
		}
		once(l.name())
		for _, r := range l.Rules {
			once(l.name() + " " + r.name())
		}
		l.Rules = slices.Clone(l.Rules)
		listeners = append(listeners, l)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.balancer(region, lb)
	b.listeners = listeners
	before := b.pools
	b.pools = make(map[string][]Instance)
	for _, p := range b.places() {
		b.pools[p.name] = before[p.name]
	}
}

// listening returns the listeners of a load balancer, in the order in which they were set.
func (b *balancer) listening() []Listener {
	switch {
	case b.listeners != nil:
		return b.listeners
	case b.forward == classic:
		return []Listener{{Protocol: "TCP", Port: 80}}
	}
	return []Listener{
		{Protocol: "HTTP", Port: 80, Rules: []Rule{{Domain: "example.com", URL: "/"}, {Domain: "example.com",
			URL: "/api"}}},
		{Protocol: "TCP", Port: 8443},
	}
}

// hasRules reports whether it is of the seventh layer, and binds to rules.
func (l Listener) hasRules() bool { return l.Protocol == "HTTP" || l.Protocol == "HTTPS" }

func (l Listener) name() string { return fmt.Sprintf("%s:%d", l.Protocol, l.Port) + twin(l.Twin) }

func twin(name string) string {
	if name == "" {
		return ""
	}
	return "#" + name
}

func (l Listener) backendPort() int { return cmp.Or(l.BackendPort, defaultBackendPort) }

func (r Rule) name() string { return r.Domain + r.URL + twin(r.Twin) }

// place is what an instance can be bound to: a rule, or a listener that has none, or all of a classic load
// balancer.
type place struct {
	name string // "HTTP:80 example.com/api", "TCP:8443"; "" for all of a classic load balancer
	on   Listener
	rule Rule
}

// places returns where instances can be bound, in order.
func (b *balancer) places() []place {
	if b.forward == classic {
		return []place{{}}
	}
	var all []place
	for _, l := range b.listening() {
		all = append(all, l.places()...)
	}
	return all
}

// places returns those of one listener.
func (l Listener) places() []place {
	if !l.hasRules() {
		return []place{{name: l.name(), on: l}}
	}
	var all []place
	for _, r := range l.Rules {
		all = append(all, place{l.name() + " " + r.name(), l, r})
	}
	return all
}

// on returns those of the places that are the listener or rule of that name, or all rules of the listener. If
// there are none, the test is mistaken about what there is: it panics.
func (b *balancer) on(places []place, listener string) []place {
	is := func(p place) bool {
		return p.name != "" && (p.name == listener || strings.HasPrefix(p.name, listener+" "))
	}
	if !slices.ContainsFunc(places, is) {
		panic(fmt.Sprintf("sandbox: %s has no %q, only %+v", b.id, listener, places))
	}
	return slices.DeleteFunc(places, func(p place) bool { return !is(p) })
}

func (b *balancer) listenerID(l Listener) string { return madeUpID("lbl-", b.id, l.name()) }

func (b *balancer) locationID(p place) string { return madeUpID("loc-", b.id, p.name) }

// madeUpID returns an id in the form of the cloud's, always the same for the same parts.
func madeUpID(prefix string, parts ...string) string {
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	sum := md5.Sum([]byte(strings.Join(parts, "\n")))
	id := []byte(prefix)
	for _, b := range sum[:8] {
		id = append(id, digits[int(b)%len(digits)])
	}
	return string(id)
}
