package clb

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"clbwatch/internal/lb"
)

// readApplication reads an application load balancer: what is bound to it, and the status of the instances
// among that.
func (c *Client) readApplication(ctx context.Context, by API, balancer lb.CLB, m memory) (lb.Reading, error) {
	l := c.parts().room.lease()
	defer l.keep(0)
	next := memory{api: by, kind: lb.Application, region: m.region}
	a := &appAnswer{client: c, lease: l, by: by, balancer: balancer}
	defer a.drop()
	known := "" // the sum of an answer that need not be decoded
	if m.api == by {
		known = m.sum
	}
	if err := a.fetch(ctx, known); err != nil {
		return lb.Reading{}, err
	}
	next.sum = a.sum
	states, gone, err := c.instancesOf(ctx, balancer, m, a.ids)
	if err != nil {
		return lb.Reading{}, fmt.Errorf("ask CVM for the status of the instances: %w", err)
	}
	next.states, next.gone = sumStates(states), gone
	health, r := c.readHealth(ctx, l, by, balancer, m, &next)
	if r.Unchanged {
		return r, nil
	}
	if err := a.decode(ctx); err != nil {
		return lb.Reading{}, err
	}
	if a.sum != next.sum { // it was asked for once more, and changed meanwhile
		return c.readApplication(ctx, by, balancer, memory{kind: lb.Application, region: m.region})
	}
	a.tree.apply(states)
	health.apply(a.tree.backends)
	a.tree.into(&r)
	r.Functions = a.tree.functions
	return r, nil
}

// appAnswer is what an API says is bound to an application load balancer.
type appAnswer struct {
	client   *Client
	lease    *lease
	by       API
	balancer lb.CLB

	sum  string
	ids  []string // of the instances, in order
	body []byte   // nil once it was dropped
	tree *tree    // nil until it is decoded
}

// fetch asks for the answer, and decodes it unless it is the known one.
func (a *appAnswer) fetch(ctx context.Context, known string) (err error) {
	id := a.balancer.ID
	if a.by == V3 {
		params := map[string]any{"LoadBalancerId": id}
		err = a.client.callV3(ctx, a.lease, a.balancer.Region, describeTargets, params,
			func(body []byte) (err error) {
				if a.sum, err = sumV3(body); err != nil {
					return err
				}
				if a.body = body; a.sum != known {
					return a.parse(ctx) // now, while a damaged answer can be asked for again
				}
				return nil
			})
	} else {
		var p page
		q := request{"DescribeForwardLBBackends", a.balancer.Region, map[string]string{"loadBalancerId": id}}
		if p, err = a.client.call(ctx, a.lease, q, known); err == nil {
			a.sum, a.body = p.sum, p.body
			if a.sum != known {
				err = a.parse(ctx)
			}
		}
	}
	if err != nil {
		return err
	}
	if a.tree == nil {
		ids, sure := instancesIn(a.body, a.by)
		if !sure {
			if err := a.parse(ctx); err != nil {
				return err
			}
		}
		a.ids = ids
	}
	if a.tree != nil {
		a.ids = a.tree.instances()
	}
	if len(a.body) > small { // what waits for CVM must not hold what others need
		a.drop()
	}
	return nil
}

// parse decodes the answer.
func (a *appAnswer) parse(ctx context.Context) error {
	done, err := a.lease.decoding(ctx, len(a.body))
	if err != nil {
		return err
	}
	defer done()
	if a.by == V3 {
		a.tree, err = decodeTargets(a.body)
		return err
	}
	v2, err := decodeV2(a.body)
	if err == nil {
		a.tree, err = decodeForward(v2.Data)
	}
	return err
}

// decode decodes the answer if it was not yet: a large one is asked for once more.
func (a *appAnswer) decode(ctx context.Context) error {
	switch {
	case a.tree != nil:
		return nil
	case a.body == nil:
		return a.fetch(ctx, "")
	}
	return a.parse(ctx)
}

// drop gives the answer back, and keeps room for what it was decoded to.
func (a *appAnswer) drop() {
	if a.body == nil {
		return
	}
	a.lease.free(a.body)
	if a.body = nil; a.tree != nil {
		a.lease.keep(a.lease.bytes / 2) // names of listeners and rules are shared
	} else {
		a.lease.keep(0)
	}
}

// instancesIn returns the ids of the backends in an answer that are instances, each once, in order. The
// answer is not decoded for it: in JSON a key cannot stand in a text, where its quotes would be escaped. sure
// says that the answer has one type for each id, in whatever order, so that those of a network interface,
// which stand beside the id of the instance it is on, are left out.
func instancesIn(body []byte, by API) (ids []string, sure bool) {
	idKey, typeKey := []byte(`"InstanceId"`), []byte(`"Type"`)
	if by == V2 {
		idKey, typeKey = []byte(`"unInstanceId"`), []byte(`"targetType"`)
	}
	// older answers have none, and no others than instances
	typed := by == V3 || bytes.Contains(body, typeKey)
	set := make(map[string]bool)
	idsIn, typesIn := body, body
	for {
		id, ok := nextValue(&idsIn, idKey)
		if typed {
			kind, ok2 := nextValue(&typesIn, typeKey)
			if ok != ok2 {
				return nil, false
			}
			if !bytes.EqualFold(kind, []byte("CVM")) {
				id = nil
			}
		}
		if !ok {
			return slices.Sorted(maps.Keys(set)), true
		}
		if len(id) <= 100 && bytes.HasPrefix(id, []byte("ins-")) && !set[string(id)] {
			set[string(id)] = true
		}
	}
}

// nextValue is the next text that a key, in its quotes, has in an answer, nil for what is no text. It goes on
// behind it.
func nextValue(body *[]byte, key []byte) (value []byte, ok bool) {
	at := bytes.Index(*body, key)
	if at < 0 {
		return nil, false
	}
	*body = (*body)[at+len(key):]
	if text, ok := bytes.CutPrefix(bytes.TrimLeft(*body, " \t\r\n:"), []byte(`"`)); ok {
		if end := bytes.IndexByte(text, '"'); end >= 0 {
			return text[:end], true
		}
	}
	return nil, true
}
