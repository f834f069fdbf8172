package state

import (
	"fmt"
	"strings"
	"time"

	"clbwatch/internal/advice"
)

// CLI is the committer that is not a function: the command line, on any machine.
const CLI = "cli"

const (
	// aliveFor is how long a function counts as alive after its last commit. A quiet one commits every 5
	// minutes.
	aliveFor = 10 * time.Minute
	// maxLineage is how many committers are remembered.
	maxLineage = 8
	// maxBy bounds a committer's name, in bytes: a region, a namespace and a name of at most 60 each.
	maxBy = 200
)

// Lineage is who commits to a state, the last one first, at most maxLineage of them.
type Lineage []Committer

// Committer is a function, or the command line, that commits heads.
type Committer struct {
	Name  string    `json:"name"`  // "region/namespace/name" of the SCF function, or CLI
	Alive time.Time `json:"alive"` // when it committed last, by the store's clock
}

// with is the lineage once by has committed.
func (l Lineage) with(by string, now time.Time) Lineage {
	if len(by) > maxBy {
		by = strings.ToValidUTF8(by[:maxBy], "")
	}
	next := Lineage{{by, now}}
	for _, c := range l {
		if c.Name != by && len(next) < maxLineage {
			next = append(next, c)
		}
	}
	return next
}

// Check is an error if another function than by is alive: both would be at work with one state, and undo each
// other's work where their settings differ. The command line disturbs nobody. now is the store's clock.
func (l Lineage) Check(by string, now time.Time) error {
	if by == CLI {
		return nil
	}
	for _, c := range l {
		age := now.Sub(c.Alive)
		if c.Name == CLI || c.Name == by || age >= aliveFor || age <= -aliveFor { // or under a wrong clock
			continue
		}
		err := fmt.Errorf("function %s works with this state, too: it committed %s ago; this is function %s",
			c.Name, max(age, 0).Truncate(time.Second), by)
		return advice.Add(err, "give each function a STATE_URL of its own; if this one replaces the other, "+
			"delete the other's timer, then run `clbwatch state --take` or wait for 10 minutes")
	}
	return nil
}
