package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox/scf"
)

// silence asks for one by event, and returns the number it got.
func (l *lab) silence(f *scf.Function, event string) (id string) {
	l.t.Helper()
	out, err := l.invoke(f, event)
	var answer struct {
		Silence struct{ ID string }
		Covers  string
	}
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil || answer.Silence.ID == "" || answer.Covers == "" {
		l.t.Fatalf("%s: %s, %v, want a silence and what it covers", event, out, err)
	}
	return answer.Silence.ID
}

// TestSilence: what a silence covers is not posted, what gets bad enough is, and what is due is posted when
// it ends.
func TestSilence(t *testing.T) {
	in(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		l.cloud.Bind(region, web, vm("web-4"), vm("web-5"), vm("web-6"))
		f := l.start()
		l.live(f, 2, nil)
		out, err := l.invoke(f,
			`{"action":"silence","what":"prod-w?b","for":"2h","why":"deploy 4711","by":"ada"}`)
		if err != nil || !strings.Contains(string(out), `"covers":"1 load balancer, 6 backends, none out"`) {
			t.Fatalf("it answers %s, %v", out, err)
		}
		l.live(f, 3, map[int]func(){1: l.stop("web-1"), 2: l.run("web-1")})
		if got := l.news(); len(got) != 0 {
			t.Errorf("what stops and is back in a silence: %q", got)
		}
		l.live(f, 2, map[int]func(){0: l.stop("api-1")})
		if got := l.news(); !slices.Equal(got, []string{"api-1 stopped"}) {
			t.Errorf("what no silence covers: %q", got)
		}
		l.live(f, 2, map[int]func(){0: l.stop("web-1")})
		l.live(f, 2, map[int]func(){0: l.stop("web-2", "web-3")})
		if got := l.titles()[1:]; len(got) != 2 || !strings.Contains(got[1], "prod-web degraded: 3 of 6 running") {
			t.Errorf("what gets worse than the silence holds back: %q", got)
		}
		l.live(f, 2, map[int]func(){0: l.stop("web-4")})
		n := len(l.slack.Messages())
		l.silence(f, `{"action":"silence","end":"1"}`)
		l.live(f, 1, nil)
		all := l.texts()
		if len(l.slack.Messages()) != n+1 || !strings.Contains(all[len(all)-1], "web-4") ||
			!strings.Contains(all[len(all)-1], "deploy 4711") {
			t.Errorf("when it ends: %q, want one message about web-4 that names the silence", all[n-1:])
		}
		// By timer, a report starts with what is silenced.
		l.silence(f, `{"action":"silence","what":"*","for":"3h","why":"night"}`)
		weekly := `{"Type":"Timer","Message":"{\"action\":\"report\",\"since\":\"7d\"}"}`
		if _, err := l.invoke(f, weekly); err != nil {
			t.Fatal(err)
		}
		all = l.texts()
		report := all[len(all)-1]
		if i := l.slack.Messages(); in == byBot { // the list of backends comes in its thread
			report = strings.Join(strs(t, i[len(i)-2].Raw), "\n")
		}
		at := func(words string) int { return strings.Index(report, words) }
		silences, open, stand := at("Silences (1)"), at("Open"), at("not running")
		if silences < 0 || !strings.Contains(report, "night") || open < silences || stand >= 0 && stand < open {
			t.Errorf("the report has silences at %d, what is open at %d, how things stand at %d:\n%s", silences,
				open, stand, report)
		}
	}, inCOS, byBot)
}

// TestAcknowledge: the root says who has it, flapping is not posted, and what gets worse is.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	l := newLab(t, byBot)
	l.slack.Users = []string{"U0123ABCD"}
	l.cloud.Bind(region, web, vm("web-4"), vm("web-5"), vm("web-6"))
	f := l.start()
	l.live(f, 2, nil)
	l.live(f, 1, map[int]func(){0: l.stop("web-1")})
	l.silence(f, `{"action":"silence","incident":"2","by":"U0123ABCD","why":"on it"}`)
	l.live(f, 1, nil)
	root := l.slack.Channel()[1]
	shown := strings.Join(strs(t, root.Raw), "\n")
	if !strings.Contains(shown, "acknowledged by <@U0123ABCD> since") {
		t.Fatalf("the root does not say who has it: %s", shown)
	}
	n := len(l.slack.Messages())
	l.live(f, 6, map[int]func(){0: l.stop("web-2"), 1: l.run("web-2"), 3: l.stop("web-2"), 4: l.run("web-2")})
	if got := len(l.slack.Messages()); got != n {
		t.Errorf("flapping posted %d messages: %q", got-n, l.titles()[n:])
	}
	l.live(f, 1, map[int]func(){0: l.stop("web-2", "web-3")})
	if got := l.titles(); len(got) != n+1 || !strings.Contains(got[n], "prod-web degraded") {
		t.Errorf("what gets worse: %q", got[n:])
	}
	_, err := l.invoke(f, `{"action":"silence","incident":"99"}`)
	if err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("an incident that is not open: %v", err)
	}
}

// TestSilencesSetting: a window of the settings is a silence, each time.
func TestSilencesSetting(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	now := l.store()
	at := func(d time.Duration) string { return now.Add(d).Format("15:04") }
	l.settings["SILENCES"] = fmt.Sprintf("prod-web@Mon-Sun %s-%s UTC all", at(-time.Hour), at(30*time.Minute))
	f := l.start()
	l.live(f, 2, nil)
	l.live(f, 20, map[int]func(){0: l.stop("web-1", "web-2", "web-3")})
	if got := l.news(); len(got) != 0 {
		t.Errorf("in the window: %q", got)
	}
	l.live(f, 12, nil)
	if got := l.titles()[1:]; len(got) != 1 || !strings.Contains(got[0], "prod-web DOWN: 0 of 3 running") {
		t.Errorf("when it has ended: %q", got)
	}
}

