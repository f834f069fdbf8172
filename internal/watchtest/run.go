package watchtest

import (
	"errors"
	"time"
)

// run is one process in the world. It dies where a fault says so with ErrDied.
type run struct {
	*World
	dead bool
	proc *proc // in a campaign; else nil
}

// local is the time by the clock of the machine that it runs on.
func (r *run) local() time.Time {
	if r.proc != nil {
		return r.proc.local()
	}
	return r.Now()
}

// do makes one call: effect takes place under the lock, if the fault lets it.
func (r *run) do(op, what string, effect func() error) error {
	return r.call(op, what, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		return effect()
	})
}

// call makes one call, if the fault lets it.
func (r *run) call(op, what string, effect func() error) error {
	if r.proc != nil {
		return r.proc.call(op, what, effect)
	}
	r.mu.Lock()
	fault := r.fault
	r.mu.Unlock()
	apply, err := true, error(nil)
	if fault != nil && !r.isDead() {
		r.faults.Lock()
		apply, err = fault(op, what)
		r.faults.Unlock()
	}
	if r.isDead() {
		return ErrDied
	}
	if errors.Is(err, ErrDied) {
		defer r.die()
	}
	if !apply {
		return err
	}
	return errors.Join(effect(), err)
}

func (r *run) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

func (r *run) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}
