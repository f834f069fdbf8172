package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
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

// TestCraftedSnapshotIsRefused: whoever can write the state takes neither the memory nor the life of the
// function with a snapshot that has the right name: it is an error, and no news.
func TestCraftedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	const index = `{"schema":1,"clbs":{}}` + "\n"
	// as much as the function has, in a few kB
	endless := slices.Repeat([]string{strings.Repeat("x", 1<<20)}, 128)
	for name, tt := range map[string]struct {
		text []string
		want string
	}{
		"an index without end": {endless, "more than 67108864 bytes"},
		"a line without end": {append([]string{index, `{"key":"`}, endless...),
			"more than 67108864 bytes"},
		"a count that is no number": {[]string{`{"schema":1,"clbs":{"a/b":{"backends":1e99}}}`, "\n"},
			"1e99"},
		"an index of a million lists": {[]string{strings.Repeat("[", 1<<20), "\n"}, "depth"},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: each takes what memory it is allowed
			l := newLab(t, inCOS)
			f := l.start()
			l.tick(f)
			l.end(f)
			l.forge(func(head map[string]any) { head["snapshot"] = l.pack(tt.text) })
			f = l.start()
			for range 2 {
				if sum, err := l.try(f); err == nil || !strings.Contains(err.Error(), "snapshot") ||
					!strings.Contains(err.Error(), tt.want) {
					t.Errorf("tick = %+v, %v, want an error about the snapshot: %s", sum, err, tt.want)
				}
			}
			if got := l.news(); len(got) > 0 {
				t.Errorf("posted %q, want no news", got)
			}
			if got := l.troubles(); len(got) != 1 || !strings.Contains(got[0], "snapshot") {
				t.Errorf("posted %q, want once that it cannot work, and why", got)
			}
		})
	}
}

// pack stores a snapshot with a name that fits, as somebody else might, and returns what a head calls it.
func (l *lab) pack(text []string) map[string]any {
	l.t.Helper()
	var stored bytes.Buffer
	z, err := zstd.NewWriter(&stored, zstd.WithWindowSize(1<<20))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, s := range text {
		if _, err := io.WriteString(z, s); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		l.t.Fatal(err)
	}
	sum := sha256.Sum256(stored.Bytes())
	name := hex.EncodeToString(sum[:])
	l.put("snap/"+name+"-X.zst", stored.Bytes())
	return map[string]any{"sha256": name, "tag": "X", "bytes": stored.Len()}
}

// TestForgedIncidentIsInert: whoever can write the state can make the function post what is not so, and
// nothing in it is markup.
func TestForgedIncidentIsInert(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		l.cloud.SetStatus("ins-web-1", 4)
		l.tick(f)
		hostile := "<!channel> <@U024BE7LH> <https://evil.example|x>\u202e\x00" + strings.Repeat("<", 5000)
		id := hostile
		if in == byBot {
			// a bot's metadata has it, which nobody is shown, and the sandbox takes no mention anywhere
			id = "9"
		}
		now := time.Now().UTC().Format(time.RFC3339)
		l.forge(func(head map[string]any) {
			incidents := head["incidents"].(map[string]any)
			incidents["reasons"] = []any{map[string]any{"why": hostile, "do": hostile}}
			tags := 0
			root := func(incident map[string]any) map[string]any {
				old := incidents["roots"].([]any)[len(incidents["roots"].([]any))-1].(map[string]any)
				root := maps.Clone(old)
				incident["id"], incident["k"], incident["l"], incident["n"], incident["t"] = id,
					hostile+"/"+hostile, hostile, hostile, now
				root["incidents"], root["made"], root["rev"], root["news"], root["newsAt"] = []any{incident},
					now, 1, 1, now
				incident["rev"], incident["v"] = 1, 1 // the latter where something cannot be read
				tags++
				root["tag"] = fmt.Sprint("FORGED", tags)
				root["delivery"] = map[string]any{"route": old["delivery"].(map[string]any)["route"]}
				return root
			}
			machine := map[string]any{"id": hostile, "n": hostile, "ip": hostile, "y": hostile, "s": 4,
				"b": 1, "w": 2, "f": now, "t": now, "x": 1 << 60, "at": now}
			incidents["roots"] = []any{
				root(map[string]any{"machines": []any{machine}, "emptied": []any{hostile},
					"counts": map[string]any{"leftRunning": 1 << 60}, "level": 3}),
				root(map[string]any{"a": "reading", "w": 1, "level": 1}),
				root(map[string]any{"a": "watching", "end": "notice", "closed": now,
					"baseline": map[string]any{"clbs": 1 << 60, "backends": -1, "running": 7,
						"worst": []any{map[string]any{"clb": map[string]any{"region": hostile, "id": hostile,
							"label": hostile}, "now": map[string]any{}}}}}),
			}
		})
		f = l.start()
		l.settle(f)
		posts := l.slack.Channel()[2:]
		if len(posts) < 3 || len(l.slack.Refused()) > 0 {
			t.Fatalf("%d messages, want 3 at least; refused: %q", len(posts), l.slack.Refused())
		}
		for _, p := range posts {
			var v any
			if err := json.Unmarshal(p.Raw, &v); err != nil {
				t.Fatal(err)
			}
			for _, s := range markup(v) {
				if strings.ContainsAny(s, "\u202e\x00") || strings.Contains(s, "<!channel") ||
					strings.Contains(s, "<@U") || strings.Contains(s, "<http") {
					t.Errorf("markup that Slack parses has something forged in it: %.200q", s)
				}
			}
		}
		l.cloud.SetStatus("ins-web-2", 4)
		before := len(l.told())
		l.settle(f)
		if got := l.told()[before:]; !same(got, []string{"web-2 stopped"}) {
			t.Errorf("after that, posted %q, want what happened", got)
		}
	})
}