// store is the time that ticks go by, in UTC.
func (l *lab) store() time.Time { return time.Now().Add(time.Duration(l.passed.Load())).UTC() }

// TestSilenceCommand: the command line makes, lists and ends silences, with the state of all shards, and
// refuses what covers nothing before anything is stored.
func TestSilenceCommand(t *testing.T) {
	everywhere(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		for _, wrong := range [][]string{{"prdo-*"}, {"prod-*", "2x"}, {"prod-*", "8h"},
			{"prod-*", "8d", "too", "long"}, {"--incident", "7"}, {"--end", "1"}, {"--end", "x"}} {
			if out, errs, code := l.command(append([]string{"silence"}, wrong...)...); code == 0 || errs == "" {
				t.Errorf("silence %q: code %d, %s%s, want an error", wrong, code, out, errs)
			}
		}
		if got := l.objects("silence/"); len(got) != 0 {
			t.Fatalf("what is refused left %v", got)
		}
		out, errs, code := l.command("silence", "prod-*", "2h", "deploy", "4711")
		if code != 0 || !strings.Contains(out, "1 load balancer, 3 backends, none out") {
			t.Fatalf("silence prod-*: code %d, %s%s", code, out, errs)
		}
		l.stop("web-1")()
		l.tick(f)
		if got := l.news(); len(got) != 0 {
			t.Errorf("in the silence: %q", got)
		}
		if out, errs, code = l.command("silence"); code != 0 || !strings.Contains(out, "prod-*") ||
			!strings.Contains(out, "deploy 4711") {
			t.Errorf("silence lists %s%s, code %d", out, errs, code)
		}
		if out, errs, code = l.command("silence", "--end", "1"); code != 0 {
			t.Errorf("silence --end 1: code %d, %s%s", code, out, errs)
		}
		l.tick(f)
		if got := l.news(); !slices.Equal(got, []string{"web-1 stopped"}) {
			t.Errorf("after it was ended: %q", got)
		}
		if out, _, _ := l.command("silence"); strings.Contains(out, "prod-*") {
			t.Errorf("it is still listed: %s", out)
		}
	})
}

// TestSilencesAtTheSameTime: many are made and ended at once while ticks run: each has a number of its own,
// all of them count, and no tick fails.
func TestSilencesAtTheSameTime(t *testing.T) {
	in(t, func(t *testing.T, in place) {
		t.Helper()
		l := newLab(t, in)
		f := l.start()
		l.tick(f)
		const makers = 4
		var fs []*scf.Function
		for range makers {
			fs = append(fs, l.start())
		}
		ids := make([]string, makers)
		var wg sync.WaitGroup
		for n := range makers {
			wg.Go(func() {
				what := []string{"prod-web", "prod-*", "lb-*", "*"}[n]
				out, err := l.invoke(fs[n], fmt.Sprintf(`{"action":"silence","what":%q,"for":"1h"}`, what))
				var answer struct{ Silence struct{ ID string } }
				if err == nil {
					err = json.Unmarshal(out, &answer)
				}
				if err != nil {
					t.Errorf("silence %s: %s, %v", what, out, err)
				}
				ids[n] = answer.Silence.ID
			})
		}
		wg.Go(func() {
			for range 3 {
				if _, err := l.try(f); err != nil {
					t.Errorf("a tick meanwhile: %v", err)
				}
			}
		})
		wg.Wait()
		if slices.Sort(ids); !slices.Equal(ids, []string{"1", "2", "3", "4"}) {
			t.Errorf("they have the numbers %q", ids)
		}
		l.stop("web-1", "api-1")()
		l.tick(f)
		if got := l.news(); len(got) > 1 { // half of the other load balancer is gone: that breaks through
			t.Errorf("in the silence: %q", got)
		}
		for n := range makers {
			wg.Go(func() {
				if _, err := l.invoke(fs[n], fmt.Sprintf(`{"action":"silence","end":%q}`, ids[n])); err != nil {
					t.Errorf("end silence %s: %v", ids[n], err)
				}
			})
		}
		wg.Wait()
		l.tick(f)
		got := strings.Join(l.news(), " ")
		if !strings.Contains(got, "web-1 stopped") || !strings.Contains(got, "api-1 stopped") {
			t.Errorf("once all have ended: %q", got)
		}
	}, inFiles, inCOS)
}

// TestSilenceOfShards: one silence covers the load balancers of all shards.
func TestSilenceOfShards(t *testing.T) {
	t.Parallel()
	l := newLab(t, inCOS)
	l.cloud.Bind(region, api, vm("api-3"), vm("api-4"))
	var fs []*scf.Function
	for n := range 2 {
		l.settings["SHARD"] = fmt.Sprintf("%d/2", n+1)
		fs = append(fs, l.start())
	}
	both := func() {
		for _, f := range fs {
			l.tick(f)
		}
	}
	both()
	n := len(l.slack.Messages())
	delete(l.settings, "SHARD")
	out, errs, code := l.command("silence", "*", "1h")
	if code != 0 || !strings.Contains(out, "2 load balancers, 7 backends, none out") {
		t.Fatalf("silence: code %d, %s%s", code, out, errs)
	}
	l.stop("web-1", "api-1")()
	both()
	if got := l.titles()[n:]; len(got) != 0 {
		t.Errorf("in the silence: %q", got)
	}
	if out, errs, code := l.command("silence", "--end", "1"); code != 0 {
		t.Fatalf("silence --end 1: code %d, %s%s", code, out, errs)
	}
	both()
	if got := l.titles()[n:]; len(got) != 2 {
		t.Errorf("once it has ended: %q, want a message of each shard", got)
	}
}
