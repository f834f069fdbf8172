package clb

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/time/rate"

	"clbwatch/internal/advice"
)

func newTestRoom(memory int64) *room {
	sleep := (&fake{}).sleep
	return newRoom(memory, &crowd{sleep: sleep, open: make(map[*gathering]bool)})
}

// readers read answers of so many bytes at once, and return the most that was in use and how many failed.
func readThrough(t *testing.T, r *room, readers int, length int64, answer func() io.Reader) (most int64,
	errs []error) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			l := r.lease()
			defer l.keep(0)
			ctx, cancel := l.attempt(t.Context())
			defer cancel()
			b, err := l.read(answer(), length, maxBodyV3)
			done, err2 := l.decoding(ctx, len(b))
			mu.Lock()
			defer mu.Unlock()
			if err = errors.Join(err, err2); err != nil {
				errs = append(errs, err)
			}
			r.mu.Lock()
			most = max(most, r.used)
			r.mu.Unlock()
			if len(r.decode) > decoders {
				t.Errorf("%d decode at once", len(r.decode))
			}
			if done != nil {
				done()
			}
		})
	}
	wg.Wait()
	return most, errs
}

// zeros is an answer of so many bytes, n below 0 for no end.
func zeros(n int64) func() io.Reader {
	return func() io.Reader {
		if n < 0 {
			return endless{}
		}
		return io.LimitReader(endless{}, n)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// However many read at once, and whether or not their answers say how long they are, they keep within the
// budget, all get through, and nobody waits for ever.
func TestReadersKeepWithinTheBudget(t *testing.T) {
	t.Parallel()
	const memory = 64 << 20
	for _, tt := range []struct {
		name         string
		size, length int64
		fails        bool
	}{
		{"small ones", 30 << 10, 30 << 10, false},
		{"large ones", 1200 << 10, 1200 << 10, false},
		{"large ones of unknown length", 1200 << 10, -1, false},
		{"the largest", maxBodyV3 - 1, maxBodyV3 - 1, false},
		{"the largest, of unknown length", maxBodyV3 - 1, -1, false},
		{"one byte too large", maxBodyV3 + 1, maxBodyV3 + 1, true},
		{"endless ones", -1, -1, true},
	} {
		r := newTestRoom(memory)
		most, errs := readThrough(t, r, 12, tt.length, zeros(tt.size))
		if (len(errs) == 12) != tt.fails || len(errs) != 0 && len(errs) != 12 {
			t.Errorf("%s: %d of 12 failed, such as %v, want that all fail: %v", tt.name, len(errs),
				errors.Join(errs[:min(1, len(errs))]...), tt.fails)
		}
		if most > r.budget+maxBodyV3 || r.used != 0 {
			t.Errorf("%s: %d bytes in use at most, %d afterwards, want %d and one more answer, and none", tt.name,
				most, r.used, r.budget)
		}
	}
}

// With little memory, what does not fit is an error that says what to do.
func TestAnswerThatDoesNotFit(t *testing.T) {
	t.Parallel()
	r := newTestRoom(8 << 20)
	_, errs := readThrough(t, r, 1, -1, zeros(2<<20))
	if len(errs) != 1 || !strings.Contains(advice.Of(errs[0]), "memory") &&
		!strings.Contains(errs[0].Error(), "there is memory for") {
		t.Errorf("read = %v, advice %q, want to be told about the memory", errs, advice.Of(errors.Join(errs...)))
	}
}

func TestReaderThatWaitsForRoomGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	r := newTestRoom(16 << 20)
	holder := r.lease()
	if _, cancel := holder.attempt(t.Context()); !holder.try(r.budget) {
		t.Fatal("no room")
	} else {
		defer cancel()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := r.lease()
	_, done := l.attempt(ctx)
	defer done()
	if _, err := l.read(zeros(1<<20)(), 1<<20, maxBodyV3); err == nil ||
		!strings.Contains(advice.Of(err), "memory") {
		t.Errorf("read = %v, want an error with advice", err)
	}
}

// An answer that is packed counts as what it is unpacked.
func TestPackedAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.Copy(z, io.LimitReader(endless{}, maxBodyV3+1<<10))
	_ = z.Close()
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	c.API, c.Memory = V3, 128<<20
	if _, err := c.Read(t.Context(), testCLB, classicV3); err == nil ||
		!strings.Contains(err.Error(), "more than") {
		t.Errorf("Read = %v, want that it is too large", err)
	}
}

func TestEveryRegionHasItsHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoint, service, region, want string }{
		{"https://clb.tencentcloudapi.com", "clb", "ap-guangzhou", "clb.tencentcloudapi.com"},
		{"https://clb.tencentcloudapi.com", "cvm", "ap-guangzhou", "cvm.tencentcloudapi.com"},
		{"https://clb.tencentcloudapi.com", "clb", "ap-shanghai-fsi", "clb.ap-shanghai-fsi.tencentcloudapi.com"},
		{"https://clb.tencentcloudapi.com", "cvm", "ap-shenzhen-fsi", "cvm.ap-shenzhen-fsi.tencentcloudapi.com"},
		{"https://clb.intl.tencentcloudapi.com", "cvm", "ap-singapore", "cvm.intl.tencentcloudapi.com"},
		{"https://clb.internal.tencentcloudapi.com", "cvm", "ap-shanghai", "cvm.internal.tencentcloudapi.com"},
		{"https://proxy.example", "cvm", "ap-shanghai-fsi", "proxy.example"},
	} {
		u, err := url.Parse(tt.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		c := &Client{EndpointV3: u, Rate: rate.Inf}
		if got := c.endpointOf(tt.service, tt.region).Host; got != tt.want {
			t.Errorf("%s in %s by %s is at %s, want %s", tt.service, tt.region, tt.endpoint, got, tt.want)
		}
	}
}

func TestErrorsThatPassAreRetried(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ResourceUnavailable", "ResourceUnavailable.CLB", "ServiceUnavailable",
		"FailedOperation", "FailedOperation.ResourceInOperating", "InternalError.X"} {
		calls := 0
		c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls++; calls < 3 {
				_, _ = io.WriteString(w, `{"Response":{"Error":{"Code":"`+code+`","Message":"m"},"RequestId":"r"}}`)
				return
			}
			_, _ = io.WriteString(w, samples["DescribeClassicalLBTargets"])
		})
		c.API = V3
		if r, err := c.Read(t.Context(), testCLB, classicV3); err != nil || len(r.Backends) != 2 || calls != 3 {
			t.Errorf("%s twice: %+v, %v after %d calls, want it read by the third", code, r, err, calls)
		}
		calls = -100
		if _, err := c.Read(t.Context(), testCLB, classicV3); err == nil || advice.Of(err) == "" {
			t.Errorf("%s without end: %v, advice %q, want some", code, err, advice.Of(err))
		}
	}
}
