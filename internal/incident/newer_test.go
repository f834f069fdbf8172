package incident

import "testing"

// TestNewerIncident holds that one that is over knows what began on its load balancer since, and no other.
func TestNewerIncident(t *testing.T) {
	t.Parallel()
	d := newDesk(t, map[string]string{"prod-a": "w0 w1 w2", "prod-b": "w0 w1 w2"})
	d.set("prod-a", "w0:4 w1 w2").pass(5)
	first := d.only("prod-a")
	d.set("prod-a", "w0 w1 w2").pass(1)
	if got := d.s.Newer(first); got != "" {
		t.Errorf("of an open incident: %q, want none", got)
	}
	for range 30 {
		d.pass(1)
		if !first.Open() {
			break
		}
		if len(d.s.Roots) > 0 {
			first = d.s.Roots[0].Incidents[0]
		}
	}
	over := *first
	over.End, over.Closed = EndResolved, d.now
	d.set("prod-b", "w0:4 w1 w2").pass(1)
	if got := d.s.Newer(&over); got != "" {
		t.Errorf("while another load balancer has one: %q, want none", got)
	}
	d.set("prod-a", "w0 w1:4 w2").pass(1)
	if got, want := d.s.Newer(&over), d.only("prod-a").ID; got != want || want == over.ID {
		t.Errorf("once it has one: %q, want %q", got, want)
	}
	blind := over
	blind.About = Reading
	if got := d.s.Newer(&blind); got != "" {
		t.Errorf("of one about reading: %q, want none", got)
	}
}
