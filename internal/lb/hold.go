package lb

import (
	"cmp"
	"slices"
	"strings"
)

// What a reading does not tell, or lacks, is not news. Settle fills in what it does not tell; Hold keeps what
// it lacks until a second whole reading lacks it too.

// Settle gives backends, both sorted by ID, what their rows did not tell: what was known of it or, of a
// weight, the default. A status that was never known stays Unknown. Old bindings get the ids of the new ones
// that are the same: renamed says that the ids of old are of another API and mean nothing now.
func Settle(old, now []Backend, renamed bool) {
	for i := range now {
		b := &now[i]
		var was *Backend
		if at, ok := search(old, b.ID); ok {
			was = &old[at]
			was.Bindings = adopt(was.Bindings, b.Bindings, renamed)
			b.Name, b.LanIP = cmp.Or(b.Name, was.Name), cmp.Or(b.LanIP, was.LanIP)
			if b.Status == Unknown {
				b.Status = was.Status
			}
		}
		if len(b.Bindings) > 0 {
			settleNames(was, b)
			settleBindings(was, b)
		} else if b.Weight == UnknownWeight {
			if b.Weight = DefaultWeight; was != nil {
				b.Weight = was.Weight
			}
		}
	}
}

// settleNames gives bindings the names that their rows did not tell.
func settleNames(was, b *Backend) {
	if !slices.ContainsFunc(b.Bindings, func(on Binding) bool { return on.Listener == "" }) {
		return
	}
	for i := range b.Bindings {
		on := &b.Bindings[i]
		if on.Listener != "" || was == nil {
			continue
		}
		for _, o := range was.Bindings {
			if o.ID == on.ID {
				on.Listener, on.Rule = o.Listener, o.Rule
				break
			}
		}
	}
	SortBindings(b.Bindings)
}

func settleBindings(was, b *Backend) {
	var known map[bindingKey]int // made once it is needed
	b.Weight = 0
	for i := range b.Bindings {
		on := &b.Bindings[i]
		if on.Weight == UnknownWeight {
			if known == nil {
				known = make(map[bindingKey]int)
				if was != nil {
					for _, o := range was.Bindings {
						known[o.key()] = o.Weight
					}
				}
			}
			weight, ok := known[on.key()]
			if on.Weight = DefaultWeight; ok {
				on.Weight = weight
			}
		}
		b.Weight += on.Weight
	}
}

// Lacks reports whether a reading lacks a backend or a binding that was known and not missing yet. Both are
// sorted by ID.
func Lacks(old, now []Backend) bool {
	for _, was := range old {
		at, ok := search(now, was.ID)
		if !ok {
			if !was.Missing {
				return true
			}
			continue
		}
		if len(now[at].Bindings) == 0 { // classic
			continue
		}
		for _, on := range without(was.Bindings, now[at].Bindings) {
			if !on.Missing {
				return true
			}
		}
	}
	return false
}

// Hold returns a reading with what it lacks of old and may not be believed to lack, marked as Missing:
// nothing is removed before two whole readings lack it. All are sorted by ID. first is an earlier reading
// after old, or nil if there was none; unsure says that now has rows which do not tell what they are about,
// so that it may lack nothing at all. missing reports whether there is something that now is the first whole
// reading to lack.
func Hold(old, first, now []Backend, unsure bool) (held []Backend, missing bool) {
	held = slices.Clone(now)
	twice := first != nil
	for _, was := range old {
		at, ok := search(now, was.ID)
		before, lacked := search(first, was.ID)
		lacked = twice && !lacked
		if !ok {
			if (was.Missing || lacked) && !unsure {
				continue // removed
			}
			was.Missing = was.Missing || !unsure
			missing = missing || !unsure
			held = append(held, was)
			continue
		}
		b := &held[at]
		if len(b.Bindings) == 0 || len(was.Bindings) == 0 {
			continue
		}
		gone := without(was.Bindings, b.Bindings)
		if len(gone) == 0 {
			continue
		}
		var earlier map[bindingKey]bool
		if twice && !lacked {
			earlier = make(map[bindingKey]bool)
			for _, on := range first[before].Bindings {
				earlier[on.key()] = true
			}
		}
		b.Bindings = slices.Clone(b.Bindings)
		for _, on := range gone {
			if (on.Missing || twice && !earlier[on.key()]) && !unsure && !b.Vague {
				continue // unbound
			}
			if !unsure && !b.Vague {
				on.Missing, missing = true, true
			}
			b.Bindings = append(b.Bindings, on)
			b.Weight += on.Weight
		}
		SortBindings(b.Bindings)
	}
	SortBackends(held)
	for i := range held {
		held[i].Vague = false
	}
	return held, missing
}

