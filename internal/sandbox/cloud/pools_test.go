package cloud

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestCloudState(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	c.Bind(testRegion, "lb-other", many(1)...)
	c.SetStatus("ins-00000", 4)
	c.SetWeight(testRegion, testLB, "ins-00001", 0)
	c.Unbind(testRegion, testLB, "ins-00002")
	c.Unbind(testRegion, "lb-nowhere", "ins-00002")
	got := c.get(t, nil)
	if want := []string{"ins-00000", "ins-00001"}; !slices.Equal(got.ids(), want) {
		t.Fatalf("backends %q, want %q", got.ids(), want)
	}
	if *got.BackendSet[0].InstanceStatus != 4 || got.BackendSet[1].Weight != 0 {
		t.Errorf("status and weight were not set: %s", got.body)
	}
	if got := c.get(t,
		map[string]string{"loadBalancerId": "lb-other"}); *got.BackendSet[0].InstanceStatus != 4 {
		t.Error("the other load balancer shows another status of the same instance")
	}
	c.Delete(testRegion, testLB)
	if got := c.get(t, nil); got.code() != "5000" {
		t.Errorf("deleted: code %s, want 5000", got.code())
	}
	if got := c.get(t, map[string]string{"loadBalancerId": "lb-nowhere"}); got.code() != "5000" {
		t.Errorf("unbinding made a load balancer: code %s, want 5000", got.code())
	}
}

func TestCloudUnderManyHands(t *testing.T) {
	t.Parallel()
	c := newCloudTest(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				c.SetStatus("ins-00000", j)
				c.Bind(testRegion, testLB, Instance{ID: fmt.Sprintf("ins-x%d-%d", i, j)})
				c.Fail(testLB, FaultShuffle(), 1)
				r, err := get(t.Context(), c.url(c.params(nil), c.cred.SecretKey))
				if err != nil || r.code() != "0" {
					t.Errorf("code %s, error %v", r.code(), err)
				}
			}
		})
	}
	wg.Wait()
}
