package stories_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"clbwatch/internal/config"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/slack"
	"clbwatch/internal/story"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
	"clbwatch/internal/watchtest/stories"
	"clbwatch/notifier"
	"clbwatch/notifier/message"
)

const region = "ap-guangzhou"

// player plays a story through the whole way: ticks of a watcher in a world of watchtest, the real notifier,
// and HTTP to a Slack that is strict about its rules and rates. All of them go by the world's clock.
type player struct {
	t     testing.TB
	story story.Story
	bot   bool // now
	first bool // at first
	truth *stories.Truth
	world story.World

	life    *watchtest.World
	begin   time.Time // of minute 0
	minute  int
	slack   *slack.Workspace
	server  *httptest.Server
	wire    *http.Transport
	cut     bool // no connection to Slack
	notify  *notifier.Slack
	extra   func(p *player) // what else happens in a minute, before its tick
	without bool            // the oracle does not look
	gone    map[string]bool // load balancers that were deleted
	finds   bool            // load balancers are discovered, not named by the settings
	to      string          // the bot's channel; "" is that of slack
	windows incident.Windows

	channel []*seen // as it stands, in order
	posted  []*seen // of this tick
	edited  []*seen
	refused int // calls that Slack refused, until now
	failed  []failure
	oracle  *oracle

	problems []string
}

// failure is a tick that returned an error.
type failure struct {
	minute int
	err    error
}

// seen is one message in Slack.
type seen struct {
	slack.Post
	page
	first  page // as it was posted
	minute int  // when
}

// inChannel reports whether people see it without opening a thread.
func (m *seen) inChannel() bool { return m.Thread == "" || m.Broadcast }

func play(t testing.TB, s story.Story, bot bool, change func(*player)) *player {
	t.Helper()
	p := &player{t: t, story: s, bot: bot, first: bot, truth: stories.NewTruth(s), life: watchtest.New(),
		slack: slack.New(), gone: make(map[string]bool)}
	if s.Start.IsZero() {
		s.Start = p.life.Now().Add(time.Minute)
	}
	for p.begin = s.Start; p.begin.Before(p.life.Now()); { // the same day of the week and time, so far ahead
		p.begin = p.begin.AddDate(0, 0, 7)
	}
	p.windows = windows(t, s.Settings["SILENCES"], true)
	p.slack.Now, p.slack.Mention = p.life.Now, s.Setting("SLACK_MENTION")
	p.server = httptest.NewServer(p.slack)
	defer func() { p.server.Close() }()
	dialer := net.Dialer{}
	p.wire = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if p.cut {
			return nil, syscall.ECONNREFUSED
		}
		return dialer.DialContext(ctx, network, addr)
	}}
	defer p.wire.CloseIdleConnections()
	p.connect(bot)
	p.oracle = newOracle(p)
	if change != nil {
		change(p)
	}
	next := 0
	for p.minute = -1; p.minute < s.Ticks+story.Settle; p.minute++ {
		for ; next < len(s.Steps) && s.Steps[next].T <= p.minute; next++ {
			p.world.Take(s.Steps[next])
		}
		p.tick()
	}
	return p
}

