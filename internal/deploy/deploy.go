// Package deploy brings clbwatch to an account of Tencent Cloud, and takes it away again: bucket, role,
// function, timer and what belongs to them. It looks before it changes anything, changes only what is not as
// it should be, and refuses to touch what it did not make.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"clbwatch/internal/advice"
)

// Request is what somebody wants of a deployment.
type Request struct {
	Name    string // of the function that ticks, of its role, and of what belongs to them
	Zip     string // the file of the function's zip; "" packs this program
	Slack   bool   // the function that answers Slack, too
	Remove  bool   // take it all away, but for the state
	DryRun  bool   // change nothing
	Version string // of clbwatch
}

// Deployer deploys. All fields must be set, unless they say otherwise.
type Deployer struct {
	API     *API
	Bucket  Bucket
	Secrets []string  // names of the settings whose values nobody is shown
	Out     io.Writer // what was done, a line each
	// DryRun: nothing is changed. What would be is printed, with the calls that would change it
	DryRun bool
	Sleep  func(ctx context.Context, d time.Duration) error // returns early, with an error, when ctx ends

	changed  int
	warnings int
}

// step makes one thing what it should be.
type step struct {
	// what it is, such as "role clbwatch"
	what string
	// look says what must be changed about it; nothing if it is as it should be
	look func(ctx context.Context) ([]change, error)
	// without says what it is like to do without it, where the account may not have it; "" if that will not
	// do
	without string
}

// change is one call that changes something.
type change struct {
	says string // what is done, such as "created"
	call call
	// do makes the call, where it is not call alone; may be nil
	do func(ctx context.Context) error
}

const (
	rounds   = 4 // of looking and changing, before something else is wrong
	backOff  = 2 * time.Second
	pollTime = 2 * time.Second
	polls    = 90 // of a function that is being changed
)

// run takes steps one after the other. It ends with the first that fails, and the next run goes on there.
func (d *Deployer) run(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := d.take(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// take looks and changes until there is nothing left to change. A call of which it is not known whether it
// happened is not made again before it was looked whether it did.
func (d *Deployer) take(ctx context.Context, s step) error {
	var last error
	for round := range rounds {
		if round > 0 && last != nil {
			if err := d.Sleep(ctx, time.Duration(round)*backOff); err != nil {
				return last
			}
		}
		changes, err := s.look(ctx)
		if err != nil {
			if last = err; again(err) {
				continue
			}
			return d.orWithout(s, err)
		}
		if len(changes) == 0 {
			return nil
		}
		if d.DryRun {
			return d.foretell(s, changes)
		}
		if last = d.make(ctx, s, changes); last != nil && !again(last) {
			return d.orWithout(s, last)
		}
	}
	if last == nil {
		last = errors.New("the platform does not keep what it was asked for: see the console")
	}
	return last
}

// make makes changes, until one fails.
func (d *Deployer) make(ctx context.Context, s step, changes []change) error {
	for _, c := range changes {
		do := c.do
		if do == nil {
			do = func(ctx context.Context) error { return d.API.do(ctx, c.call, nil) }
		}
		if err := do(ctx); err != nil {
			return err
		}
		// If we stop here, the next run finds it as it should be.
		d.changed++
		if err := d.print("%-8s %s", c.says, s.what); err != nil {
			return err
		}
	}
	return nil
}

// foretell prints what would be done.
func (d *Deployer) foretell(s step, changes []change) error {
	for _, c := range changes {
		d.changed++
		if err := d.print("would be %-8s %s\n         %s %s", c.says, s.what, c.call.name(),
			shown(c.call, d.Secrets)); err != nil {
			return err
		}
	}
	return nil
}

// orWithout is nil, with a warning, where a step fails that is not needed.
func (d *Deployer) orWithout(s step, err error) error {
	if s.without == "" {
		return err
	}
	d.warnings++
	warning := fmt.Sprintf("warning  %s: %v: %s", s.what, err, s.without)
	if do := advice.Of(err); do != "" {
		warning += "\n         → " + do
	}
	return d.print("%s", warning)
}

func (d *Deployer) print(format string, args ...any) error {
	_, err := fmt.Fprintf(d.Out, format+"\n", args...)
	return err
}

// again reports whether looking once more may help: it is not known whether something happened, or the
// function is being changed.
func again(err error) bool {
	var e *callError
	return errors.As(err, &e) && (e.unknown || busy(err))
}

// busy reports whether a function cannot be changed yet, because it is being changed.
func busy(err error) bool {
	return codeIs(err, "FailedOperation.FunctionStatusError", "FailedOperation.FunctionNameStatusError",
		"ResourceInUse.FunctionUpdating", "FailedOperation.UpdateFunctionCode",
		"InvalidParameterValue.FunctionStatus", "ResourceUnavailable.Function")
}
