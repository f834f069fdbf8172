package clb

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
)

// TestReadersShareTheirQuestions reads application load balancers at once: what kind they are and how their
// instances do is asked in as few calls as there can be, and nobody waits for a second that need not.
func TestReadersShareTheirQuestions(t *testing.T) {
	t.Parallel()
	for _, api := range []API{V2, V3, Auto} {
		w := newTwins(t)
		const n = 30
		for i := range n {
			testCLB := fmt.Sprint("lb-", i)
			w.SetApplication("ap-guangzhou", testCLB)
			for j := range 10 {
				w.Bind("ap-guangzhou", testCLB, cloud.Instance{ID: fmt.Sprintf("ins-%d", (7*i+j)%170), LanIP: "10.0.0.1",
					Status: 2, Weight: 10})
			}
		}
		known := make([]lb.Digest, n)
		for round, kinds := range []int{2, 0} { // 30 load balancers, 20 in a call; then it is known
			c := w.client(api)
			c.Sleep = sleepOf(t)
			listed, asked := w.CallsTo(cloud.DescribeLoadBalancers)+w.CallsV3To(cloud.DescribeLoadBalancers),
				w.CallsV3To(cloud.DescribeInstancesStatus)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					r, err := c.Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: fmt.Sprint("lb-", i)}, known[i])
					if err != nil || r.Unchanged != (round == 1) || r.Kind != lb.Application && !r.Unchanged {
						t.Errorf("by %s: %+v, %v", api, r, err)
					}
					known[i] = r.Digest
				})
			}
			wg.Wait()
			if round == 0 && api != V3 {
				kinds *= 2 // and once more by API 3.0, which says where the instances are
			}
			if got := w.CallsTo(cloud.DescribeLoadBalancers) +
				w.CallsV3To(cloud.DescribeLoadBalancers) - listed; got > 3*kinds+1 || got < kinds {
				t.Errorf("by %s, round %d: %d calls for kinds, want %d, or a few more where readers were late", api,
					round, got, kinds)
			}
			if got := w.CallsV3To(cloud.DescribeInstancesStatus) - asked; got > 8 || got < 2 {
				t.Errorf("by %s, round %d: %d calls for 170 instances, want 2, or a few more where readers were late",
					api, round, got)
			}
		}
	}
}

// sleepOf sleeps, but the second after which readers are not waited for never ends: who needs it hangs.
func sleepOf(t *testing.T) func(context.Context, time.Duration) error {
	t.Helper()
	return func(ctx context.Context, d time.Duration) error {
		if d >= maxGather {
			<-ctx.Done()
			return ctx.Err()
		}
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A reader that is given up does not take the question away from the others that share it.
func TestCancelledReaderLeavesSharedQuestionsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := &crowd{sleep: func(ctx context.Context, d time.Duration) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, open: make(map[*gathering]bool)}
		q := newQuestions(crowd, 10, &extra{left: maxExtra},
			func(ctx context.Context, _ string, ids []string) (map[string]int, error) {
				select {
				case <-time.After(3 * time.Second):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				found := make(map[string]int)
				for _, id := range ids {
					found[id] = 1
				}
				return found, nil
			})
		crowd.enter()
		crowd.enter()
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(2*time.Second, cancel).Stop()
		go func() { _, _, _ = q.get(ctx, "r", []string{"a"}); crowd.leave() }()
		synctest.Wait()
		found, failed, err := q.get(t.Context(), "r", []string{"b"})
		if err != nil || len(failed) > 0 || found["b"] != 1 {
			t.Errorf("get = %v, %v, %v, want an answer", found, failed, err)
		}
	})
}
