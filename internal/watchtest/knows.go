package watchtest

import (
	"slices"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/state"
)

// overtaken is called when a run does something about a root that another run has taken over. After LATE
// nobody expects that any more: only the run itself can say so, and nobody can if it dies or the root is
// gone.
func (h *history) overtaken(m *member, call incident.Call, r *incident.Root) {
	h.log("the claim of %s %s was taken over", ops[call.Do], call.Key)
	now := m.shared()
	if h.world.Now().After(now) { // it slept, and its clock stood still
		now = h.world.Now()
	}
	if now.Sub(r.Delivery.Claim.Until) > h.longest() {
		h.tally.TooLate.Add(1)
		h.tooLate[r.Prefix()] = true
		m.tooLate = append(m.tooLate, r.Prefix())
	}
}

// marked takes in that a run has marked what it did.
func (h *history) marked(m *member) {
	for _, key := range m.tooLate {
		for _, head := range h.current() {
			for _, r := range head.Incidents.Roots {
				if r.Prefix() == key {
					delete(h.tooLate, key)
				}
			}
		}
	}
}

// mustFail holds that a run fails once news was due for long enough, as far as it can know. m did not fail.
func (h *history) mustFail(m *member) {
	head := m.knows
	if head == nil || h.weather.Transient > 0 {
		return
	}
	now := h.world.Now()
	if its := m.shared(); its.Before(now) {
		now = its // it knows no better
	}
	for _, r := range head.Incidents.Roots {
		d := r.Delivery
		if d.Posted || nobodyKnows(r) || d.Due.IsZero() && m.givesUp(r) {
			continue
		}
		if now.Sub(h.seen[r.Prefix()]) > 21*time.Minute {
			h.Fatalf("incident %s was due for 21 minutes, and the tick was content: %+v", r.ID(), d)
		}
	}
}

// learns notes that a run knows a head, or cannot but know it: one that there was before it began to load,
// one that it loaded, or one that it committed. What others commit after the last of these, while the run is
// frozen before it ends, it need not know: if its mark meets no other head, it has nothing to ask the store.
func (m *member) learns(s state.Shard, head *state.Head) {
	if s == unsharded(m.shard) && head != nil && (m.knows == nil || m.knows.N < head.N) {
		m.before, m.knows = m.knows, head
	}
}

// givesUp reports whether a root that is gone was given up by the last head that a run knows, its mark: what
// is due then is noted by the next plan.
func (m *member) givesUp(r *incident.Root) bool {
	return m.before != nil && slices.ContainsFunc(m.before.Incidents.Roots, func(was *incident.Root) bool {
		return was.Prefix() == r.Prefix() && was.Delivery.Series != r.Delivery.Series
	})
}

// unsharded is a shard by which its state goes: the only one there is has no number.
func unsharded(s state.Shard) state.Shard {
	if s.Of <= 1 {
		return state.Shard{}
	}
	return s
}
