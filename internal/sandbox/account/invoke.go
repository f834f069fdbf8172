package account

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"clbwatch/internal/sandbox"
)

// Bounds of invocations. Sources: ClientContext of Invoke, Event of InvokeFunction, LogType.
const (
	maxSyncEvent  = 6 << 20
	maxAsyncEvent = 128 << 10
	maxTail       = 4 << 10 // bytes of Log
)

// busyStatus is the platform's own for too many instances
// (https://cloud.tencent.com/document/product/583/42611).
const busyStatus = 432

// invoke runs a function, and waits for it unless InvocationType is Event.
func (a *Account) invoke(q *request, p struct {
	FunctionName                                                 string `api:"required"`
	InvocationType, Qualifier, ClientContext, LogType, Namespace *string
}) (map[string]any, error) {
	switch kind := value(p.InvocationType); kind {
	case "", "RequestResponse":
		return a.invokeNow(q, p.FunctionName, p.Namespace, p.Qualifier, p.ClientContext, p.LogType)
	case "Event":
	default:
		return nil, refusal("InvalidParameterValue", "InvocationType %q", kind)
	}
	event, err := checkEvent(p.ClientContext, maxAsyncEvent)
	if err != nil {
		return nil, err
	}
	if err := checkQualifier(p.Qualifier, "ResourceNotFound.Qualifier"); err != nil {
		return nil, err
	}
	d, err := a.start(q, p.FunctionName, p.Namespace)
	if err != nil {
		return nil, err
	}
	a.running.Go(func() {
		// the request is over before it is, and its outcome is only in the function's logs
		_ = a.run(context.WithoutCancel(q.Context()), d, event)
	})
	return map[string]any{"Result": result(Outcome{}, "", 0)}, nil
}

// invokeFunction is the other action for that, which only waits.
func (a *Account) invokeFunction(q *request, p struct {
	FunctionName                         string `api:"required"`
	Qualifier, Event, LogType, Namespace *string
}) (map[string]any, error) {
	return a.invokeNow(q, p.FunctionName, p.Namespace, p.Qualifier, p.Event, p.LogType)
}

func (a *Account) invokeNow(q *request, name string, namespace, qualifier, event, logType *string) (
	map[string]any, error) {
	payload, err := checkEvent(event, maxSyncEvent)
	if err != nil {
		return nil, err
	}
	if err := checkQualifier(qualifier, "ResourceNotFound.Qualifier"); err != nil {
		return nil, err
	}
	tail := value(logType)
	if tail != "" && tail != "None" && tail != "Tail" {
		return nil, refusal("InvalidParameterValue", "LogType %q", tail)
	}
	d, err := a.start(q, name, namespace)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	o := a.run(q.Context(), d, payload)
	if o.Err != nil {
		return nil, refusal("FailedOperation.InvokeFunction", "%v", o.Err)
	}
	log := ""
	if tail == "Tail" {
		log = o.Log[max(0, len(o.Log)-maxTail):]
	}
	return map[string]any{"Result": result(o, log, time.Since(began))}, nil
}

// checkEvent returns the event, {} if there is none: that is an assumption.
func checkEvent(event *string, limit int) ([]byte, error) {
	text := "{}"
	set(&text, event)
	if len(text) > limit {
		return nil, refusal("InvalidParameter.RequestTooLarge", "an event of %d bytes", len(text))
	}
	if !json.Valid([]byte(text)) {
		return nil, refusal("InvalidParameterValue.Param", "the event is not JSON")
	}
	return []byte(text), nil
}

// start gets a function ready to be run, which run must do.
func (a *Account) start(q *request, name string, namespace *string) (d Deployment, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := a.ready(q, name, namespace, "FailedOperation.FunctionStatusError")
	switch {
	case err != nil:
		return d, err
	case a.Run == nil:
		return d, refusal("UnsupportedOperation", "nothing runs functions in this sandbox")
	}
	d, err = a.deployment(f)
	if err == nil && d.Role != "" && d.Credential == (sandbox.Credential{}) {
		// what the cloud says then is not documented
		err = refusal("FailedOperation.InvokeFunction", "the role %s cannot be assumed", d.Role)
	}
	if err == nil {
		f.running++
	}
	return d, err
}

