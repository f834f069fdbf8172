package account

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/scf"
)

// inProcess runs a function as the platform does: a new instance for each invocation.
func inProcess(ctx context.Context, d Deployment, event []byte) Outcome {
	opts := []scf.Option{scf.WithName(d.Name), scf.WithTimeout(d.Timeout), scf.WithMemory(d.MemoryMB)}
	if d.Role != "" {
		opts = append(opts, scf.WithCredential(func() sandbox.Credential { return d.Credential }))
	}
	f, err := scf.Start(ctx, d.Binary, d.Environment, opts...)
	if err != nil {
		return Outcome{Err: err}
	}
	defer f.Close()
	payload, ferr, err := f.Invoke(ctx, event)
	o := Outcome{Payload: payload, Err: err, Log: strings.Join(f.Logs(), "\n")}
	if ferr != nil {
		o.Status, o.Type, o.Message = ferr.Status, ferr.Type, ferr.Message
	}
	return o
}

func TestInvokeRunsWhatWasDeployed(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "echo")
	if err := sandbox.Build(t.Context(), bin, "../scf/testdata/echo", ""); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	a := newAccountTest(t)
	a.Run = inProcess
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	a.must(t, "scf", "CreateFunction", a.functionBody(t, "Code",
		map[string]string{"ZipFile": zipOf(t, "main", 0o755, content)}, "MemorySize", 256, "Timeout", 2))
	a.await(t, "fn")

	got := a.must(t, "scf", "Invoke", jsonOf("FunctionName", "fn", "ClientContext", `{"do":"now"}`,
		"LogType", "Tail"))
	var text string
	var now struct {
		ID, Key, Token, Setting, Name string
		Memory, Limit                 int
	}
	if err := json.Unmarshal([]byte(got.get("Result.RetMsg")), &text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &now); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if now.ID == "" || now.Key == "" || now.Token == "" || now.Setting != "blue" || now.Name != "fn" ||
		now.Memory != 256 || now.Limit != 2000 {
		t.Errorf("the function found %+v", now)
	}
	if _, ok := a.Credential(now.ID); ok {
		t.Error("the credential outlived the invocation")
	}
	if got.get("Result.ErrMsg") != `""` || got.get("Result.InvokeResult") != "0" ||
		!strings.Contains(got.get("Result.Log"), "hello from stdout") {
		t.Errorf("the result is %s", got.raw)
	}
	for _, test := range []struct{ action, parameter, event, has string }{
		{"InvokeFunction", "Event", `{"do":"fail"}`, "as you wish"},
		{"InvokeFunction", "Event", `{"do":"exit"}`, `"statusCode\":439`},
		{"Invoke", "ClientContext", `{"do":"hang"}`, `"statusCode\":433`},
		{"InvokeFunction", "Event", `"hello"`, `\"hello\"`},
	} {
		got := a.must(t, "scf", test.action, jsonOf("FunctionName", "fn", test.parameter, test.event))
		if failed := got.get("Result.InvokeResult") == "-1"; failed != (test.event != `"hello"`) ||
			failed != (got.get("Result.ErrMsg") != `""`) || !strings.Contains(got.raw, test.has) {
			t.Errorf("%s: %s, want it to say %s", test.event, got.raw, test.has)
		}
	}
}

// told is a Runner that only notes what it was given.
type told struct {
	mu     sync.Mutex
	events []string
	wait   chan struct{} // closed when it may return
	begun  chan struct{}
}

func (r *told) run(_ context.Context, d Deployment, event []byte) Outcome {
	r.mu.Lock()
	r.events = append(r.events, d.Name+" "+string(event))
	r.mu.Unlock()
	if r.wait != nil {
		r.begun <- struct{}{}
		<-r.wait
	}
	return Outcome{Payload: []byte(`"ok"`)}
}

