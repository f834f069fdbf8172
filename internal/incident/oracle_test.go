package incident

import "maps"

// oracle holds what Slack was sent against what happened in the world. It knows stories.md, and nothing of
// the rules here but how bad a level is: it keeps its own count of everything else.
type oracle struct {
	p     *player
	clbs  map[string]*truth
	roots map[string]*shownRoot

	newest map[string]string // which root is about a load balancer now
	blind  int               // minutes without a reading

	wasCalm int // minutes
}

// truth is how one load balancer is.
type truth struct {
	name    string
	status  map[string]int
	ran     map[string]bool // it served while it was watched
	granted map[string]bool // its outage is taken for granted
	changed map[string]int  // minute of its last change

	open, stable   bool
	began, last    int // minutes: of the incident, of its last change, pauses added
	news           int // of its last change, pauses not added
	before         int // serving when it began
	removed, added int
	level          Level
	left           [2]int // since when it is not at degraded, at down; -1 while it is
	risen          [2]bool
	byRemovals     bool
	accepted       bool // its level changed this minute because a removal was accepted
	owed           []duty
}

// duty is something that must be in the channel as soon as Slack takes it.
type duty struct {
	what  string
	level Level
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
	return &oracle{p: p, clbs: make(map[string]*truth), roots: make(map[string]*shownRoot),
		newest: make(map[string]string)}
}

// observe brings the truth up to date.
func (o *oracle) observe() {
	p := o.p
	for name, pool := range p.world {
		t := o.clbs[name]
		if t == nil {
			t = &truth{name: name, status: maps.Clone(pool), ran: make(map[string]bool),
				granted: make(map[string]bool),
				changed: make(map[string]int)}
			for id, s := range pool {
				t.ran[id] = s == 2
				t.granted[id] = s != 2
			}
			o.clbs[name] = t
			continue
		}
		t.accepted = false
		if !p.api {
			t.last++
			continue
		}
		o.changes(t, pool)
	}
}

func (o *oracle) changes(t *truth, pool map[string]int) {
	minute := o.p.minute
	changed, better := false, true
	serving := t.serving()
	removed, added := 0, 0
	for id, was := range t.status {
		is := pool[id]
		if is == was {
			continue
		}
		changed = true
		t.changed[id] = minute
		better = better && is == 2
		switch is {
		case 0:
			if t.ran[id] && !t.granted[id] {
				removed++
			}
			delete(t.ran, id)
			delete(t.granted, id)
		case 2:
			if !t.ran[id] && !t.granted[id] {
				added++
			}
			t.ran[id] = true
			delete(t.granted, id)
		}
	}
	for id, is := range pool {
		if _, ok := t.status[id]; ok {
			continue
		}
		changed, better = true, false
		t.changed[id] = minute
		if is == 2 {
			t.ran[id] = true
			added++
		}
	}
	t.status = maps.Clone(pool)
	if changed {
		if !t.open {
			t.open, t.began, t.before, t.removed, t.added = true, minute, serving, 0, 0
			t.owe("the first news", OK)
		} else if t.stable && !better {
			t.owe("a change after being stable", OK)
		}
		t.removed, t.added = t.removed+removed, t.added+added
		t.last, t.news, t.stable = minute, minute, false
		t.relevel(minute)
	}
	for n := range t.risen {
		if t.risen[n] && t.left[n] >= 0 && minute-t.left[n] >= 10 {
			t.risen[n] = false
		}
	}
	if t.open && !t.stable && minute-t.last >= 10 {
		t.stable, t.removed, t.added = true, 0, 0
		was := t.level
		t.relevel(minute)
		t.accepted = t.level < was
		for n := range t.risen {
			t.risen[n] = t.risen[n] && t.left[n] < 0
		}
	}
	if t.open && t.stable && t.out() == 0 {
		t.open = false
	}
	if t.open && t.stable && minute-t.last >= 1440 {
		for id, s := range t.status {
			t.granted[id] = s != 2
		}
		t.open = false
		t.relevel(minute)
		t.accepted = true
	}
}

func (t *truth) owe(what string, l Level) { t.owed = append(t.owed, duty{what, l}) }

func (t *truth) serving() (n int) {
	for _, s := range t.status {
		if s == 2 {
			n++
		}
	}
	return n
}

func (t *truth) out() (n int) {
	for id, s := range t.status {
		if s != 2 && t.ran[id] && !t.granted[id] {
			n++
		}
	}
	return n
}

func (t *truth) relevel(minute int) {
	lost := t.out() + max(0, t.removed-t.added)
	serving := t.serving()
	switch {
	case serving == 0 && t.before > 0 && lost > 0:
		t.level = Down
	case lost > 0 && lost*2 >= lost+serving:
		t.level = Degraded
	case t.out() > 0:
		t.level = Impaired
	default:
		t.level = OK
	}
	if !t.open {
		t.level = OK
	}
	t.byRemovals = t.out() == 0
	for n, l := range []Level{Degraded, Down} {
		switch {
		case t.level >= l:
			t.left[n] = -1
			if !t.risen[n] {
				t.risen[n] = true
				t.owe("a rise", t.level)
			}
		case t.left[n] < 0:
			t.left[n] = minute
		}
	}
}

