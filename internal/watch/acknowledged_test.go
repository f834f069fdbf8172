package watch_test

import (
	"context"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/watchtest"
)

// TestAcknowledgementEndsWithItsIncident holds that it is listed no more then.
func TestAcknowledgementEndsWithItsIncident(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a", "ins-b", "ins-c")...)
	one := func() {
		if _, err := w.Watcher(web).Tick(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.Advance(time.Minute)
	}
	one()
	stopped := up("ins-a", "ins-b", "ins-c")
	stopped[0].Status = 4
	w.Set(web, stopped...)
	one()
	w.Silence(incident.Silence{Incident: "2"}, 24*time.Hour) // 1 was "now watching"
	one()
	if w.Head().Incidents.Roots[0].Incidents[0].Ack == "" {
		t.Fatal("it is not acknowledged")
	}
	w.Set(web, up("ins-a", "ins-b", "ins-c")...)
	for range 30 {
		one()
	}
	if all, err := w.Watcher(web).ListSilences(context.Background()); len(all) > 0 || err != nil {
		t.Errorf("the incident was over 20 minutes ago; listed as active: %+v, %v", all, err)
	}
}
