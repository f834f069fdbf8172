package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/config"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/state"
	"clbwatch/internal/store"
	"clbwatch/internal/story"
	"clbwatch/internal/watch"
	"clbwatch/internal/watchtest"
	"clbwatch/internal/watchtest/stories"
)

var monthFlag = flag.String("month", "",
	"a folder for what comes of a month of 600 load balancers (make month)")

// TestMonth lets load balancers live through stories, which are mixed by a seed, with ticks of a real watcher
// in simulated time and the state in files. Then the built command line says what happened. A few load
// balancers live for three hours in every test; with -month, 600 for a month, and no command may take more
// than 128 MB for it.
func TestMonth(t *testing.T) {
	t.Parallel()
	span, clbs, out := 3*time.Hour, 8, t.TempDir()
	if *monthFlag != "" {
		span, clbs, out = 30*24*time.Hour, 600, *monthFlag
	}
	seed := *seedFlag
	if seed == 0 {
		seed = 16
	}
	l := newLab(t, byBot)
	m := newMonth(t, l, clbs, seed)
	m.live(span)
	m.settle()

	since := fmt.Sprintf("%.0fh", span.Hours())
	page := filepath.Join(out, "page.html")
	for _, tt := range []struct {
		file string
		args []string
	}{
		{"history.txt", []string{"history", "--since", since}},
		{"history.jsonl", []string{"history", "--since", since, "--json"}},
		{"report.txt", []string{"report", "--since", since}},
		{"report-24h.txt", []string{"report", "--since", "24h"}},
		{"report.json", []string{"report", "--since", since, "--json"}},
		{"page.txt", []string{"report", "--since", since, "--html", page}},
		{"replay.txt", []string{"replay", "--since", since}},
		{"replay-tried.txt", []string{"replay", "--since", since, "--stable-after", "30m", "--transient-for", "5m",
			"--silences", ""}},
	} {
		m.runs(filepath.Join(out, tt.file), tt.args...)
	}
	m.agree(out)
}

// month is the life of many load balancers.
type month struct {
	t      *testing.T
	lab    *lab
	rand   *mathrand.Rand
	now    time.Time
	store  *store.Place
	rules  incident.Rules
	clbs   []lb.CLB
	plots  []*plot
	of     map[string]*plot // by key
	posted int
	ticks  int
	mu     sync.Mutex
	seen   map[string]int64 // versions that were read, by key
}

// plot is a story that some load balancers live through, again and again.
type plot struct {
	story story.Story
	world story.World
	clbs  map[string]lb.CLB // by what the story calls them
	names map[string]string // and the other way round, by key
	begin time.Time         // of the next time
	next  int               // step
	back  time.Time         // when all is as it was at first
	ver   int64
}

func newMonth(t *testing.T, l *lab, n int, seed uint64) *month {
	t.Helper()
	all, err := stories.All()
	if err != nil {
		t.Fatal(err)
	}
	slack := func(s story.Step) bool { return s.Slack != "" }
	all = slices.DeleteFunc(all, func(s story.Story) bool { return slices.ContainsFunc(s.Steps, slack) })
	m := &month{t: t, lab: l, rand: mathrand.New(mathrand.NewPCG(seed, seed)), of: make(map[string]*plot),
		seen: make(map[string]int64)}
	m.store = store.OpenFiles(l.dir, func() time.Time { return m.now })
	kinds := []string{"web", "api", "batch", "search", "auth", "pay", "media", "dev"}
	for len(m.clbs) < n {
		p := &plot{story: all[m.rand.IntN(len(all))], clbs: make(map[string]lb.CLB), names: make(map[string]string)}
		for _, s := range p.story.Steps {
			if _, ok := p.clbs[s.CLB]; ok || s.CLB == "" || len(m.clbs) == n {
				continue
			}
			i := len(m.clbs)
			c := lb.CLB{Region: region, ID: fmt.Sprintf("lb-%08d", i),
				Label: fmt.Sprintf("%s-%03d", kinds[m.rand.IntN(len(kinds))], i)}
			m.clbs = append(m.clbs, c)
			p.clbs[s.CLB], p.names[c.Key()], m.of[c.Key()] = c, s.CLB, p
		}
		p.reset()
		m.plots = append(m.plots, p)
	}
	slices.SortFunc(m.clbs, func(a, b lb.CLB) int { return strings.Compare(a.Key(), b.Key()) })
	l.settings["SILENCES"] = "dev-*@Mon-Sun 19:00-07:00 Asia/Shanghai all"
	var ids []string
	for _, c := range m.clbs {
		ids = append(ids, c.ID+"="+c.Label)
	}
	l.settings["CLB_IDS"] = strings.Join(ids, ",")
	settings := maps.Clone(l.settings)
	settings["CLB_REGION"] = region
	settings["TENCENTCLOUD_SECRET_ID"], settings["TENCENTCLOUD_SECRET_KEY"] = "x", "x"
	cfg, err := config.Parse(settings)
	if err != nil {
		t.Fatal(err)
	}
	m.rules = incident.Rules{StableAfter: cfg.StableAfter, TransientFor: cfg.TransientFor,
		MentionAt: cfg.Slack.MentionAt, BlindAfter: cfg.BlindAfter, Windows: cfg.Silences,
		Route: incident.Route(cfg.Slack.Channel)}
	return m
}

