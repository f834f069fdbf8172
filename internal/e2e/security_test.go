package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
)

// These tests hold lines of docs/security.md that no guarantee is about.

// stranger is a server that nothing must reach.
type stranger struct{ calls atomic.Int64 }

func (s *stranger) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.calls.Add(1)
	_, _ = w.Write([]byte("ok")) // the test fails already
}

// eachServer runs a test for each server that the function talks to: set says how the function is told to ask
// another one in its place, by its address.
func eachServer(t *testing.T, test func(t *testing.T, l *lab, set func(address string) scf.Option)) {
	t.Helper()
	t.Parallel()
	for name, tt := range map[string]struct {
		in  place
		set func(l *lab, address string) scf.Option
	}{
		"API 2.0": {inFiles, func(_ *lab, a string) scf.Option {
			return scf.WithSetting("CLB_ENDPOINT",
				a+cloud.APIPath)
		}},
		"API 3.0": {byV3, func(_ *lab, a string) scf.Option { return scf.WithSetting("CLB_V3_ENDPOINT", a) }},
		"webhook": {inFiles, func(l *lab, a string) scf.Option {
			return scf.WithSetting("SLACK_WEBHOOK_URL",
				l.slack.URL(a))
		}},
		"bot": {byBot, func(l *lab, a string) scf.Option {
			return scf.WithSetting("SLACK_API_URL",
				l.slack.APIURL(a))
		}},
		"COS": {inCOS, func(l *lab, a string) scf.Option {
			state, _, _ := strings.Cut(l.settings["STATE_URL"], "&endpoint=")
			return scf.WithSetting("STATE_URL", state+"&endpoint="+url.QueryEscape(a))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, tt.in)
			l.settings["CLB_API"] = map[bool]string{true: "v3", false: "v2"}[tt.in == byV3]
			test(t, l, func(address string) scf.Option { return tt.set(l, address) })
		})
	}
}

// fails runs a tick that cannot do its job, or cannot tell.
func (l *lab) fails(f *scf.Function, with scf.Option) {
	l.t.Helper()
	l.cloud.SetStatus("ins-web-1", 4)
	if sum, err := l.try(f, with); err == nil && (sum.Pending == 0 || sum.Sent > 0) {
		l.t.Errorf("tick = %+v, want an error, or an alert that is owed", sum)
	}
	if len(l.told()) > 1 {
		l.t.Errorf("posted %q", l.news())
	}
}

// TestUntrustedCertificateIsRefused: whoever sits between the function and a server sees no request, and so
// no credentials.
func TestUntrustedCertificateIsRefused(t *testing.T) {
	eachServer(t, func(t *testing.T, l *lab, set func(string) scf.Option) {
		t.Helper()
		s := new(stranger)
		server := httptest.NewTLSServer(s)
		t.Cleanup(server.Close)
		f := l.start()
		l.tick(f)
		l.fails(f, set(server.URL))
		if n := s.calls.Load(); n > 0 {
			t.Errorf("%d requests were sent to a server with a certificate of its own", n)
		}
		l.settle(f)
	})
}

// TestRedirectsAreNotFollowed: credentials go nowhere but where the settings say.
func TestRedirectsAreNotFollowed(t *testing.T) {
	eachServer(t, func(t *testing.T, l *lab, set func(string) scf.Option) {
		t.Helper()
		s := new(stranger)
		elsewhere := httptest.NewServer(s)
		t.Cleanup(elsewhere.Close)
		var asked atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kind := http.StatusTemporaryRedirect // which keeps method and body
			if asked.Add(1)%2 == 0 {
				kind = http.StatusFound
			}
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, kind)
		}))
		t.Cleanup(server.Close)
		f := l.start()
		l.tick(f)
		l.fails(f, set(server.URL))
		if n := s.calls.Load(); n > 0 || asked.Load() == 0 {
			t.Errorf("%d requests followed a redirect, of %d", n, asked.Load())
		}
		l.settle(f)
	})
}

// TestPlainHTTPIsRefused: no secret travels in the clear, but on this machine.
func TestPlainHTTPIsRefused(t *testing.T) {
	eachServer(t, func(t *testing.T, l *lab, set func(string) scf.Option) {
		t.Helper()
		f := l.start()
		l.tick(f)
		l.fails(f, set("http://198.51.100.1"))
		l.settle(f)
	})
}

// TestForgedEventsDoNoHarm: who may invoke the function can make it read and report, and sets nothing. An
// event may name another number of shards; the next tick of the usual number takes the state back.
func TestForgedEventsDoNoHarm(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		f := l.start(scf.WithTimeout(2 * time.Minute)) // 64 shards are many, and the machine may be busy
		l.tick(f)
		for _, event := range []string{
			`{"Type":"Timer","Time":"1970-01-01T00:00:00Z"}`,
			`{"Type":"Timer","Message":"{\"shard\":\"65/65\"}"}`, `{"action":"tick","shard":"2/1"}`,
			`{"action":"tick","shard":"65/64"}`, `{"action":"tick","shard":"../../x"}`,
			`{"action":"tick","CLB_IDS":"lb-none","SLACK_WEBHOOK_URL":"http://127.0.0.1/x"}`,
			`{"action":"` + strings.Repeat("x", 1<<20) + `"}`, `{"action":"test"}`, `{}`,
			`{"action":"tick","shard":"2/3"}`, `{"action":"tick","shard":"5/64"}`,
		} {
			out, err := l.invoke(f, event)
			if err == nil && !json.Valid(out) || err != nil && len(err.Error()) > 1000 {
				t.Errorf("%.60s: %s, %v", event, out, err)
			}
		}
		l.settle(f)
		before := len(l.told())
		l.cloud.SetStatus("ins-web-1", 4)
		l.settle(f)
		if got := l.told()[before:]; !same(got, []string{"web-1 stopped"}) {
			t.Errorf("after forged events, posted %q, want what happened, once", got)
		}
	})
}
