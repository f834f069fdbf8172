package check_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/check"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/watch"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a cloud, a store and a Slack whose answers are given.
type world struct {
	skew    time.Duration
	reading lb.Reading
	readErr error
	head    *state.Head
	sent    int
}

func (w *world) Skew(context.Context) (time.Duration, error) { return w.skew, nil }
func (w *world) Read(context.Context, lb.CLB, lb.Digest) (lb.Reading, error) {
	return w.reading, w.readErr
}
func (w *world) Calls(lb.Reading) string                   { return "1 call of API 2.0" }
func (w *world) Load(context.Context) (*state.Head, error) { return w.head, nil }
func (w *world) Check(context.Context) error               { return nil }
func (w *world) Test(context.Context) error                { w.sent++; return nil }
func (w *world) names(_ context.Context, r string, _ []string) (map[string]string, error) {
	return map[string]string{"lb-1": "one of " + r}, nil
}

func (w *world) parts(clbs ...lb.CLB) check.Parts {
	return check.Parts{
		Zone:     time.FixedZone("CST", 8*3600),
		Settings: "as they are",
		Watched: func(context.Context) ([]lb.CLB, map[string]error) {
			return clbs, map[string]error{"ap-b": errors.New("not granted")}
		},
		Search: func(context.Context) []watch.Found {
			there := []watch.Listed{{ID: "lb-7", Name: "prod-web"}}
			return []watch.Found{
				{Scope: watch.Scope{Region: "ap-a"}, CLBs: clbs, There: there},
				{Scope: watch.Scope{Region: "ap-b"}, Err: errors.New("not granted")},
				{Scope: watch.Scope{Region: "ap-a", Glob: "pord-*"}, There: there},
			}
		},
		Elsewhere: func(context.Context, lb.CLB) string { return "ap-c" },
		Files:     func() error { return nil },
		Cloud:     w,
		APIs: []check.API{
			{Name: "API 2.0", Names: w.names},
			{Name: "API 3.0", Optional: true, Names: w.names},
		},
		Place: "/state", Store: w, Slack: w, Bot: true,
		Now: func() time.Time { return noon },
	}
}