// reset makes everything as the story has it at first.
func (p *plot) reset() {
	p.world, p.next = story.World{}, 0
	for _, s := range p.story.Steps {
		if s.T < 0 {
			p.world.Take(s)
			p.next++
		}
	}
	p.ver++
}

// advance lets what the story has until a time happen.
func (p *plot) advance(at time.Time) {
	switch {
	case p.begin.IsZero() || at.Before(p.begin):
	case !at.Before(p.back):
		p.reset()
		p.begin = time.Time{}
	default:
		minute := int(at.Sub(p.begin) / time.Minute)
		for ; p.next < len(p.story.Steps) && p.story.Steps[p.next].T <= minute; p.next++ {
			p.world.Take(p.story.Steps[p.next])
			p.ver++
		}
	}
}

// live ticks each minute in which something happens or is open, and every five minutes at least, until now.
func (m *month) live(span time.Duration) {
	m.now = time.Now().UTC().Truncate(time.Minute).Add(-span * 29 / 30)
	made := &state.Silences{Store: m.store, Nonce: rand.Text}
	last, nextSilence := time.Time{}, m.now.Add(6*time.Hour)
	for ; m.now.Before(time.Now()); m.now = m.now.Truncate(time.Minute).Add(time.Minute) {
		if m.rand.IntN(20_000) == 0 { // nobody pays the bill
			m.now = m.now.Add(time.Duration(20+m.rand.IntN(200)) * time.Minute)
			continue
		}
		for _, p := range m.plots {
			if p.begin.IsZero() && m.rand.IntN(int(span/time.Minute)/2) == 0 { // about twice
				p.begin = m.now.Add(time.Minute)
				p.back = p.begin.Add(time.Duration(p.story.Ticks+60) * time.Minute)
			}
			p.advance(m.now)
		}
		if m.now.After(nextSilence) {
			nextSilence = m.now.Add(time.Duration(m.rand.IntN(48)) * time.Hour)
			c := m.clbs[m.rand.IntN(len(m.clbs))]
			if _, err := made.Make(m.t.Context(), incident.Silence{What: c.Label, By: "ada", Why: "deploy",
				Made: m.now, Until: m.now.Add(2 * time.Hour)}); err != nil {
				m.t.Fatal(err)
			}
		}
		head, err := m.store.Load(m.t.Context())
		if err != nil {
			m.t.Fatal(err)
		}
		if head != nil && !head.Incidents.Busy() && !m.stirred() && m.now.Sub(last) < 5*time.Minute {
			continue
		}
		last = m.now
		m.tick(made)
	}
}

// stirred reports whether any load balancer is not as it was read last, or cannot be.
func (m *month) stirred() bool {
	for _, c := range m.clbs {
		if p := m.of[c.Key()]; p.world.Fails || p.ver != m.seen[c.Key()] {
			return true
		}
	}
	return false
}