// forge changes the newest head, and gives it a checksum that is right.
func (l *lab) forge(change func(head map[string]any)) {
	l.t.Helper()
	key := l.objects("head/")[0]
	line, _, _ := bytes.Cut(l.content(key), []byte("\n"))
	var head map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&head); err != nil {
		l.t.Fatal(err)
	}
	change(head)
	text, err := json.Marshal(head)
	if err != nil {
		l.t.Fatal(err)
	}
	l.put(key, sandbox.Seal(text))
}

// Guarantee 7: no text from the cloud is markup to Slack; every message is inside Slack's limits.

func TestHostileNames(t *testing.T) { byV2(t, testHostileNames) }

func testHostileNames(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	l.tick(f)
	hostile := "<!channel> <@U024BE7LH|boss> <https://evil.example|Open console> *b* `c` :fire: & " +
		"\n>quote\u202e\u2028\x00" + strings.Repeat("界", 40)
	bad := vm("x")
	bad.Name, bad.LanIP = hostile, hostile
	l.cloud.Bind(region, web, bad)
	l.tick(f)
	l.cloud.SetStatus("ins-x", 4)
	l.tick(f)
	l.cloud.Fail(api, cloud.FaultCode(6000, hostile, hostile), -1)
	for range 3 {
		l.tick(f)
	}
	if _, err := l.invoke(f, `{"action":"report"}`); err != nil {
		t.Error(err)
	}
	messages := l.slack.Messages()[1:]
	if len(messages) < 4 || len(l.slack.Refused()) != 0 {
		t.Fatalf("%d messages, want 4 at the least; refused: %q", len(messages), l.slack.Refused())
	}
	for _, p := range l.slack.Channel() { // as they are after edits
		messages = append(messages, slack.Message{Raw: p.Raw})
	}
	for _, m := range messages {
		var v any
		if err := json.Unmarshal(m.Raw, &v); err != nil {
			t.Fatal(err)
		}
		for _, s := range markup(v) {
			for _, bad := range []string{"<!channel>", "<@U", "<https://evil", "\u202e", "\u2028", "\x00"} {
				if strings.Contains(s, bad) {
					t.Errorf("markup that Slack parses has %q in it: %q", bad, s)
				}
			}
		}
	}
}

// markup are the texts of a message that Slack parses: text and fallback, and mrkdwn text objects.
func markup(v any) (found []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			found = append(found, markup(e)...)
		}
	case map[string]any:
		_, hasType := v["type"]
		for k, e := range v {
			if s, ok := e.(string); ok && (k == "fallback" || k == "text" &&
				(!hasType || v["type"] == "mrkdwn")) {
				found = append(found, s)
			}
			found = append(found, markup(e)...)
		}
	}
	return found
}
