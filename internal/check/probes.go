package check

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/lb"
	"clbwatch/internal/state"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
)

// Parts are what a tick needs, as far as the probes look at it.
type Parts struct {
	Settings string // what is set, in a few words
	// Watched returns the load balancers that a tick would read, by key, and for each of Searches why it
	// failed.
	Watched func(ctx context.Context) (clbs []lb.CLB, failed map[string]error)
	Search  func(ctx context.Context) []watch.Found // what each search finds
	// Elsewhere returns the region, of those that the settings name, in which a load balancer is that is not
	// in its own; "" if it is in none of them.
	Elsewhere func(ctx context.Context, c lb.CLB) string
	Files     func() error // tries the place for temporary files
	Cloud     Cloud
	APIs      []API
	Place     string // where the state is
	Store     Store
	Slack     Slack
	Bot       bool      // Slack is reached by a bot, not by a webhook
	Channels  []Channel // where else the bot posts
	Now       func() time.Time
	Zone      *time.Location // of times
}

// Cloud is the load balancers' API, in whichever version a tick would use.
type Cloud interface {
	// Skew returns how far this machine's clock is ahead of the API's; negative if it is behind.
	Skew(ctx context.Context) (time.Duration, error)
	// Read reads one load balancer, as watch.Source does.
	Read(ctx context.Context, c lb.CLB, known lb.Digest) (lb.Reading, error)
	// Calls says what a reading took, such as "2 calls of API 2.0".
	Calls(r lb.Reading) string
}

// API is one version of that API.
type API struct {
	Name     string // such as "API 2.0"
	Optional bool   // a tick can do without it
	// Names returns the names of those of ids that this version knows in a region, by id.
	Names func(ctx context.Context, region string, ids []string) (map[string]string, error)
}

// Store is where the state is kept.
type Store interface {
	// Check tries whether state can be written and read there, and leaves nothing behind.
	Check(ctx context.Context) error
	// Load returns the newest head, or nil if nothing was ever committed.
	Load(ctx context.Context) (*state.Head, error)
}

// Slack is where messages go.
type Slack interface {
	// Check tries whether messages would be taken. It posts nothing.
	Check(ctx context.Context) error
	// Test posts one test message.
	Test(ctx context.Context) error
}

// Channel is a channel beside the bot's own, in which it posts about some load balancers.
type Channel struct {
	ID   string
	What string // which load balancers, as the settings say it
	// Check and Test are those of Slack, in this channel.
	Check, Test func(ctx context.Context) error
	// Takes reports whether what happens on a load balancer is posted there.
	Takes func(c lb.CLB) bool
}

// Probes look at what a tick needs. They leave nothing behind, except for a test message if send is set.
// Which load balancers there are is found out at once, the rest when they run, in this order.
func Probes(ctx context.Context, p Parts, send bool) []Probe {
	probes := []Probe{Settings(p.Settings, nil), {Name: "clock", Run: p.clock}}
	clbs, _ := p.Watched(ctx)        // why a region could not be listed, its search says
	names := make(map[string]string) // by key; the API's probes fill it for those of the load balancers
	for region, ids := range regions(clbs) {
		for _, api := range p.APIs {
			probes = append(probes, api.probe(region, ids, names))
		}
	}
	for _, f := range p.Search(ctx) {
		probes = append(probes, Probe{Name: "search", Run: func(context.Context) (string,
			error) {
			return searched(f)
		}})
	}
	for _, c := range clbs {
		probes = append(probes, Probe{Name: "load balancer", Run: func(ctx context.Context) (string, error) {
			return p.balancer(ctx, c, names[c.Key()])
		}})
	}
	probes = append(probes, Probe{Name: "files", Optional: true, Run: func(context.Context) (string, error) {
		return "there is room for temporary files", p.Files()
	}})
	probes = append(probes, Probe{Name: "state", Run: p.state},
		Probe{Name: "Slack", Run: func(ctx context.Context) (string, error) { return p.slack(ctx, send) }})
	for _, c := range p.Channels {
		probes = append(probes, Probe{Name: "Slack", Run: func(ctx context.Context) (string, error) {
			return c.probe(ctx, clbs, send)
		}})
	}
	return probes
}

// maxThere is how many load balancers of a region are named where a search finds none of them.
const maxThere = 10

// searched says what a search found.
func searched(f watch.Found) (string, error) {
	switch {
	case f.Err != nil:
		return "", f.Err
	case len(f.CLBs) > 0:
		return fmt.Sprintf("%s finds %s", f.Scope, text.Plural(len(f.CLBs), "load balancer")), nil
	case len(f.There) == 0:
		err := fmt.Errorf("%s finds nothing: there is no load balancer in %s", f.Scope, f.Scope.Region)
		return "", advice.Add(err, "see whether the region and the account are right")
	}
	var there []string
	for _, l := range f.There {
		there = append(there, fmt.Sprintf("%s (%q)", l.ID, l.Name))
	}
	err := fmt.Errorf("%s finds nothing; in %s there are %s", f.Scope, f.Scope.Region,
		text.Few(there, maxThere))
	return "", advice.Add(err, "see whether the name or the tag in CLB_DISCOVER is right")
}