func (m *month) tick(made *state.Silences) {
	w := &watch.Watcher{
		Part: state.Part{Store: m.store, By: state.CLI, Nonce: rand.Text},
		CLBs: m.clbs, Source: (*monthSource)(m), Notifier: (*monthSlack)(m), Silences: made, Rules: m.rules,
		Spool: watchtest.MemorySpool,
		Now:   func() time.Time { return m.now }, Sleep: func(context.Context, time.Duration) error { return nil },
	}
	ctx, cancel := context.WithDeadline(m.t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	_, err := w.Tick(ctx)
	// A story may make all of them unreadable.
	if err != nil && !strings.Contains(err.Error(), "no load balancer could be read") {
		m.t.Fatalf("tick at %v: %v", m.now, err)
	}
	if m.ticks++; m.ticks%500 == 0 {
		m.tidy()
	}
}

// tidy deletes old heads and snapshots: by the clock of the files they are all new.
func (m *month) tidy() {
	head, err := m.store.Load(m.t.Context())
	if err != nil || head.Snapshot == nil {
		m.t.Fatal(err)
	}
	heads, _ := filepath.Glob(filepath.Join(m.lab.dir, "head", "*")) // the pattern is good
	snapshots, _ := filepath.Glob(filepath.Join(m.lab.dir, "snap", "*"))
	keep := func(name string) bool { return strings.Contains(name, head.Snapshot.SHA256) }
	for _, old := range slices.Concat(heads[min(len(heads), 100):], slices.DeleteFunc(snapshots, keep)) {
		if err := os.Remove(old); err != nil {
			m.t.Fatal(err)
		}
	}
}

// monthSource reads the load balancers of a month.
type monthSource month

func (m *monthSource) Read(_ context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error) {
	p := m.of[c.Key()]
	if p.world.Fails {
		return lb.Reading{}, fmt.Errorf("RequestLimitExceeded: %s", c.ID)
	}
	m.mu.Lock()
	m.seen[c.Key()] = p.ver
	m.mu.Unlock()
	digest := lb.Digest(fmt.Sprint(p.ver))
	if known == digest {
		return lb.Reading{Unchanged: true, By: "2.0", Digest: digest}, nil
	}
	return lb.Reading{By: "2.0", Digest: digest,
		Backends: p.world.Reading(p.names[c.Key()], func(id string) lb.Backend {
			return lb.Backend{ID: machineOf(c, id), Name: c.Label + "-" + id}
		})}, nil
}

// machineOf is the id of a backend.
func machineOf(c lb.CLB, id string) string { return "ins-" + strings.TrimPrefix(c.ID, "lb-") + id }

// monthSlack takes everything.
type monthSlack month

func (m *monthSlack) Do(_ context.Context, call incident.Call, _ incident.Document) incident.Outcome {
	if call.Do == incident.Send {
		m.posted++
	}
	return incident.Outcome{Class: incident.Done, TS: fmt.Sprintf("%d.%06d", m.now.Unix(), m.posted)}
}

// settle gives the sandbox's cloud the load balancers as they are in the end.
func (m *month) settle() {
	for _, c := range m.clbs {
		p := m.of[c.Key()]
		m.lab.cloud.Create(region, c.ID)
		for _, b := range p.world.Reading(p.names[c.Key()], func(id string) lb.Backend {
			return lb.Backend{ID: machineOf(c, id), Name: c.Label + "-" + id}
		}) {
			m.lab.cloud.Bind(region, c.ID, cloud.Instance{ID: b.ID, Name: b.Name, LanIP: "10.0.0.7",
				Status: int(b.Status), Weight: b.Weight})
		}
	}
}

// most is what a command may take, in bytes.
const most = 128 << 20

// runs runs a command, which must succeed within the memory, and keeps what it prints in a file.
func (m *month) runs(file string, args ...string) {
	m.t.Helper()
	cr := m.lab.cloud.Issue()
	cmd := exec.CommandContext(m.t.Context(), *binary, args...)
	cmd.Env = []string{"HOME=" + m.lab.dir, "CLB_REGION=" + region, "TENCENTCLOUD_SECRET_ID=" + cr.SecretID,
		"TENCENTCLOUD_SECRET_KEY=" + cr.SecretKey, "TENCENTCLOUD_TOKEN=" + cr.Token}
	for k, v := range m.lab.settings {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := os.Create(file)
	if err != nil {
		m.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &errs
	began := time.Now()
	peak := func() int64 { return 0 }
	if err = cmd.Start(); err == nil {
		if *monthFlag != "" {
			peak = peakOf(cmd.Process.Pid)
		}
		err = cmd.Wait()
	}
	_ = out.Close() // what is missing, the checks see
	if err != nil || errs.Len() > 0 {
		m.t.Errorf("clbwatch %s: %v: %s", strings.Join(args, " "), err, &errs)
		return
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() == 0 {
		m.t.Errorf("clbwatch %s prints nothing", strings.Join(args, " "))
		return
	}
	took := peak()
	m.t.Logf("%-90s %6.1f s  %4d MB  prints %7d bytes", strings.Join(args, " "), time.Since(began).Seconds(),
		took>>20, info.Size())
	if took > most || (took == 0 && *monthFlag != "") {
		m.t.Errorf("clbwatch %s took %d MB, at most %d are allowed", strings.Join(args, " "), took>>20, most>>20)
	}
}

// peakOf looks at a process again and again, and gives the most bytes that it had in memory, when it has
// ended. What the system counts of an ended child (ru_maxrss) includes what the parent had when it started
// it.
func peakOf(pid int) func() int64 {
	peak, ended := int64(0), make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // an ended process has none
			if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
				kB := int64(0)
				if _, err := fmt.Sscan(rest, &kB); err == nil {
					peak = max(peak, kB<<10)
				}
			}
			select {
			case <-ended:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(ended)
		<-watched
		return peak
	}
}

// agree holds what the commands print against one another and against what was posted.
func (m *month) agree(out string) {
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(out, file))
		if err != nil {
			m.t.Fatal(err)
		}
		return string(text)
	}
	var r struct {
		LoadBalancers []struct {
			Course *struct {
				Strip   string
				Cells   []*float64
				Figures struct {
					Up      *float64
					NotSeen float64
				}
			}
		}
		Total struct{ Incidents, Messages int }
	}
	if err := json.Unmarshal([]byte(read("report.json")), &r); err != nil {
		m.t.Fatal(err)
	}
	if r.Total.Messages != m.posted {
		m.t.Errorf("the report has %d messages, and %d were posted", r.Total.Messages, m.posted)
	}
	incidents := 0
	for line := range strings.Lines(read("history.jsonl")) {
		if strings.Contains(line, `"about":"backends"`) {
			incidents++
		}
	}
	if r.Total.Incidents != incidents {
		m.t.Errorf("the report has %d incidents, the history %d", r.Total.Incidents, incidents)
	}
	if len(r.LoadBalancers) != len(m.clbs) {
		m.t.Errorf("the report has %d load balancers, want %d", len(r.LoadBalancers), len(m.clbs))
	}
	for n, p := range r.LoadBalancers {
		if c := p.Course; c == nil || len([]rune(c.Strip)) != len(c.Cells) || c.Figures.Up == nil {
			m.t.Errorf("load balancer %d has no whole course: %+v", n, c)
		}
	}
	if says := fmt.Sprintf("\n%d messages ", m.posted); !strings.Contains(read("replay.txt"), says) {
		m.t.Errorf("a replay with the same settings does not have the %d messages that were posted:\n%s", m.posted,
			read("replay.txt")[max(0, len(read("replay.txt"))-300):])
	}
	tried := read("replay-tried.txt")
	says := fmt.Sprintf("with the settings as they are: %d messages", m.posted)
	if !strings.Contains(tried, says) {
		m.t.Errorf("the other replay does not say %q", says)
	}
	page, err := os.Stat(filepath.Join(out, "page.html"))
	if err != nil || page.Size() > 8<<20 {
		m.t.Errorf("the page: %v", err)
	}
	m.t.Logf("%d load balancers, %d incidents, %d messages; the page has %d bytes", len(m.clbs), incidents,
		m.posted, page.Size())
}
