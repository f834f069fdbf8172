package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"clbwatch/internal/watch"
)

// heartbeatTimeout is how long the heartbeat may take, of the time that is kept for the end of a tick.
const heartbeatTimeout = 3 * time.Second

// beat calls the heartbeat's URL, which is a secret: no error contains it. Nothing depends on the answer, and
// nothing is repeated: the next tick beats again.
func (a *App) beat(ctx context.Context) {
	if a.cfg.Heartbeat == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	if err := a.get(ctx, a.cfg.Heartbeat.Reveal()); err != nil {
		a.log.Warn("HEARTBEAT_URL was not reached", "why", err.Error())
	}
}

// get makes one GET request, and follows no redirect: it could lead anywhere.
func (a *App) get(ctx context.Context, to string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return errors.New("it is not a URL that can be called")
	}
	client := http.Client{
		Transport:     a.http.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		var with *url.Error // its text has the URL
		if errors.As(err, &with) {
			err = with.Err
		}
		return err
	}
	_ = answer.Body.Close() // only its status matters
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("it answers %d", answer.StatusCode)
	}
	return nil
}

// memory is what a process knows from one invocation to the next about having said that it cannot work.
type memory struct {
	mu     sync.Mutex
	ticked bool   // it did a tick before: it knows what it has posted
	hour   string // when it posted last
}

// cryTimeout is how long a post that it cannot work may take.
const cryTimeout = 8 * time.Second

// cry posts that ticks cannot work, at most once an hour: a process remembers that it did; a new one asks the
// state, which may still be able to tell; and if that cannot either, it is posted in the first minute of an
// hour only.
func (a *App) cry(ctx context.Context, why error) {
	hour := a.now().UTC().Format("2006-01-02T15")
	m := a.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	knew := m.ticked
	m.ticked = true
	if m.hour == hour {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cryTimeout)
	defer cancel()
	first, err := a.store.Once(ctx, "trouble/"+hour)
	switch {
	case err == nil && !first:
		m.hour = hour
		return
	case err != nil && !knew && a.now().UTC().Minute() != 0:
		return
	}
	m.hour = hour
	if err := a.slack.Trouble(ctx, why); err != nil {
		a.log.Error("cannot post that ticks cannot work", "why", err.Error())
	}
}

// Tick does one tick. Without Slack it is an error, and nothing is read. After an honest one, with which
// nothing is overdue, it calls the heartbeat's URL; and if there is no state to work with, it posts that.
func (a *App) Tick(ctx context.Context) (watch.Summary, error) {
	if a.slack == nil {
		return watch.Summary{}, errNoSlack
	}
	sum, err := a.watcher.Tick(ctx)
	var lost watch.NoState
	if errors.As(err, &lost) {
		a.cry(ctx, err)
		return sum, err
	}
	a.memory.mu.Lock()
	a.memory.ticked = true
	a.memory.mu.Unlock()
	if err == nil {
		a.beat(ctx)
	}
	return sum, err
}
