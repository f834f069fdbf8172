package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clbwatch/internal/check"
	"clbwatch/internal/clb"
	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/text"
)

// Probes look at what a tick needs. They leave nothing behind, except for a test message if send is set.
func (a *App) Probes(ctx context.Context, send bool) []check.Probe {
	p := check.Parts{
		Settings: a.settings(),
		Watched:  a.watcher.Watched,
		Search:   a.watcher.Search,

		Elsewhere: a.elsewhere,
		Files:     probeFiles,
		Cloud:     cloud{a.api},
		APIs: []check.API{
			{Name: "API 2.0", Optional: a.cfg.API != string(clb.V2), Names: a.names(clb.V2)},
			{Name: "API 3.0", Optional: a.cfg.API != string(clb.V3), Names: a.names(clb.V3)},
		},
		Place: a.cfg.State.String(),
		Store: a.store,
		Slack: noSlack{},
		Bot:   a.cfg.Slack.Token != "",
		Now:   a.store.Now,
		Zone:  a.cfg.Zone,
	}
	if a.slack != nil {
		p.Slack, p.Channels = a.slack, a.channels()
	}
	return check.Probes(ctx, p, send)
}

// channels are those that routes lead to, beside the bot's own.
func (a *App) channels() (all []check.Channel) {
	rules := a.watcher.Rules
	for _, id := range others(a.cfg.Slack) {
		var globs []string
		for _, r := range a.cfg.Slack.Routes {
			if r.Channel == id {
				globs = append(globs, r.Glob)
			}
		}
		all = append(all, check.Channel{
			ID: id, What: text.Few(globs, 3),
			Check: func(ctx context.Context) error { return a.slack.CheckIn(ctx, id) },
			Test:  func(ctx context.Context) error { return a.slack.TestIn(ctx, id) },
			Takes: func(c lb.CLB) bool { return rules.RouteOf(c) == incident.Route(id) },
		})
	}
	return all
}

// settings says what is set, in a few words.
func (a *App) settings() string {
	says := []string{text.Plural(len(a.cfg.CLBs), "load balancer") + " by id"}
	if n := len(a.cfg.Discover); n > 0 {
		says = append(says, fmt.Sprintf("others by %d of CLB_DISCOVER", n))
	}
	if a.cfg.Shard.Of > 1 {
		says = append(says, "of them shard "+a.cfg.Shard.String())
	}
	return fmt.Sprintf("%s, at most %g calls a second", strings.Join(says, ", "), a.cfg.Rate)
}

// names returns the function that asks one version of the API for the names of load balancers.
func (a *App) names(by clb.API) func(context.Context, string, []string) (map[string]string, error) {
	return func(ctx context.Context, region string, ids []string) (map[string]string, error) {
		found, err := a.api.Describe(ctx, by, region, ids)
		names := make(map[string]string, len(found))
		for id, b := range found {
			names[id] = b.Name
		}
		if clb.Denied(err) {
			err = check.Dispensable{Err: fmt.Errorf("%w; without it load balancers have no names here, "+
				"are read as what answers, and cannot be searched for", err)}
		}
		return names, err
	}
}

// elsewhere returns the region, of those that the settings name, in which a load balancer is; "" if it is in
// none.
func (a *App) elsewhere(ctx context.Context, c lb.CLB) string {
	regions := map[string]bool{}
	for _, other := range a.cfg.CLBs {
		regions[other.Region] = true
	}
	for _, s := range a.cfg.Discover {
		regions[s.Region] = true
	}
	if a.cfg.Region != "" {
		regions[a.cfg.Region] = true
	}
	delete(regions, c.Region)
	for _, region := range slices.Sorted(maps.Keys(regions)) {
		if there, err := a.api.Exist(ctx, region, []string{c.ID}); err == nil && there[c.ID] {
			return region
		}
	}
	return ""
}

// cloud is the API as the probes see it.
type cloud struct{ *clb.Client }

// Calls says what a reading took.
func (cloud) Calls(r lb.Reading) string {
	return text.Plural(clb.Pages(r), "call") + " of API " + r.By
}

// noSlack is where messages go if neither a bot nor a webhook is set.
type noSlack struct{}

func (noSlack) Check(context.Context) error { return errNoSlack }
func (noSlack) Test(context.Context) error  { return errNoSlack }