// Believe returns what is left of backends after another reading lacked the same.
func Believe(old []Backend) []Backend {
	left := make([]Backend, 0, len(old))
	for _, b := range old {
		if b.Missing {
			continue
		}
		if slices.ContainsFunc(b.Bindings, func(on Binding) bool { return on.Missing }) {
			b.Bindings = slices.DeleteFunc(slices.Clone(b.Bindings),
				func(on Binding) bool { return on.Missing })
			b.Weight = 0
			for _, on := range b.Bindings {
				b.Weight += on.Weight
			}
		}
		left = append(left, b)
	}
	return left
}

func search(bs []Backend, id string) (at int, ok bool) {
	return slices.BinarySearchFunc(bs, id, func(b Backend, id string) int { return cmp.Compare(b.ID, id) })
}

// bindingKey is what tells the bindings of one backend apart.
type bindingKey struct {
	id, listener, rule string // the latter two only if there is no id
	port               int
}

func (b Binding) key() bindingKey {
	if b.ID != "" {
		return bindingKey{id: b.ID, port: b.Port}
	}
	return bindingKey{listener: b.Listener, rule: b.Rule, port: b.Port}
}

// adopt returns old bindings with the ids and names of those in now that are the same. Where the ids differ
// and mean nothing, because one side has none or they are of another API, it goes by names.
func adopt(old, now []Binding, renamed bool) []Binding {
	if slices.EqualFunc(old, now, func(o, n Binding) bool {
		return o.key() == n.key() &&
			o.Listener == n.Listener && o.Rule == n.Rule
	}) {
		return old // nearly always
	}
	same := make(map[bindingKey]*Binding, len(now))
	for i := range now {
		same[now[i].key()] = &now[i]
	}
	old = slices.Clone(old)
	defer func() { SortBindings(old) }()
	var rest []int // of old
	for i := range old {
		o := &old[i]
		n := same[o.key()]
		if n == nil {
			rest = append(rest, i)
			continue
		}
		delete(same, o.key())
		if n.Listener == "" { // an odd row
			continue
		}
		o.Listener, o.Rule = n.Listener, n.Rule // it may have got another range of ports, or more domains
	}
	if len(rest) == 0 || len(same) == 0 {
		return old
	}
	named := make(map[bindingKey][]*Binding) // by name, those of now that are not taken
	for i := range now {
		if same[now[i].key()] == &now[i] {
			named[now[i].name()] = append(named[now[i].name()], &now[i])
		}
	}
	for _, i := range rest {
		o := &old[i]
		left := named[o.name()]
		if len(left) == 0 || !renamed && o.ID != "" && left[0].ID != "" {
			continue
		}
		o.ID, o.Listener, o.Rule = left[0].ID, left[0].Listener, left[0].Rule
		named[o.name()] = left[1:]
	}
	return old
}

// name is a key of what people call the binding: of a range of ports, which not both APIs tell, the first.
func (b Binding) name() bindingKey {
	first, _, _ := strings.Cut(b.Listener, "-")
	return bindingKey{listener: first, rule: b.Rule, port: b.Port}
}
