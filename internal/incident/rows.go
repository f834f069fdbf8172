package incident

import (
	"cmp"
	"slices"

	"clbwatch/internal/lb"
)

// RowKind is what the changes of one machine amount to: the one word for it that messages, reports and the
// command line use.
type RowKind int

// Kinds of rows, in the order in which they matter.
const (
	Stopped     RowKind = iota // it does not run
	Failing                    // it runs and fails its health check
	Removed                    // it was bound, and is not
	Replaced                   // it was removed, and another was added under its name or address
	Partly                     // it was unbound from some listeners or rules, or bound to more
	Added                      // it was not bound, and is
	CameAndWent                // it was added, and removed again
	Recovered                  // it was out before the incident, and serves
	Back                       // it was out or removed in between, and is as it was before
	rowKinds
)

// Kind is what the changes of a machine amount to.
func (m Machine) Kind() RowKind {
	switch {
	case m.Now == Out && m.Fails != nil:
		return Failing
	case m.Now == Out:
		return Stopped
	case m.Now == Absent && m.Began == Absent:
		return CameAndWent
	case m.Now == Absent:
		return Removed
	case m.Began == Absent:
		return Added
	case m.Began == Out:
		return Recovered
	case m.Outages == 0 && (m.Unbound != nil || m.Bound != nil):
		return Partly
	}
	return Back
}

// Row is one line of a message: a machine, on all load balancers where the same happened to it.
type Row struct {
	Kind RowKind
	Machine
	Old *Machine    // Replaced only: the one that was removed
	In  []*Incident // where, worst first; not empty
}

// Rows are what the changes of a root's incidents amount to, what matters most first. Machines of the Crowd
// have none.
func (r *Root) Rows() []Row {
	type key struct {
		region, id string
		kind       RowKind
		status     lb.Status
	}
	var rows []Row
	at := make(map[key]int)
	incidents := slices.Clone(r.Incidents)
	slices.SortStableFunc(incidents, Worst)
	for _, i := range incidents {
		for _, row := range i.rows() {
			k := key{i.CLB().Region, row.ID, row.Kind, row.Status}
			if n, ok := at[k]; ok {
				if rows[n].Rev < row.Rev {
					row.In = rows[n].In
					rows[n] = row
				}
				rows[n].In = append(rows[n].In, i)
				continue
			}
			at[k] = len(rows)
			row.In = []*Incident{i}
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(len(b.In), len(a.In)),
			cmp.Compare(b.Rev, a.Rev), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

// rows are those of one incident: one for each machine, but for those that replace another.
func (i *Incident) rows() (rows []Row) {
	free := make(map[string][]int) // removed machines, by address and by name
	for n, m := range i.Machines {
		if m.Kind() == Removed {
			for _, name := range m.names() {
				free[name] = append(free[name], n)
			}
		}
	}
	replaced := make(map[int]bool)
	for _, m := range i.Machines {
		row := Row{Kind: m.Kind(), Machine: m}
		if row.Kind == Removed {
			continue
		}
		for _, name := range m.names() {
			for len(free[name]) > 0 && replaced[free[name][0]] {
				free[name] = free[name][1:]
			}
			if row.Kind == Added && len(free[name]) > 0 {
				old := free[name][0]
				row.Kind, row.Old, replaced[old] = Replaced, &i.Machines[old], true
			}
		}
		rows = append(rows, row)
	}
	for n, m := range i.Machines {
		if m.Kind() == Removed && !replaced[n] {
			rows = append(rows, Row{Kind: Removed, Machine: m})
		}
	}
	return rows
}

// names are what another machine may have taken over: the address, which only one can have, then the name.
func (m Machine) names() (all []string) {
	if m.IP != "" {
		all = append(all, "ip "+m.IP)
	}
	if m.Name != "" {
		all = append(all, "name "+m.Name)
	}
	return all
}

// Tally counts machines, each once however many load balancers it is behind, by what matters most about it.
type Tally struct {
	Kinds    [rowKinds]int // Replaced is 0: the one that was removed counts there, the other as Added
	Machines int           // of all kinds
	AtLeast  bool          // there are more, which nobody could count
}

// Tally counts the machines that changed in a root's incidents, or only those that which reports.
func (r *Root) Tally(which func(*Incident) bool) (t Tally) {
	kinds := make(map[string]map[uint64]RowKind) // by region
	count := func(region string, id uint64, kind RowKind) {
		if kinds[region] == nil {
			kinds[region] = make(map[uint64]RowKind)
		}
		if was, ok := kinds[region][id]; !ok || kind < was {
			kinds[region][id] = kind
		}
	}
	for _, i := range r.Incidents {
		if !which(i) {
			continue
		}
		region := i.CLB().Region
		for _, m := range i.Machines {
			count(region, hash(m.ID), m.Kind())
		}
		for id, m := range i.Crowd {
			count(region, id, m.machine().Kind())
		}
	}
	for _, machines := range kinds {
		t.Machines += len(machines)
		for _, kind := range machines {
			t.Kinds[kind]++
		}
	}
	t.AtLeast = r.Beyond > 0
	return t
}
