package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"clbwatch/internal/advice"
)

// Function is one function as it should be. Its role and the role's policies are called after it.
type Function struct {
	Name     string
	Answers  bool              // it answers Slack at a URL; else it ticks
	Settings map[string]string // its environment
	Memory   int               // MB
	Code     Code
	Version  string // of clbwatch
}

const (
	runtime     = "Go1"
	handler     = "main" // the program in the zip
	initTimeout = 10     // s, to load the program
	tickTimeout = 50     // s: a run that hangs is over before the next tick begins
	talkTimeout = 5      // s: Slack waits for 3
	retries     = 0      // of a failed tick: the next one reads what is true then
	eventTTL    = 120    // s that an event waits for an instance: later it would be one of many stale ticks
	timerName   = "every-minute"
	timerCron   = "0 * * * * * *" // seven fields, seconds first
	urlName     = "url-trigger"
	mark        = "clbwatch " // begins the description of what we made
)

func (f Function) purpose() string {
	if f.Answers {
		return "Answers the slash command and the buttons of clbwatch in Slack"
	}
	return "Watches the backends of load balancers and tells Slack what changed"
}

// description tells the version, and by its sum the code: the platform has no other place for that.
func (f Function) description() string {
	return fmt.Sprintf("%s%s, code %s. %s", mark, f.Version, f.Code.sum, f.purpose())
}

func (f Function) timeout() int {
	if f.Answers {
		return talkTimeout
	}
	return tickTimeout
}

// instances is how many may run at once. Two ticks at once would do no harm, only work for nothing; two
// people may click at once, and more would only let strangers, who can reach the URL, run up a bill.
func (f Function) instances() int {
	if f.Answers {
		return 2
	}
	return 1
}

// variable is a variable of a function's environment.
type variable struct{ Key, Value string }

func (f Function) variables() []variable {
	all := make([]variable, 0, len(f.Settings))
	for _, k := range slices.Sorted(maps.Keys(f.Settings)) {
		if f.Settings[k] != "" { // which the platform refuses
			all = append(all, variable{k, f.Settings[k]})
		}
	}
	return all
}

// named is the parameters of a call about the function.
func (f Function) named(more map[string]any) map[string]any {
	p := map[string]any{"FunctionName": f.Name}
	maps.Copy(p, more)
	return p
}

// configuration is what can be changed about the function beside its code.
func (f Function) configuration() map[string]any {
	return f.named(map[string]any{
		"Description": f.description(), "Role": f.Name, "MemorySize": f.Memory, "Timeout": f.timeout(),
		"InitTimeout": initTimeout,
		"PublicNetConfig": map[string]any{"PublicNetStatus": "ENABLE",
			"EipConfig": map[string]any{"EipStatus": "DISABLE"}},
		"Environment": map[string]any{"Variables": f.variables()},
	})
}

// code is where SCF fetches the code, which an API call has no room for.
func (d *Deployer) code(f Function) map[string]any {
	return map[string]any{"CosBucketName": d.Bucket.short(), "CosObjectName": "/" + d.Bucket.codeKey(f.Code),
		"CosBucketRegion": d.Bucket.Region}
}

// found is a function as the platform has it.
type found struct {
	Status, StatusDesc, Description, Runtime, Handler, Role string
	MemorySize, Timeout, InitTimeout                        int
	Environment                                             struct{ Variables []variable }
	PublicNetConfig                                         struct{ PublicNetStatus string }
}

// noFunction is the code that says that there is no such function.
const noFunction = "ResourceNotFound.Function"

// find is the function as it is; nil if there is none.
func (d *Deployer) find(ctx context.Context, f Function) (*found, error) {
	is := new(found)
	err := d.API.do(ctx, scf("GetFunction", f.named(nil)), is)
	if codeIs(err, noFunction, "ResourceNotFound.FunctionName", "ResourceNotFound") {
		return nil, nil
	}
	return is, err
}