// run runs the probes and returns what they print.
func run(t *testing.T, p check.Parts, send bool) string {
	t.Helper()
	var out strings.Builder
	if _, err := check.Run(t.Context(), &out, check.Probes(t.Context(), p, send), false, 0); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestProbesInOrder(t *testing.T) {
	t.Parallel()
	w := &world{}
	a1, a2 := lb.CLB{Region: "ap-a", ID: "lb-1"}, lb.CLB{Region: "ap-a", ID: "lb-2"}
	b1 := lb.CLB{Region: "ap-b", ID: "lb-1"}
	got := run(t, w.parts(a1, a2, b1), false)
	want := `ok     settings       as they are
ok     clock          agrees with the API's
ok     API 2.0        takes the keys in ap-a, and knows 1 of 2 load balancers
ok     API 3.0        takes the keys in ap-a, and knows 1 of 2 load balancers
ok     API 2.0        takes the keys in ap-b, and knows 1 of 1 load balancer
ok     API 3.0        takes the keys in ap-b, and knows 1 of 1 load balancer
ok     search         ap-a finds 3 load balancers
WRONG  search         not granted
WRONG  search         ap-a/pord-* finds nothing; in ap-a there are lb-7 ("prod-web")
                      → see whether the name or the tag in CLB_DISCOVER is right
ok     load balancer  ap-a/lb-1 ("one of ap-a") is classic and has 0 backends, read in 1 call of API 2.0
ok     load balancer  ap-a/lb-2 is classic and has 0 backends, read in 1 call of API 2.0
ok     load balancer  ap-b/lb-1 ("one of ap-b") is classic and has 0 backends, read in 1 call of API 2.0
ok     files          there is room for temporary files
ok     state          /state has no state yet: the next tick takes the baseline
ok     Slack          the bot is in the channel and may look for its messages; --send posts a test message
`
	if got != want {
		t.Errorf("the probes print\n%s\nwant\n%s", got, want)
	}
	if w.sent != 0 {
		t.Errorf("%d test messages were posted, want none", w.sent)
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	due := func(since time.Duration) *state.Head {
		d := incident.Delivery{Due: noon.Add(-since)}
		root := &incident.Root{Incidents: []*incident.Incident{{ID: "12", Key: "ap-a/lb-1"}}, Delivery: d}
		return &state.Head{CommittedAt: noon, Incidents: incident.State{Roots: []*incident.Root{root}}}
	}
	const (
		wrongState = "WRONG  state          /state: "
		okState    = "ok     state          /state was last written 2026-11-23 20:00:00 CST; "
	)
	for name, tt := range map[string]struct {
		world world
		want  string
	}{
		"clock ahead, a little":  {world{skew: 2 * time.Minute}, "ok     clock"},
		"clock ahead":            {world{skew: 121 * time.Second}, "WRONG  clock          it is 2m1s off"},
		"clock behind, a little": {world{skew: -2 * time.Minute}, "ok     clock"},
		"clock behind":           {world{skew: -121 * time.Second}, "WRONG  clock          it is -2m1s off"},
		"due, not for long":      {world{head: due(14 * time.Minute)}, "; 1 incident open, 1 message due"},
		"due for long": {world{head: due(15 * time.Minute)},
			wrongState + "incident 12 has not reached Slack for 15 minutes"},
		"nothing due": {world{head: &state.Head{CommittedAt: noon}}, okState + "0 incidents open, 0 messages due"},
		"health that cannot be read": {world{reading: lb.Reading{HealthErr: errors.New("no right")}},
			"WRONG  load balancer  ap-a/lb-1: no right"},
		"in another region": {world{readErr: lb.ErrNotFound},
			"it is in ap-c\n                      → write ap-c/lb-1 in CLB_IDS"},
		"odd rows": {world{reading: lb.Reading{Odd: []string{"ins-2 has no RunFlag"}}},
			"; odd: ins-2 has no RunFlag\n"},
		"functions": {world{reading: lb.Reading{Functions: 2}}, "; 2 cloud functions bound to it"},
		"health":    {world{reading: lb.Reading{Health: true}}, "; their health was read\n"},
		"application": {world{reading: lb.Reading{Kind: lb.Application, Backends: make([]lb.Backend, 2)}},
			"is application and has 2 backends, read in 1 call of API 2.0; their status is CVM's\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, tt.world.parts(lb.CLB{Region: "ap-a", ID: "lb-1"}), false)
			if !strings.Contains(got, tt.want) {
				t.Errorf("the probes print\n%s\nwant %q in it", got, tt.want)
			}
		})
	}
}

// Each channel is tried by itself, and one that fails says so.
func TestProbesOfChannels(t *testing.T) {
	t.Parallel()
	for _, send := range []bool{false, true} {
		var calls []string
		channel := func(id, what string, err error) check.Channel {
			try := func(name string) func(context.Context) error {
				return func(context.Context) error {
					calls = append(calls, name+" "+id)
					return err
				}
			}
			return check.Channel{ID: id, What: what, Check: try("check"), Test: try("test"),
				Takes: func(c lb.CLB) bool { return c.ID == "lb-2" }}
		}
		p := (&world{}).parts(lb.CLB{Region: "ap-a", ID: "lb-1"}, lb.CLB{Region: "ap-a", ID: "lb-2"})
		p.Channels = []check.Channel{
			channel("C0A", "prod-*", advice.Add(errors.New("Slack says not_in_channel"), "invite the app")),
			channel("C0B", "db-*, x", nil),
		}
		says, did := "the bot is in it", []string{"check C0A", "check C0B"}
		if send {
			says, did = "a test message was posted", []string{"test C0A", "test C0B"}
		}
		want := `WRONG  Slack          C0A, for prod-*: Slack says not_in_channel
                      → invite the app
ok     Slack          C0B, for db-*, x: ` + says + `; it takes 1 of 2 load balancers
`
		if got := run(t, p, send); !strings.HasSuffix(got, want) || !slices.Equal(calls, did) {
			t.Errorf("the probes did %q and print\n%s\nwant %q, and at the end\n%s", calls, got, did, want)
		}
	}
}

func TestProbeOfSlackPostsOnlyIfAsked(t *testing.T) {
	t.Parallel()
	for _, send := range []bool{false, true} {
		w := &world{}
		p := w.parts()
		p.Bot = false
		want, sent := "the webhook answers; --send posts a test message", 0
		if send {
			want, sent = "a test message was posted", 1
		}
		if got := run(t, p, send); !strings.Contains(got, want) || w.sent != sent {
			t.Errorf("send %v: %d messages, want %d, and\n%s\nwant %q in it", send, w.sent, sent, got, want)
		}
	}
}
