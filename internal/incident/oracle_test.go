package incident

import "clbwatch/internal/watchtest/stories"

// oracle holds what Slack was sent against what is true of the world. It knows stories.Truth, and nothing of
// the rules here but how bad a level is.
type oracle struct {
	p     *player
	truth *stories.Truth
	roots map[string]*shownRoot

	newest map[string]string // which root is about a load balancer now

	wasCalm int // minutes
}

// shownRoot is what the channel was shown of a root.
type shownRoot struct {
	bad     [2]bool // a rise was shown and no end since
	left    [2]int  // since when nothing of it is that bad
	keys    map[string]bool
	lastly  int // minute of its last post
	mention int
}

func newOracle(p *player) *oracle {
	return &oracle{p: p, truth: stories.NewTruth(p.story),
		roots: make(map[string]*shownRoot), newest: make(map[string]string)}
}

// takes reports whether Slack takes messages about the load balancer now.
func (o *oracle) takes(name string) bool {
	switch o.p.world.Slack {
	case "":
		return true
	case "no connection":
		return false
	}
	return name != "bad"
}

// check holds what was posted in this minute against the truth.
func (o *oracle) check() {
	p := o.p
	if o.truth.Observe(p.minute, &p.world); p.minute < 0 {
		return
	}
	calm := !p.world.Fails
	for name, t := range o.truth.CLBs {
		if o.takes(name) {
			o.duties(t)
			if !p.world.Fails {
				o.lasted(t)
			}
		}
		calm = calm && (!t.Open || t.Stable) && o.takes(name)
	}
	o.rootsNow()
	if o.wasCalm++; !calm {
		o.wasCalm = 0
	}
	if calm && (o.wasCalm < 3 || len(p.posted) > 0 || p.minute%60 == 0) {
		o.calm()
	}
}

func (o *oracle) posted(t *stories.CLB) (any, channel bool, worst Level) {
	for _, m := range o.p.posted {
		if s := m.of(keyOf(t.Name)); s != nil {
			any = true
			if m.inChannel() {
				channel = true
				worst = max(worst, s.level)
			}
		}
	}
	return any, channel, worst
}

func (o *oracle) duties(t *stories.CLB) {
	any, channel, worst := o.posted(t)
	for _, d := range t.Owed {
		switch {
		case !any:
			o.p.complain("%s: %s is in no post", t.Name, d.What)
		case !channel:
			o.p.complain("%s: %s is not in the channel", t.Name, d.What)
		case worst < min(Level(d.Level), Level(t.Level)):
			o.p.complain("%s: %s to %v shows as %v", t.Name, d.What, Level(d.Level), worst)
		}
	}
	t.Owed = nil
}

// lasted holds that what has lasted for STABLE_AFTER is in a post.
func (o *oracle) lasted(t *stories.CLB) {
	for id, at := range t.Changed {
		if o.p.minute-at != o.truth.Stable {
			continue
		}
		found := false
		for n := len(o.p.slack.messages) - 1; n >= 0 && !found; n-- {
			m := o.p.slack.messages[n]
			if m.at.Before(o.p.begin.Add(minutes(at))) {
				break
			}
			x := m.sent.of(keyOf(t.Name))
			found = x != nil && x.out[id] == out(t, id)
		}
		if !found {
			o.p.complain("%s: %s has lasted for STABLE_AFTER, and no post shows it", t.Name, id)
		}
	}
	if t.Open && t.Out() > 0 && o.p.minute-t.News == 6*o.truth.Stable {
		for _, m := range o.p.posted {
			if m.sent.of(keyOf(t.Name)) != nil {
				return
			}
		}
		for _, m := range o.p.slack.messages { // a message about others of its root starts the count again
			recent := o.p.now.Sub(m.at) < minutes(6*o.truth.Stable) && m.at.Sub(o.p.begin) > minutes(t.News)
			if m.sent.of(keyOf(t.Name)) != nil && recent {
				return
			}
		}
		o.p.complain("%s: something is out for 6 x STABLE_AFTER, and no reminder", t.Name)
	}
}