// takes reports whether Slack takes messages about the load balancer now.
func (o *oracle) takes(name string) bool {
	switch o.p.slackIs {
	case "well":
		return true
	case "no connection":
		return false
	}
	return name != "bad"
}

// check holds what was posted in this minute against the truth.
func (o *oracle) check() {
	p := o.p
	if p.minute < 0 {
		o.observe()
		return
	}
	o.observe()
	if !p.api {
		o.blind++
	} else {
		o.blind = 0
	}
	calm := p.api
	for name, t := range o.clbs {
		if o.takes(name) {
			o.duties(t)
			if p.api {
				o.lasted(t)
			}
		}
		calm = calm && (!t.open || t.stable) && o.takes(name)
	}
	o.rootsNow()
	if o.wasCalm++; !calm {
		o.wasCalm = 0
	}
	if calm && (o.wasCalm < 3 || len(p.posted) > 0 || p.minute%60 == 0) {
		o.calm()
	}
}

func (o *oracle) posted(t *truth) (any, channel bool, worst Level) {
	for _, m := range o.p.posted {
		if s := m.of(keyOf(t.name)); s != nil {
			any = true
			if m.inChannel() {
				channel = true
				worst = max(worst, s.level)
			}
		}
	}
	return any, channel, worst
}

func (o *oracle) duties(t *truth) {
	if o.p.rules.TransientFor > 0 {
		return
	}
	any, channel, worst := o.posted(t)
	for _, d := range t.owed {
		switch {
		case !any:
			o.p.complain("%s: %s is in no post", t.name, d.what)
		case !channel:
			o.p.complain("%s: %s is not in the channel", t.name, d.what)
		case worst < min(d.level, t.level):
			o.p.complain("%s: %s to %v shows as %v", t.name, d.what, d.level, worst)
		}
	}
	t.owed = nil
}

// lasted holds that what has lasted for STABLE_AFTER is in a post.
func (o *oracle) lasted(t *truth) {
	for id, at := range t.changed {
		if o.p.minute-at != 10 || o.p.rules.TransientFor > 0 {
			continue
		}
		s := t.status[id]
		found := false
		for n := len(o.p.slack.messages) - 1; n >= 0 && !found; n-- {
			m := o.p.slack.messages[n]
			if m.at.Before(o.p.begin.Add(minutes(at))) {
				break
			}
			x := m.sent.of(keyOf(t.name))
			found = x != nil && x.out[id] == (s != 0 && s != 2)
		}
		if !found {
			o.p.complain("%s: %s has been %d for 10 min, and no post shows it", t.name, id, s)
		}
	}
	if t.open && t.out() > 0 && o.p.minute-t.news == 60 {
		for _, m := range o.p.posted {
			if m.sent.of(keyOf(t.name)) != nil {
				return
			}
		}
		for _, m := range o.p.slack.messages { // a message about others of its root starts the count again
			if m.sent.of(keyOf(t.name)) != nil && o.p.now.Sub(m.at) < minutes(60) &&
				m.at.Sub(o.p.begin) > minutes(t.news) {
				return
			}
		}
		o.p.complain("%s: something is out for 60 min, and no reminder", t.name)
	}
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
			t := o.clbs[key[len("ap-test/"):]]
			if o.newest[key] != prefix {
				continue // it goes on in another root
			}
			worst = max(worst, t.level)
			removal = removal || t.accepted
			takes = takes && o.takes(t.name)
			alone = alone && (t.level < Degraded || t.byRemovals)
		}
		if takes && worst >= Degraded && !alone && r.mention == 0 && p.rules.TransientFor == 0 {
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
			if r.bad[n] && takes && p.api && p.minute-r.left[n] >= 3 && r.left[n] >= 0 {
				p.complain("root %s: the end of %v at minute %d is not in the channel", prefix, l, r.left[n])
				r.bad[n] = false
			}
		}
	}
}

// calm holds that the channel shows how things are.
func (o *oracle) calm() {
	p := o.p
	for name, t := range o.clbs {
		var last, root *message
		for _, m := range p.slack.messages {
			if m.void || m.deleted || m.shows.of(keyOf(name)) == nil {
				continue
			}
			last = m
			if m.post.Root {
				root = m
				if s := m.shows.of(keyOf(name)); m.route.Bot() && s.open && !t.open {
					p.complain("%s: root %s looks open, and nothing is", name, m.key)
				}
			}
		}
		look := root
		if last != nil && !last.route.Bot() {
			look = last
		}
		if look == nil {
			if t.open && p.rules.TransientFor == 0 {
				p.complain("%s: nothing in Slack is about it", name)
			}
			continue
		}
		s := look.shows.of(keyOf(name))
		switch {
		case s.level != t.level && (s.open || t.open):
			p.complain("%s: %s shows %v, it is %v", name, look.key, s.level, t.level)
		case s.running != t.serving() && p.rules.TransientFor == 0:
			p.complain("%s: %s shows %d running of %d", name, look.key, s.running, t.serving())
		case look.route.Bot() && s.open != t.open:
			p.complain("%s: %s shows open %v", name, look.key, s.open)
		}
		for id, status := range t.status {
			if t.open && status != 2 && !t.granted[id] && t.ran[id] && !s.out[id] {
				p.complain("%s: %s does not show that %s is out", name, look.key, id)
			}
		}
	}
}