// Settings is the probe of the settings: what is set, in a few words, or why they cannot be used.
func Settings(found string, err error) Probe {
	return Probe{Name: "settings", Run: func(context.Context) (string, error) { return found, err }}
}

// regions are load balancers' ids by region, in order. The load balancers come by key.
func regions(clbs []lb.CLB) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for i := 0; i < len(clbs); {
			region := clbs[i].Region
			var ids []string
			for ; i < len(clbs) && clbs[i].Region == region; i++ {
				ids = append(ids, clbs[i].ID)
			}
			if !yield(region, ids) {
				return
			}
		}
	}
}

// probe asks one version of the API for the load balancers of a region, and adds their names to names.
func (a API) probe(region string, ids []string, names map[string]string) Probe {
	return Probe{Name: a.Name, Optional: a.Optional, Run: func(ctx context.Context) (string, error) {
		found, err := a.Names(ctx, region, ids)
		for id, name := range found {
			names[region+"/"+id] = name
		}
		all := text.Plural(len(ids), "load balancer")
		return fmt.Sprintf("takes the keys in %s, and knows %d of %s", region, len(found), all), err
	}}
}

// maxSkew is how far the clock may be off: the API allows 5 min, and some of that is left for the clock to
// drift.
const maxSkew = 2 * time.Minute

func (p Parts) clock(ctx context.Context) (string, error) {
	skew, err := p.Cloud.Skew(ctx)
	if err != nil {
		return "", err
	}
	if skew.Abs() > maxSkew {
		err := fmt.Errorf("it is %v off the API's, which refuses requests 5 min off", skew)
		return "", advice.Add(err, "set this machine's clock")
	}
	return "agrees with the API's", nil
}

func (p Parts) balancer(ctx context.Context, c lb.CLB, name string) (string, error) {
	r, err := p.Cloud.Read(ctx, c, "")
	if err == nil {
		err = r.HealthErr
	}
	if errors.Is(err, lb.ErrNotFound) {
		if region := p.Elsewhere(ctx, c); region != "" {
			err = advice.Add(fmt.Errorf("%w; it is in %s", err, region),
				"write "+region+"/"+c.ID+" in CLB_IDS")
		}
	}
	if err != nil {
		return "", about{c.Key(), err}
	}
	is := c.Key()
	if name != "" {
		is += fmt.Sprintf(" (%q)", name)
	}
	backends := text.Plural(len(r.Backends), "backend")
	says := fmt.Sprintf("%s is %s and has %s, read in %s", is, r.Kind, backends, p.Cloud.Calls(r))
	if r.Kind == lb.Application {
		says += "; their status is CVM's"
	}
	if r.Health {
		says += "; their health was read"
	}
	if r.Functions > 0 {
		says += "; " + text.Plural(r.Functions,
			"cloud function") + " bound to it, which clbwatch does not watch"
	}
	if len(r.Odd) > 0 {
		says += "; odd: " + strings.Join(r.Odd, ", ")
	}
	return says, nil
}

func (p Parts) state(ctx context.Context) (string, error) {
	if err := p.Store.Check(ctx); err != nil {
		return "", fmt.Errorf("%s (STATE_URL): %w", p.Place, err)
	}
	head, err := p.Store.Load(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s (STATE_URL): %w", p.Place, err)
	case head == nil:
		return p.Place + " has no state yet: the next tick takes the baseline", nil
	}
	if late := head.Incidents.Overdue(p.Now()); len(late) > 0 {
		err := fmt.Errorf("%s: incident %s has not reached Slack for 15 minutes, or may not have", p.Place,
			late[0].ID())
		return "", advice.Add(err, "see below what Slack says, and whether ticks run")
	}
	return fmt.Sprintf("%s was last written %s; %s open, %s due", p.Place,
		head.CommittedAt.In(p.Zone).Format("2006-01-02 15:04:05 MST"),
		text.Plural(open(head), "incident"), text.Plural(head.Incidents.Pending(), "message")), nil
}

func open(h *state.Head) (n int) {
	for _, r := range h.Incidents.Roots {
		for _, i := range r.Incidents {
			if i.Open() {
				n++
			}
		}
	}
	return n
}

func (p Parts) slack(ctx context.Context, send bool) (string, error) {
	if send {
		return "a test message was posted", p.Slack.Test(ctx)
	}
	says := "the webhook answers"
	if p.Bot {
		says = "the bot is in the channel and may look for its messages"
	}
	return says + "; --send posts a test message", p.Slack.Check(ctx)
}

// probe tries the channel, and says how many of the load balancers are posted there.
func (c Channel) probe(ctx context.Context, clbs []lb.CLB, send bool) (string, error) {
	try, says := c.Check, "the bot is in it"
	if send {
		try, says = c.Test, "a test message was posted"
	}
	if err := try(ctx); err != nil {
		return "", about{c.ID + ", for " + c.What, err}
	}
	n := 0
	for _, clb := range clbs {
		if c.Takes(clb) {
			n++
		}
	}
	return fmt.Sprintf("%s, for %s: %s; it takes %d of %s", c.ID, c.What, says, n,
		text.Plural(len(clbs), "load balancer")), nil
}