// out reports whether a backend is there and does not serve.
func out(t *stories.CLB, id string) bool {
	b, there := t.Pool[id]
	return there && !b.Serves()
}

// rootsNow follows what the channel was shown of each root, and holds that ends follow rises.
func (o *oracle) rootsNow() {
	p := o.p
	for _, m := range p.posted {
		r := o.roots[m.prefix]
		if r == nil {
			r = &shownRoot{keys: make(map[string]bool), left: [2]int{-1, -1}}
			o.roots[m.prefix] = r
		}
		r.lastly = p.minute
		worst := OK
		for _, s := range m.sent {
			if s.about != Backends {
				continue
			}
			r.keys[s.key] = true
			o.newest[s.key] = m.prefix
			if s.open {
				worst = max(worst, s.level)
			}
		}
		if m.post.Mention {
			r.mention++
		}
		for n, l := range []Level{Degraded, Down} {
			switch {
			case !m.inChannel():
			case worst >= l:
				r.bad[n], r.left[n] = true, -1
			case r.bad[n]:
				r.bad[n] = false // its end is in the channel
			}
		}
	}
	for prefix, r := range o.roots {
		worst, removal, takes, alone := OK, false, true, true
		for key := range r.keys {
			t := o.truth.CLBs[key[len("ap-test/"):]]
			if o.newest[key] != prefix {
				continue // it goes on in another root
			}
			worst = max(worst, Level(t.Level))
			removal = removal || t.Accepted
			takes = takes && o.takes(t.Name)
			alone = alone && (Level(t.Level) < Degraded || t.ByRemovals)
		}
		if takes && worst >= Degraded && !alone && r.mention == 0 {
			p.complain("root %s is %v, and mentions nobody", prefix, worst)
		}
		for n, l := range []Level{Degraded, Down} {
			switch {
			case worst >= l:
				r.left[n] = -1
			case r.left[n] < 0:
				r.left[n] = p.minute
			}
			if r.bad[n] && removal && worst < l {
				r.bad[n] = false // nothing to announce
			}
			late := r.left[n] >= 0 && p.minute-r.left[n] >= o.truth.Tenths(3)
			if r.bad[n] && takes && !p.world.Fails && late {
				p.complain("root %s: the end of %v at minute %d is not in the channel", prefix, l, r.left[n])
				r.bad[n] = false
			}
		}
	}
}

// calm holds that the channel shows how things are.
func (o *oracle) calm() {
	p := o.p
	for name, t := range o.truth.CLBs {
		var last, root *message
		for _, m := range p.slack.messages {
			if m.void || m.deleted || m.shows.of(keyOf(name)) == nil {
				continue
			}
			last = m
			if m.post.Root {
				root = m
				if s := m.shows.of(keyOf(name)); m.route.Bot() && s.open && !t.Open {
					p.complain("%s: root %s looks open, and nothing is", name, m.key)
				}
			}
		}
		look := root
		if last != nil && !last.route.Bot() {
			look = last
		}
		if look == nil {
			if t.Open {
				p.complain("%s: nothing in Slack is about it", name)
			}
			continue
		}
		s := look.shows.of(keyOf(name))
		switch {
		case s.level != Level(t.Level) && (s.open || t.Open):
			p.complain("%s: %s shows %v, it is %v", name, look.key, s.level, Level(t.Level))
		case s.running != t.Running():
			p.complain("%s: %s shows %d running of %d", name, look.key, s.running, t.Running())
		case look.route.Bot() && s.open != t.Open:
			p.complain("%s: %s shows open %v", name, look.key, s.open)
		}
		for id := range t.Pool {
			if t.Open && t.Is(id) && !s.out[id] {
				p.complain("%s: %s does not show that %s is out", name, look.key, id)
			}
		}
	}
}
