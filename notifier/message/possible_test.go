package message_test

import (
	"fmt"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
)

// checkState holds that a document is one that there can be: what people look at must not contradict itself.
func checkState(t failer, r *incident.Root) {
	t.Helper()
	for _, i := range r.Incidents {
		if i.About != incident.Backends {
			continue
		}
		for name, c := range map[string]lb.Capacity{"before": i.Before, "now": i.Now, "worst": i.Worst} {
			if why := impossible(c); why != "" {
				t.Fatalf("incident %s, %s: %s", i.ID, name, why)
			}
		}
		out := 0
		for _, m := range i.Machines {
			if m.Kind() == incident.Stopped {
				out++
			}
		}
		if i.Open() && out > i.Now.Total-i.Now.Running {
			t.Fatalf("incident %s: %d stopped, and %d of %d running", i.ID, out, i.Now.Running, i.Now.Total)
		}
	}
}

// impossible says what of a capacity cannot be; "" if all can.
func impossible(c lb.Capacity) string {
	switch {
	case c.Running > c.Total, c.Serving > c.Weight, c.Ill > c.Running, c.Out > c.Total, c.Running < 0:
		return fmt.Sprintf("%+v", c)
	case c.Running == 0 && c.Serving > 0:
		return fmt.Sprintf("none runs, and weight %d serves", c.Serving)
	}
	return ""
}

// checkReport holds the same of a report.
func checkReport(t failer, r report.Report) {
	t.Helper()
	pools := make(map[string]report.Pool)
	for _, p := range r.Pools {
		pools[p.CLB.Key()] = p
		c := lb.Capacity{Total: p.Backends, Running: p.Running, Weight: p.Weight, Serving: p.Serving,
			Ill: len(p.Unhealthy)}
		if why := impossible(c); why != "" {
			t.Errorf("%s: %s", p.CLB.Key(), why)
		}
		if n := len(p.NotRunning) + len(p.Unknown) + p.Running; p.Err == "" && n != p.Backends {
			t.Errorf("%s: %d running, %d not and %d unknown, of %d", p.CLB.Key(), p.Running, len(p.NotRunning),
				len(p.Unknown), p.Backends)
		}
		if len(p.Members) > p.Backends {
			t.Errorf("%s: %d are listed of %d", p.CLB.Key(), len(p.Members), p.Backends)
		}
	}
	for _, o := range r.Open {
		p, ok := pools[o.CLB.Key()]
		if o.Running == nil || !ok || p.Err != "" {
			continue
		}
		if *o.Running != p.Running || *o.Backends != p.Backends {
			t.Errorf("incident %s: %d of %d running, and in the table %d of %d", o.ID, *o.Running, *o.Backends,
				p.Running, p.Backends)
		}
		if share := 100 * p.Serving / max(p.Weight, 1); o.Level == incident.Degraded.String() && share > 50 ||
			o.Level == incident.Down.String() && share > 0 {
			t.Errorf("incident %s is %s, and %d %% of the weight serves", o.ID, o.Level, share)
		}
	}
	for _, c := range r.Changed {
		for _, b := range c.Backends {
			if out := b.Now == "stopped" || b.Now == "failing"; !out {
				continue
			}
			p := pools[c.CLB.Key()]
			if len(p.NotRunning)+len(p.Unhealthy) == 0 && p.Err == "" {
				t.Errorf("%s: %s is %s, and all run in the table", c.CLB.Key(), b.Backend, b.Now)
			}
		}
	}
}