func TestInvokeIsChecked(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.newFunction(t)
	if got := a.ask(t, "scf", "Invoke", `{"FunctionName":"fn"}`); got.code != "UnsupportedOperation" {
		t.Errorf("without a runner: %s", got.raw)
	}
	r := &told{}
	a.Run = r.run
	big := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	for _, test := range []struct{ name, action, body, want string }{
		{"no such function", "Invoke", `{"FunctionName":"none"}`, "ResourceNotFound.Function"},
		{"no such version", "Invoke", `{"FunctionName":"fn","Qualifier":"3"}`, "ResourceNotFound.Qualifier"},
		{"an odd way", "Invoke", `{"FunctionName":"fn","InvocationType":"DryRun"}`, "InvalidParameterValue"},
		{"odd logs", "Invoke", `{"FunctionName":"fn","LogType":"All"}`, "InvalidParameterValue"},
		{"the other's parameter", "Invoke", `{"FunctionName":"fn","Event":"{}"}`, "UnknownParameter"},
		{"an object for a text", "InvokeFunction", `{"FunctionName":"fn","Event":{}}`, "InvalidParameter"},
		{"no JSON", "InvokeFunction", `{"FunctionName":"fn","Event":"report"}`,
			"InvalidParameterValue.Param"},
		{"6 MB", "InvokeFunction", jsonOf("FunctionName", "fn", "Event", big(6<<20)),
			"InvalidParameter.RequestTooLarge"},
		{"128 KB to wait", "Invoke", jsonOf("FunctionName", "fn", "InvocationType", "Event", "ClientContext",
			big(128<<10)), "InvalidParameter.RequestTooLarge"},
		{"128 KB at once", "Invoke", jsonOf("FunctionName", "fn", "ClientContext", big(128<<10)), ""},
		{"nothing", "Invoke", `{"FunctionName":"fn"}`, ""},
		{"later", "Invoke", `{"FunctionName":"fn","InvocationType":"Event","ClientContext":"1"}`, ""},
	} {
		if got := a.ask(t, "scf", test.action, test.body); got.code != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	a.running.Wait()
	if want := []string{"fn {}", "fn 1"}; len(r.events) != 3 || !slices.Equal(r.events[1:], want) {
		t.Errorf("%d runs, want 3, the last of them %q", len(r.events), want)
	}
	a.must(t, "cam", "DeleteRole", `{"RoleName":"fn"}`)
	if got := a.ask(t, "scf", "Invoke",
		`{"FunctionName":"fn"}`); got.code != "FailedOperation.InvokeFunction" {
		t.Errorf("without its role: %s", got.raw)
	}
}

func TestReservationsLimitInstances(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.newFunction(t)
	r := &told{wait: make(chan struct{}), begun: make(chan struct{})}
	a.Run = r.run
	a.must(t, "scf", "PutReservedConcurrencyConfig", `{"FunctionName":"fn","ReservedConcurrencyMem":128}`)
	a.must(t, "scf", "Invoke", `{"FunctionName":"fn","InvocationType":"Event"}`)
	<-r.begun
	if got := a.must(t, "scf", "Invoke", `{"FunctionName":"fn"}`); !strings.Contains(got.raw,
		`statusCode\":432`) {
		t.Errorf("a second instance: %s", got.raw)
	}
	close(r.wait)
	a.running.Wait()
	r.wait = nil
	if got := a.must(t, "scf", "Invoke", `{"FunctionName":"fn"}`); got.get("Result.RetMsg") != `"\"ok\""` {
		t.Errorf("once it is over: %s", got.raw)
	}
}

func TestTimersFire(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.newFunction(t)
	r := &told{}
	a.Run = r.run
	at := time.Unix(1_550_749_740, 0)
	body := []any{"FunctionName", "fn", "Type", "timer", "TriggerName", "tick", "TriggerDesc",
		"0 * * * * * *",
		"CustomArgument", "m"}
	a.must(t, "scf", "CreateTrigger", jsonOf(body...))
	if _, err := a.Fire(t.Context(), "ap-guangzhou", "fn", "tick", at); err == nil {
		t.Error("a closed timer fires")
	}
	a.must(t, "scf", "UpdateTrigger", jsonOf(append(body, "Enable", "OPEN")...))
	o, err := a.Fire(t.Context(), "ap-guangzhou", "fn", "tick", at)
	if err != nil || string(o.Payload) != `"ok"` {
		t.Errorf("%s, %v", o.Payload, err)
	}
	if _, err := a.Send(t.Context(), "ap-guangzhou", "fn", []byte(`{"httpMethod":"POST"}`)); err != nil {
		t.Error(err)
	}
	if want := []string{
		`fn {"Type":"Timer","TriggerName":"tick","Time":"2019-02-21T11:49:00Z","Message":"m"}`,
		`fn {"httpMethod":"POST"}`}; !slices.Equal(r.events, want) {
		t.Errorf("events %q, want %q", r.events, want)
	}
	if _, err := a.Fire(t.Context(), "ap-guangzhou", "none", "tick", at); err == nil {
		t.Error("a timer of no function fires")
	}
}