// windows are those of the setting SILENCES, for load balancers as they are called here if they are renamed.
func windows(t testing.TB, setting string, renamed bool) incident.Windows {
	t.Helper()
	if setting == "" {
		return nil
	}
	cfg, err := config.Parse(map[string]string{"SILENCES": setting, "CLB_IDS": "lb-8a3k2m1q",
		"CLB_REGION": region, "STATE_URL": "file:///x",
		"TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range cfg.Silences {
		if !renamed {
			break
		}
		cfg.Silences[n].What = label(cfg.Silences[n].What)
	}
	return cfg.Silences
}

// connect makes the notifier anew, for the bot or the webhook.
func (p *player) connect(bot bool) {
	c := notifier.Config{
		Style: message.Style{Mention: p.slack.Mention}, Transport: p.wire, Now: p.life.Now,
		Sleep: func(ctx context.Context, d time.Duration) error { p.life.Advance(d); return ctx.Err() },
	}
	if p.bot = bot; bot {
		c.Token, c.APIURL = p.slack.Token(), p.slack.APIURL(p.server.URL)
		c.Channel = cmp.Or(p.to, p.slack.ChannelID())
	} else {
		c.WebhookURL = p.slack.URL(p.server.URL)
	}
	n, err := notifier.New(c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.notify = n
}

// What load balancers and backends are called: a person has only the names to go by.
func label(clb string) string      { return "prod-" + clb }
func key(clb string) string        { return region + "/lb-" + clb }
func machine(id string) string     { return "ins-" + id }
func backend(id string) lb.Backend { return lb.Backend{ID: machine(id), Name: id, LanIP: "10.0.0.7"} }
func readFails(op, _ string) (bool, error) {
	if op == "read" {
		return false, errors.New("RequestLimitExceeded: too many requests")
	}
	return true, nil
}

func (p *player) tick() {
	p.conditions()
	if at := p.begin.Add(time.Duration(p.minute) * time.Minute); at.After(p.life.Now()) {
		p.life.Advance(at.Sub(p.life.Now()))
	}
	if p.extra != nil {
		p.extra(p)
	}
	names := slices.Sorted(maps.Keys(p.world.CLBs))
	var keys []string
	for _, name := range names {
		keys = append(keys, key(name))
		p.life.Name(key(name), label(name), nil)
		if p.gone[name] {
			p.life.Delete(key(name))
			continue
		}
		p.life.Set(key(name), p.world.Reading(name, backend)...)
	}
	w := p.life.Watcher(keys...)
	for i := range w.CLBs {
		w.CLBs[i].Label = label(strings.TrimPrefix(w.CLBs[i].ID, "lb-"))
	}
	if p.finds {
		w.CLBs, w.Discover = nil, []watch.Scope{{Region: region}}
	}
	w.Notifier = p.notify
	w.Rules.StableAfter = p.story.Duration("STABLE_AFTER")
	w.Rules.TransientFor = p.story.Duration("TRANSIENT_FOR")
	w.Rules.Route, w.Rules.Windows = p.notify.Route(), p.windows
	ctx, cancel := context.WithDeadline(context.Background(), p.life.Now().Add(58*time.Second))
	defer cancel()
	if _, err := w.Tick(ctx); err != nil {
		p.failed = append(p.failed, failure{p.minute, err})
	}
	p.look()
	world := p.world
	world.CLBs = maps.Clone(p.world.CLBs)
	maps.DeleteFunc(world.CLBs, func(clb string, _ map[string]story.Backend) bool { return p.gone[clb] })
	p.truth.Observe(p.minute, &world)
	if !p.without && len(p.windows) == 0 { // it knows nothing of silences
		p.oracle.check()
	}
}

// conditions makes the API and Slack as the story has them.
func (p *player) conditions() {
	p.life.Health(true)
	if p.life.Fail(nil); p.world.Fails {
		p.life.Fail(readFails)
	}
	if cut := p.world.Slack == "no connection"; cut != p.cut {
		p.cut = cut
		p.wire.CloseIdleConnections()
	}
	if strings.HasPrefix(p.world.Slack, story.Poison) || p.world.Slack == "" && p.extra == nil {
		p.slack.ClearFaults()
	}
	if bad, ok := strings.CutPrefix(p.world.Slack, story.Poison); ok {
		broken := slack.Answer(http.StatusInternalServerError, "rollup_error")
		p.slack.FailCalls(slack.Calls{Naming: bad}, broken)
	}
}

// look reads the channel.
func (p *player) look() {
	p.posted, p.edited = nil, nil
	taken, now := p.slack.Messages(), p.slack.Channel()
	for n, post := range now {
		if n == len(p.channel) {
			m := &seen{Post: post, page: read(p.t, post.Raw), first: read(p.t, taken[n].Raw),
				minute: p.minute}
			p.channel, p.posted = append(p.channel, m), append(p.posted, m)
			continue
		}
		if m := p.channel[n]; !post.Edited.Equal(m.Edited) {
			m.Post, m.page = post, read(p.t, post.Raw)
			p.edited = append(p.edited, m)
		}
	}
	// A webhook is asked with an empty message whether it is there.
	asks := func(why string) bool { return why == "400 no_text: text is empty" }
	if all := slices.DeleteFunc(p.slack.Refused(), asks); len(all) > p.refused {
		p.complain("Slack refuses: %v", all[p.refused:])
		p.refused = len(all)
	}
}

// count counts what Slack accepted from minute 0 on, as story.Bounds has it.
func (p *player) count() (b story.Bounds) {
	for _, m := range p.channel {
		if m.minute < 0 {
			continue // now watching
		}
		if b.Messages++; m.Thread == "" {
			b.Channel++
		} else {
			b.Updates++
		}
		if m.Broadcast {
			b.Broadcast++
		}
		if m.first.mentions {
			b.Mentions++
		}
	}
	if p.bot {
		b.Messages = 0
		return b
	}
	return story.Bounds{Messages: b.Messages}
}

// keyOf is what a message is recognised by; "" if it has no metadata.
func keyOf(raw json.RawMessage) string {
	var m struct {
		Metadata struct {
			Payload struct{ ID string } `json:"event_payload"`
		}
	}
	if json.Unmarshal(raw, &m) != nil {
		return ""
	}
	return m.Metadata.Payload.ID
}