// deployment is what a Runner needs to know. The caller holds a.mu.
func (a *Account) deployment(f *function) (d Deployment, err error) {
	binary, err := a.unpack(f)
	if err != nil {
		return d, fmt.Errorf("unpack the code of %s: %w", f.name, err)
	}
	d = Deployment{Region: f.region, Name: f.name, Binary: binary, Environment: make(map[string]string),
		MemoryMB: int(f.config.memory), Timeout: time.Duration(f.config.timeout) * time.Second,
		InitTimeout: time.Duration(f.config.initTimeout) * time.Second, Role: f.config.role}
	for _, v := range f.config.environment {
		d.Environment[v.Key] = v.Value
	}
	if d.Role != "" {
		d.Credential, _ = a.assume(d.Role) // who needs it looks at it
	}
	return d, nil
}

// run runs what start started: not if its reservation has no room for one more instance.
func (a *Account) run(ctx context.Context, d Deployment, event []byte) Outcome {
	a.mu.Lock()
	f := a.functions[d.Region+"/"+d.Name]
	full := f != nil && f.reserved != nil && f.running*f.config.memory > *f.reserved
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.credentials, d.Credential.SecretID)
		if f != nil {
			f.running--
		}
	}()
	if full {
		return Outcome{Status: busyStatus, Type: "ResourceLimitReached",
			Message: "too many instances are busy"}
	}
	return a.Run(ctx, d, event)
}

// result is what an invocation comes to. Which fields there are is the SDK's; ErrMsg is empty and
// InvokeResult 0 in the sample of a success (583/17243). How an error looks in there is not documented: its
// text is in ErrMsg, and RetMsg has it as JSON, with a statusCode.
func result(o Outcome, log string, took time.Duration) map[string]any {
	r := map[string]any{"Log": log, "RetMsg": string(o.Payload), "ErrMsg": "", "MemUsage": 10 << 20,
		"Duration": float64(took.Microseconds()) / 1000, "BillDuration": took.Milliseconds() + 1,
		"FunctionRequestId": sandbox.RequestID(), "InvokeResult": 0}
	if o.Type == "" && o.Status == 0 {
		return r
	}
	status := 430 // "user code exception caught"
	if o.Status != 0 {
		status = o.Status
	}
	text, err := json.Marshal(map[string]any{"errorCode": -1, "statusCode": status,
		"errorMessage": strings.TrimPrefix(o.Type+": "+o.Message, ": ")})
	if err != nil {
		panic(err) // texts and numbers always marshal
	}
	r["RetMsg"], r["ErrMsg"], r["InvokeResult"] = string(text), string(text), -1
	return r
}

// Fire runs a function as one of its timers does, at this time of the sandbox's day, and says how that ended.
// It is an error if there is no such timer, or if that is closed.
func (a *Account) Fire(ctx context.Context, region, function, timer string, at time.Time) (Outcome, error) {
	q := &request{region: region}
	a.mu.Lock()
	f, err := a.find(q, function, nil)
	var message string
	if err == nil {
		err = fmt.Errorf("no open timer %s of %s", timer, function)
		for _, t := range f.triggers {
			if t.kind == "timer" && t.name == timer && t.open {
				message, err = t.argument, nil
			}
		}
	}
	a.mu.Unlock()
	if err != nil {
		return Outcome{}, err
	}
	event, err := json.Marshal(struct{ Type, TriggerName, Time, Message string }{
		"Timer", timer, at.UTC().Format(time.RFC3339), message})
	if err != nil {
		return Outcome{}, err
	}
	d, err := a.start(q, function, nil)
	if err != nil {
		return Outcome{}, err
	}
	return a.run(ctx, d, event), nil
}

// Send runs a function with an event of any kind, such as its Function URL makes, and says how that ended.
func (a *Account) Send(ctx context.Context, region, function string, event []byte) (Outcome, error) {
	d, err := a.start(&request{region: region}, function, nil)
	if err != nil {
		return Outcome{}, err
	}
	return a.run(ctx, d, event), nil
}
