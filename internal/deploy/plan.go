package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"clbwatch/internal/advice"
	"clbwatch/internal/text"
)

// Deploy makes everything that functions need, and then the functions, in the order in which they need one
// another. The first is the one that ticks: it is invoked in the end, to see whether it has what it needs.
func (d *Deployer) Deploy(ctx context.Context, functions ...Function) error {
	if err := d.greet(ctx); err != nil {
		return err
	}
	steps := []step{d.Bucket.step()}
	for _, f := range functions {
		steps = append(append(steps, d.roleSteps(f)...), d.functionSteps(f)...)
	}
	if err := d.run(ctx, steps); err != nil {
		return err
	}
	switch {
	case d.DryRun && d.changed == 0:
		return d.print("nothing would be changed")
	case d.DryRun:
		return d.print("%d changes would be made; nothing was changed", d.changed)
	case d.changed == 0:
		if err := d.print("everything is as it should be"); err != nil {
			return err
		}
	}
	return d.try(ctx, functions)
}

// greet says whose account it is.
func (d *Deployer) greet(ctx context.Context) error {
	var who struct {
		AccountID string `json:"AccountId"`
	}
	c := call{service: "sts", version: stsVersion, action: "GetCallerIdentity"}
	if err := d.API.do(ctx, c, &who); err != nil {
		return fmt.Errorf("ask whose keys these are: %w", err)
	}
	return d.print("account %.40s, region %s", who.AccountID, d.API.Region)
}

// try invokes the function that ticks: it says whether it has what it needs, and posts a test message if
// something was changed.
func (d *Deployer) try(ctx context.Context, functions []Function) error {
	for _, f := range functions {
		try := d.check
		if f.Answers {
			try = d.introduce
		}
		if err := try(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// introduce says where a function answers Slack, and what is still to do.
func (d *Deployer) introduce(ctx context.Context, f Function) error {
	all, err := d.triggers(ctx, f)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(t foundTrigger) bool { return t.Type == "http" && t.url() != "" })
	if i < 0 {
		return fmt.Errorf("%s has no URL", f.Name)
	}
	u := all[i].url()
	if err := d.print("%s answers Slack at %s", f.Name, u); err != nil ||
		f.Settings["SLACK_SIGNING_SECRET"] != "" {
		return err
	}
	return d.print("next: clbwatch manifest --url %s, make the Slack app, put its signing secret into "+
		"SLACK_SIGNING_SECRET, and deploy again: until then every call is refused", u)
}

// result is what the function's check says of one thing.
type result struct {
	Name, Found, Wrong, Do string
	OK, Optional           bool
}

func (d *Deployer) check(ctx context.Context, f Function) error {
	answer, err := d.invoke(ctx, f, `{"action":"check"}`)
	if err != nil {
		return fmt.Errorf("invoke check in %s: %w", f.Name, err)
	}
	var results []result
	if err := json.Unmarshal([]byte(answer), &results); err != nil || len(results) == 0 {
		return fmt.Errorf("invoke check in %s: it answers %.100q", f.Name, answer)
	}
	wrong := 0
	for _, r := range results {
		if r.OK {
			continue
		}
		verdict := "note"
		if !r.Optional {
			verdict, wrong = "WRONG", wrong+1
		}
		says := fmt.Sprintf("%-8s %s, from inside the function: %s", verdict, r.Name,
			strings.ReplaceAll(r.Wrong, "\n", "; "))
		if r.Do != "" {
			says += "\n         → " + r.Do
		}
		if err := d.print("%s", text.Printable(says)); err != nil {
			return err
		}
	}
	if wrong > 0 {
		err := fmt.Errorf("%s is deployed, and %d of the things that it needs are wrong", f.Name, wrong)
		return advice.Add(err, "mend what is above, and run the command again")
	}
	if err := d.print("%s has all that it needs: %d checks from inside", f.Name, len(results)); err != nil {
		return err
	}
	if d.changed == 0 {
		return nil
	}
	if _, err := d.invoke(ctx, f, `{"action":"test"}`); err != nil {
		return fmt.Errorf("post the test message: %w", err)
	}
	return d.print("a test message is in Slack; the first tick takes the baseline within a minute")
}

// Remove takes away what Deploy made, in the opposite order, and leaves the bucket with the state.
func (d *Deployer) Remove(ctx context.Context, functions ...Function) error {
	if err := d.greet(ctx); err != nil {
		return err
	}
	var steps []step
	for _, f := range functions {
		steps = append(steps, d.removal(f)...)
	}
	if err := d.run(ctx, steps); err != nil {
		return err
	}
	switch {
	case d.DryRun:
		return d.print("%d changes would be made; nothing was changed", d.changed)
	case d.changed == 0:
		if err := d.print("there was nothing to remove"); err != nil {
			return err
		}
	}
	return d.print("the state is left in the bucket %s below %q: delete that in the console of COS if you need "+
		"neither history nor open incidents any more", d.Bucket.Name, d.Bucket.Prefix)
}

// removal takes a function away, and then its role.
func (d *Deployer) removal(f Function) []step {
	steps := []step{{what: "function " + f.Name + " in " + d.API.Region,
		look: func(ctx context.Context) ([]change, error) {
			is, err := d.find(ctx, f)
			if err != nil || is == nil {
				return nil, err
			}
			if !strings.HasPrefix(is.Description, mark) {
				err := errors.New("clbwatch deploy did not make it")
				return nil, advice.Add(err, "delete it in the console if you mean it, or give its --name")
			}
			return []change{{says: "deleted", call: scf("DeleteFunction", f.named(nil))}}, nil
		}}}
	for _, p := range f.policies(d.Bucket) {
		steps = append(steps, step{what: p.of(f), look: func(ctx context.Context) ([]change, error) {
			all, err := d.attached(ctx, f.Name)
			if _, ok := all[p.name]; err != nil || !ok {
				return nil, err
			}
			return []change{{says: "detached", call: cam("DetachRolePolicy", map[string]any{"PolicyName": p.name,
				"DetachRoleName": f.Name})}}, nil
		}}, step{what: "policy " + p.name, look: func(ctx context.Context) ([]change, error) {
			id, err := d.policyID(ctx, p.name)
			if err != nil || id == 0 {
				return nil, err
			}
			return []change{{says: "deleted", call: cam("DeletePolicy", map[string]any{"PolicyId": []int64{id}})}}, nil
		}})
	}
	return append(steps, step{what: "role " + f.Name, look: func(ctx context.Context) ([]change, error) {
		_, there, err := d.trusted(ctx, f.Name)
		if err != nil || !there {
			return nil, err
		}
		others, err := d.attached(ctx, f.Name)
		if err != nil {
			return nil, err
		}
		for _, p := range f.policies(d.Bucket) {
			delete(others, p.name) // in a dry run they are still attached
		}
		if len(others) > 0 {
			return nil, errors.New("it is kept, because it has policies that clbwatch deploy did not attach")
		}
		return []change{{says: "deleted", call: cam("DeleteRole", map[string]any{"RoleName": f.Name})}}, nil
	}})
}
