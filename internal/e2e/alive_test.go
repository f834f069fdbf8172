package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/slack"
)

// Guarantee 9: somebody notices when it stops.

// TestHeartbeat: one call after each honest tick, and none after one that could not work, or whose news has
// not reached Slack for 15 minutes.
func TestHeartbeat(t *testing.T) {
	byBoth(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		secret := sandbox.RandomHex(16)
		seen.secret("the heartbeat's secret", secret)
		var beats atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.URL.Path == "/ping/"+secret {
				beats.Add(1)
			}
		}))
		t.Cleanup(server.Close)
		l.settings["HEARTBEAT_URL"] = server.URL + "/ping/" + secret
		f := l.start()
		l.tick(f)
		l.tick(f)
		if n := beats.Load(); n != 2 {
			t.Errorf("%d beats after 2 honest ticks", n)
		}
		l.slack.FailCalls(slack.Calls{}, slack.RateLimited("30"))
		failed := l.live(f, 20, map[int]func(){0: l.stop("web-1")})
		if n := beats.Load(); n != 22-int64(len(failed)) || len(failed) < 4 {
			t.Errorf("%d beats after 22 ticks of which %d failed", n, len(failed))
		}
		l.slack.ClearFaults()
		l.tick(f)
		before, newest := beats.Load(), l.objects("head/")[0]
		whole := l.content(newest)
		l.put(newest, []byte("{}"))
		if sum, err := l.try(f); err == nil {
			t.Errorf("tick with damaged state: %+v, want an error", sum)
		}
		if n := beats.Load(); n != before {
			t.Error("a tick that could not work beats")
		}
		l.put(newest, whole)
		server.CloseClientConnections()
		server.Close()
		l.tick(f) // one that reaches nobody has done its work
	})
}

// TestTroubleIsPostedOnceAnHour: with a cold start every minute, too, as long as the place of the state can
// still tell.
func TestTroubleIsPostedOnceAnHour(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		l.put(l.objects("head/")[0], []byte("{}"))
		began := time.Now().UTC().Hour()
		for range 4 {
			f := l.start()
			for range 2 {
				if sum, err := l.try(f); err == nil {
					t.Errorf("tick with damaged state: %+v, want an error", sum)
				}
			}
			l.end(f)
		}
		most := 1
		if time.Now().UTC().Hour() != began {
			most = 2
		}
		got := l.troubles()
		if len(got) < 1 || len(got) > most || !strings.Contains(strings.Join(got, ""), "damaged") {
			t.Errorf("posted %q, want once that it cannot work, and why", got)
		}
	})
}
