package clb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"clbwatch/internal/advice"
)

// All readers together keep within one budget of bytes, a quarter of the memory that the platform grants:
// answers count with their size until they were decoded, and what they were decoded to counts until the
// reader is done.

const (
	// small is how large an answer may be, in bytes, without counting: 64 readers have 4 MB of such.
	small = 64 << 10
	// noLimit is the memory that is taken for granted where the platform sets no limit.
	noLimit = 512 << 20
	// maxBodyV3 bounds an answer of API 3.0, in bytes: 10,000 backends take 3 MB.
	maxBodyV3 = 8 << 20
	// decoders is how many answers are decoded at a time: an answer takes several times its size meanwhile.
	decoders = 2
	// maxSpares and maxSpare bound the buffers that are kept: how many, and of how many bytes.
	maxSpares = 64
	maxSpare  = 256 << 10
)

// room is the memory that readers share.
type room struct {
	crowd  *crowd
	budget int64
	decode chan struct{} // has something in it for each answer that is being decoded
	over   chan struct{} // has something in it while one reader has more than it asked for at first

	mu    sync.Mutex
	used  int64
	freed chan struct{} // closed, and made anew, whenever some is given back
	spare [][]byte      // buffers to be used again
}

func newRoom(memory int64, crowd *crowd) *room {
	if memory <= 0 {
		memory = noLimit
	}
	return &room{crowd: crowd, budget: memory / 4, decode: make(chan struct{}, decoders),
		over: make(chan struct{}, 1), freed: make(chan struct{})}
}

// biggest is the most bytes that one answer may have.
func (r *room) biggest(limit int64) int64 { return min(limit, max(r.budget/2, small)) }

// lease is what one reader has of the room. Its zero value, with a room, has nothing; it is for one
// goroutine.
type lease struct {
	*room
	bytes int64
	over  bool // it holds room.over

	//nolint:containedctx // of the call that is being made: the SDK stands between the attempt and what reads its answer
	ctx   context.Context // without the time limit of one attempt
	timer *time.Timer     // ends the attempt
}

func (r *room) lease() *lease { return &lease{room: r} }

// attempt begins one attempt of a call: it ends after attemptTimeout, which does not run while there is no
// room.
func (l *lease) attempt(ctx context.Context) (context.Context, context.CancelFunc) {
	l.ctx = ctx
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(attemptTimeout, func() { cancel(context.DeadlineExceeded) })
	l.timer = timer
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// late says so if an attempt took too long.
func late(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) && ctx.Err() == context.Canceled {
		return fmt.Errorf("no answer within %v", attemptTimeout)
	}
	return err
}

// take makes room for n bytes more. Who has none waits until there is some. Who has some already may take
// more than there is, but only one reader at a time, which waits for nobody else: so nobody waits for ever.
func (l *lease) take(n int64) error {
	if l.try(n) {
		return nil
	}
	l.timer.Stop()
	defer l.timer.Reset(attemptTimeout)
	var err error
	l.crowd.while(func() { err = l.waitFor(l.ctx, n) })
	return err
}

func (l *lease) waitFor(ctx context.Context, n int64) error {
	for l.bytes == 0 {
		l.mu.Lock()
		freed := l.freed
		l.mu.Unlock()
		if l.try(n) {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return errNoRoom(ctx.Err())
		}
	}
	if !l.over {
		select {
		case l.room.over <- struct{}{}:
			l.over = true
		case <-ctx.Done():
			return errNoRoom(ctx.Err())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used += n
	l.bytes += n
	return nil
}

const doMemory = "raise the function's memory, or divide the load balancers among several by SHARD"

func errNoRoom(err error) error {
	return advice.Add(fmt.Errorf("no memory was left for its answer: %w", err), doMemory)
}

// try takes n bytes if there are any. What is more than the whole budget counts as all of it.
func (l *lease) try(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used > 0 && l.used+n > l.budget {
		return false
	}
	l.used += n
	l.bytes += n
	return true
}

// keep gives all back but n bytes.
func (l *lease) keep(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n >= l.bytes {
		return
	}
	l.used -= l.bytes - n
	l.bytes = n
	close(l.freed)
	l.freed = make(chan struct{})
	if l.over {
		<-l.room.over
		l.over = false
	}
}

// decoding waits for its turn to decode an answer; done ends that. Small answers need not wait.
func (l *lease) decoding(ctx context.Context, size int) (done func(), err error) {
	if size <= small {
		return func() {}, nil
	}
	select {
	case l.decode <- struct{}{}:
		return func() { <-l.decode }, nil
	default:
	}
	l.crowd.while(func() {
		select {
		case l.decode <- struct{}{}:
			done = func() { <-l.decode }
		case <-ctx.Done():
			err = errNoRoom(ctx.Err())
		}
	})
	return done, err
}

// read reads an answer of at most limit bytes. length is how long it says that it is; below 0 if it does not.
func (l *lease) read(from io.Reader, length, limit int64) (b []byte, err error) {
	before, most := l.bytes, l.biggest(limit)
	defer func() {
		if err != nil {
			l.keep(before)
		}
	}()
	switch {
	case length > most:
		return nil, tooLarge(most, limit)
	case length <= small:
		return l.fill(from, l.buffer(), small, most, limit)
	}
	if err := l.take(length); err != nil {
		return nil, err
	}
	return l.fill(from, make([]byte, 0, length+bytes.MinRead), length, most, limit) // it need not grow
}

// fill reads into a buffer, of which have bytes are accounted for.
func (l *lease) fill(from io.Reader, b []byte, have, most, limit int64) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	for {
		_, err := buf.ReadFrom(io.LimitReader(from, have+1-int64(buf.Len())))
		if err != nil {
			return nil, transient{fmt.Errorf("the answer broke off after %d bytes: %w", buf.Len(), err)}
		}
		if int64(buf.Len()) <= have {
			return buf.Bytes(), nil
		}
		if have >= most {
			return nil, tooLarge(most, limit)
		}
		more := min(have, most-have) // the buffer doubles too
		if err := l.take(more); err != nil {
			return nil, err
		}
		have += more
	}
}

func tooLarge(most, limit int64) error {
	if most == limit {
		return fmt.Errorf("the answer has more than %d bytes: not a plausible one", limit)
	}
	return advice.Add(fmt.Errorf("the answer has more than the %d bytes that there is memory for", most),
		"raise the function's memory")
}

// buffer is an empty buffer for an answer, one that was used before if there is any: most answers are as they
// were, and making room for each was most of the work of a tick.
func (r *room) buffer() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.spare) - 1
	if last < 0 {
		return make([]byte, 0, 48<<10) // 100 backends take 30 kB
	}
	b := r.spare[last]
	r.spare = r.spare[:last]
	return b
}

// free gives answers back that nobody looks at any more. One that is not given back is left to the garbage
// collector.
func (r *room) free(bodies ...[]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range bodies {
		if 0 < cap(b) && cap(b) <= maxSpare && len(r.spare) < maxSpares {
			r.spare = append(r.spare, b[:0])
		}
	}
}