// settled is the function once it can be changed.
func (d *Deployer) settled(ctx context.Context, f Function) (*found, error) {
	for range polls {
		is, err := d.find(ctx, f)
		switch {
		case err != nil || is == nil || is.Status == "Active":
			return is, err
		case strings.HasSuffix(is.Status, "Failed"):
			err := fmt.Errorf("it is in the status %.40s: %.300s", is.Status, is.StatusDesc)
			return nil, advice.Add(err, "delete it in the console, and run the command again")
		}
		if err := d.Sleep(ctx, pollTime); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("it is still being changed after three minutes: see the console")
}

// functionSteps make the function and what triggers it.
func (d *Deployer) functionSteps(f Function) []step {
	what := "function " + f.Name + " in " + d.API.Region
	steps := []step{{what: what, look: func(ctx context.Context) ([]change, error) {
		return d.lookAtFunction(ctx, f)
	}}}
	if !f.Answers {
		steps = append(steps, step{what: "retries and waiting of " + what,
			look:    func(ctx context.Context) ([]change, error) { return d.lookAtRetries(ctx, f) },
			without: "a failed tick is repeated twice, a minute apart, which does no harm"})
	}
	steps = append(steps, step{what: "reservation of " + what,
		look:    func(ctx context.Context) ([]change, error) { return d.lookAtReservation(ctx, f) },
		without: f.unreserved()})
	return append(steps, step{what: f.trigger().what + " of " + what,
		look: func(ctx context.Context) ([]change, error) { return d.lookAtTrigger(ctx, f) }})
}

func (f Function) unreserved() string {
	if f.Answers {
		return "it works without, but strangers who call its URL may take every instance of the account"
	}
	return "it works without, but two ticks may run at once, and if other functions use up the account's " +
		"instances a tick may have to wait"
}

func (d *Deployer) lookAtFunction(ctx context.Context, f Function) ([]change, error) {
	is, err := d.settled(ctx, f)
	if err != nil {
		return nil, err
	}
	if is == nil {
		create := f.configuration()
		create["Type"], create["Runtime"], create["Handler"], create["Code"] = "Event", runtime, handler, d.code(f)
		return []change{d.coded(f, "created", scf("CreateFunction", create))}, nil
	}
	if !strings.HasPrefix(is.Description, mark) || is.Handler != handler {
		err := errors.New("there is one that clbwatch deploy did not make")
		return nil, advice.Add(err, "deploy under another --name, or delete it in the console")
	}
	if is.Runtime != runtime {
		err := fmt.Errorf("its runtime is %.20s, which cannot be changed to %s", is.Runtime, runtime)
		return nil, advice.Add(err, "delete it in the console, and run the command again: the state stays")
	}
	if !strings.Contains(is.Description, " code "+f.Code.sum+".") {
		// The description is changed last: until then the next run takes the code for old.
		update := f.named(d.code(f))
		update["Handler"] = handler
		return []change{d.coded(f, "updated", scf("UpdateFunctionCode", update)), d.configure(f)}, nil
	}
	if f.differs(is) {
		return []change{d.configure(f)}, nil
	}
	return nil, nil
}

// differs reports whether anything but the code is not as it should be.
func (f Function) differs(is *found) bool {
	slices.SortFunc(is.Environment.Variables, func(a, b variable) int { return strings.Compare(a.Key, b.Key) })
	return is.Description != f.description() || is.Role != f.Name || is.MemorySize != f.Memory ||
		is.Timeout != f.timeout() || is.InitTimeout != initTimeout ||
		is.PublicNetConfig.PublicNetStatus != "ENABLE" ||
		!slices.Equal(is.Environment.Variables, f.variables())
}

func (d *Deployer) configure(f Function) change {
	c := scf("UpdateFunctionConfiguration", f.configuration())
	return change{says: "set", call: c, do: func(ctx context.Context) error {
		if _, err := d.settled(ctx, f); err != nil {
			return err
		}
		return d.API.do(ctx, c, nil)
	}}
}

// coded is a change that brings code: SCF fetches it from the bucket, where it is put before and dropped
// after.
func (d *Deployer) coded(f Function, says string, c call) change {
	return change{says: says, call: c, do: func(ctx context.Context) error {
		if err := d.Bucket.putCode(ctx, f.Code); err != nil {
			return err
		}
		if err := d.API.do(ctx, c, nil); err != nil {
			return err
		}
		if _, err := d.settled(ctx, f); err != nil {
			return err
		}
		// If we stop here, it stays there, and costs next to nothing.
		return d.Bucket.dropCode(ctx, f.Code)
	}}
}

func (d *Deployer) lookAtRetries(ctx context.Context, f Function) ([]change, error) {
	var is struct {
		AsyncTriggerConfig struct {
			RetryConfig []struct{ RetryNum int }
			MsgTTL      int
		}
	}
	err := d.API.do(ctx, scf("GetFunctionEventInvokeConfig", f.named(nil)), &is)
	if err != nil && !codeIs(err, "ResourceNotFound") {
		return nil, err
	}
	if c := is.AsyncTriggerConfig; err == nil && len(c.RetryConfig) == 1 &&
		c.RetryConfig[0].RetryNum == retries &&
		c.MsgTTL == eventTTL {
		return nil, nil
	}
	return []change{{says: "set", call: scf("UpdateFunctionEventInvokeConfig", f.named(map[string]any{
		"AsyncTriggerConfig": map[string]any{"RetryConfig": []map[string]int{{"RetryNum": retries}},
			"MsgTTL": eventTTL}}))}}, nil
}

func (d *Deployer) lookAtReservation(ctx context.Context, f Function) ([]change, error) {
	var is struct{ ReservedMem int }
	err := d.API.do(ctx, scf("GetReservedConcurrencyConfig", f.named(nil)), &is)
	if err != nil && !codeIs(err, "ResourceNotFound") {
		return nil, err
	}
	want := f.Memory * f.instances()
	if err == nil && is.ReservedMem == want {
		return nil, nil
	}
	return []change{{says: "set", call: scf("PutReservedConcurrencyConfig", f.named(map[string]any{
		"ReservedConcurrencyMem": want}))}}, nil
}

// trigger is what starts the function.
type trigger struct{ what, name, kind, desc string }

func (f Function) trigger() trigger {
	if f.Answers {
		return trigger{"URL", urlName, "http",
			`{"AuthType":"NONE","NetConfig":{"EnableIntranet":false,"EnableExtranet":true}}`}
	}
	return trigger{"timer", timerName, "timer", timerCron}
}

// foundTrigger is a trigger as the platform has it.
type foundTrigger struct {
	TriggerName, Type, TriggerDesc, CustomArgument string
	Enable                                         int // 1 if it is open
}

// is reports whether the trigger does what it should.
func (t trigger) is(found foundTrigger) bool {
	if found.Enable != 1 {
		return false
	}
	if t.kind == "http" {
		return found.url() != ""
	}
	var timer struct {
		Cron string `json:"cron"`
	}
	if json.Unmarshal([]byte(found.TriggerDesc), &timer) != nil {
		timer.Cron = found.TriggerDesc
	}
	return timer.Cron == t.desc && found.CustomArgument == ""
}

// url is where a Function URL is; "" if it cannot be reached.
func (t foundTrigger) url() string {
	var desc struct {
		NetConfig struct {
			ExtranetURL string `json:"ExtranetUrl"`
		}
	}
	if json.Unmarshal([]byte(t.TriggerDesc), &desc) != nil ||
		!strings.HasPrefix(desc.NetConfig.ExtranetURL, "https://") {
		return ""
	}
	return desc.NetConfig.ExtranetURL
}

// triggers are those of the function.
func (d *Deployer) triggers(ctx context.Context, f Function) ([]foundTrigger, error) {
	var is struct{ Triggers []foundTrigger }
	err := d.API.do(ctx, scf("ListTriggers", f.named(map[string]any{"Limit": 100})), &is)
	if codeIs(err, "ResourceNotFound") {
		return nil, nil // a dry run comes here
	}
	return is.Triggers, err
}

func (d *Deployer) lookAtTrigger(ctx context.Context, f Function) ([]change, error) {
	all, err := d.triggers(ctx, f)
	if err != nil {
		return nil, err
	}
	want, says, action := f.trigger(), "created", "CreateTrigger"
	for _, t := range all {
		if t.TriggerName != want.name || t.Type != want.kind {
			continue
		}
		if want.is(t) {
			return nil, nil
		}
		says, action = "updated", "UpdateTrigger"
	}
	return []change{{says: says, call: scf(action, f.named(map[string]any{"TriggerName": want.name,
		"Type": want.kind, "TriggerDesc": want.desc, "Qualifier": "$DEFAULT", "Enable": "OPEN"}))}}, nil
}

// invoke invokes the function with an event and returns its answer.
func (d *Deployer) invoke(ctx context.Context, f Function, event string) (answer string, err error) {
	var is struct {
		Result struct {
			InvokeResult   int
			RetMsg, ErrMsg string
		}
	}
	err = d.API.do(ctx, scf("Invoke", f.named(map[string]any{"InvocationType": "RequestResponse",
		"ClientContext": event})), &is)
	switch {
	case err != nil:
		return "", err
	case is.Result.InvokeResult != 0 || is.Result.ErrMsg != "":
		return "", fmt.Errorf("the function fails: %.500s", is.Result.ErrMsg)
	}
	return is.Result.RetMsg, nil
}
