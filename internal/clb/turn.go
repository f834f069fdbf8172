package clb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"clbwatch/internal/advice"
)

// API is which version of the API is asked.
type API string

// Versions of the API. Auto is 2.0 until that says that it is closed, and then 3.0.
const (
	V2   API = "v2"
	V3   API = "v3"
	Auto API = "auto"
)

// turn is what one Client learned of API 2.0: who comes first finds out, the others wait, so that a 2.0 that
// is closed costs one call a sweep and not one for each reader.
type turn struct {
	first chan struct{}         // has room for the one who finds out
	known chan struct{}         // closed when it is known
	shut  atomic.Pointer[error] // why 2.0 is taken for closed; nil if it is not
	once  sync.Once
}

// settle lets those go on who wait. Whoever finds out goes on to other calls, where it may wait for them in
// turn.
func (t *turn) settle() { t.once.Do(func() { close(t.known) }) }

func newTurn() *turn {
	return &turn{first: make(chan struct{}, 1), known: make(chan struct{})}
}

// maxFindOut is how long the others wait: a load balancer that hangs must not hold them up.
const maxFindOut = time.Second

// mine reports whether it is the caller who finds out.
func (t *turn) mine() bool {
	select {
	case t.first <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t *turn) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxFindOut)
	defer cancel()
	select {
	case <-t.known:
	case <-ctx.Done(): // what comes next looks at the context itself
	}
}

// either does something by the version of the API that is to be asked; where that is Auto, by 2.0 or, if that
// is closed, by 3.0. by3 says that it was so last time.
func (c *Client) either(ctx context.Context, by3 bool, do func(API) error) error {
	switch {
	case c.API == V3 || c.API == Auto && by3:
		return do(V3)
	case c.API != Auto:
		return do(V2)
	}
	t := c.parts().turn
	finder := t.mine()
	if !finder {
		t.wait(ctx)
	}
	why := t.shut.Load()
	if why == nil {
		err := do(V2)
		if closed(err) {
			t.shut.CompareAndSwap(nil, &err) // or somebody else saw it too
		}
		if finder {
			t.settle()
		}
		if !closed(err) {
			return err
		}
		why = t.shut.Load()
	}
	if err3 := do(V3); err3 != nil {
		// what a caller decides by is what 3.0 says
		return advice.Add(fmt.Errorf("%w; and by API 2.0: %s", err3, (*why).Error()), advice.Of(err3))
	}
	return nil
}

// closed reports whether API 2.0 is closed for the account, or is not there at all.
func closed(err error) bool {
	var code *Error
	return errors.As(err, &code) && (code.Code == 4300 || code.Code == 6100) || errors.As(err,
		new(unreachable))
}
