package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/scf-go-lib/functioncontext"

	"clbwatch/handler"
	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/talk"
	"clbwatch/internal/watch"
)

// app remembers what it was asked for.
type app struct {
	asked string
	since time.Duration
	quiet watch.SilenceRequest
	talk  talk.Request
	says  talk.Answer
	sum   watch.Summary
	err   error
	log   bytes.Buffer
}

func (a *app) Tick(context.Context) (watch.Summary, error) { a.asked = "tick"; return a.sum, a.err }
func (a *app) Report(_ context.Context, since time.Duration) (report.Report, error) {
	a.asked, a.since = "report", since
	return report.Report{Pools: []report.Pool{{Backends: 3}}}, a.err
}
func (a *app) Check(context.Context) (json.RawMessage, error) {
	a.asked = "check"
	return []byte("[]"), a.err
}
func (a *app) Silence(_ context.Context, r watch.SilenceRequest) (watch.SilenceAnswer, error) {
	a.asked, a.quiet = "silence", r
	return watch.SilenceAnswer{Silence: incident.Silence{ID: "7", What: r.What}}, a.err
}
func (a *app) Talk(_ context.Context, r talk.Request) talk.Answer {
	a.asked, a.talk = "talk", r
	return a.says
}
func (a *app) Test(context.Context) error { a.asked = "test"; return a.err }
func (a *app) Log() *slog.Logger          { return slog.New(slog.NewJSONHandler(&a.log, nil)) }

func serve(a *app) *handler.Handler {
	return &handler.Handler{Open: func(handler.Invocation) (handler.App, error) { return a, nil }, Now: time.Now}
}

func ExampleHandler_Invoke() {
	h := serve(&app{sum: watch.Summary{CLBs: 2, Read: 2, Changes: 1, Sent: 1}})
	answer, _ := h.Invoke(
		context.Background(),
		[]byte(`{"Type":"Timer","TriggerName":"EveryMinute","Time":"2026-11-23T04:53:00Z","Message":""}`),
	)
	fmt.Println(string(answer))
	_, err := h.Invoke(context.Background(), []byte(`{"action":"nonsense"}`))
	fmt.Println(err)
	// Output:
	// {"clbs":2,"read":2,"unreadable":0,"changes":1,"sent":1,"pending":0}
	// the event asks for "nonsense", expected {"action": …} with "check", "report", "silence", "test" or "tick"
}

func TestInvokeUnderstandsEvents(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{"Type":"Timer","TriggerName":"t","Time":"2019-02-21T11:49:00Z","Message":"user define msg body"}`: "tick",
		`{"action":"tick"}`: "tick", `"tick"`: "tick",
		`{"action":"report"}`: "report", `"report"`: "report", `{}`: "report", `null`: "report", ``: "report",
		"  {}\n": "report",
		// the console's Test button
		`{"key1":"test value 1","key2":"test value 2"}`:                         "report",
		`{"Type":"Timer","Message":"{\"action\":\"report\",\"since\":\"7d\"}"}`: "report",
		`{"Type":"Timer","Message":"{\"action\":\"check\"}"}`:                   "check",
		`{"action":"test"}`: "test", `"test"`: "test", `{"action":"check"}`: "check", `"check"`: "check",
	} {
		a := &app{}
		if _, err := serve(a).Invoke(t.Context(), []byte(event)); err != nil || a.asked != want {
			t.Errorf("Invoke(%s) did %q, %v, want %s", event, a.asked, err, want)
		}
	}
}

func TestInvokePassesTheShardOn(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{"Type":"Timer","Message":"{\"shard\":\"2/4\"}"}`: "2/4", // the timer's argument
		`{"Type":"Timer","Message":"shard 2/4"}`:           "",    // the user's own
		`{"Type":"Timer","Message":"{\"Shard\":\"2/4\"}"}`: "",
		`{"Type":"Timer","shard":"2/4"}`:                   "",
		`{"action":"tick","shard":"9/9"}`:                  "9/9", `{}`: "",
	} {
		got := "not asked"
		h := &handler.Handler{Now: time.Now, Open: func(i handler.Invocation) (handler.App,
			error) {
			got = i.Shard
			return &app{}, nil
		}}
		if _, err := h.Invoke(t.Context(), []byte(event)); err != nil || got != want {
			t.Errorf("Invoke(%s) opened shard %q, %v, want %q", event, got, err, want)
		}
	}
	for _, event := range []string{`{"Type":"Timer","Message":"{\"shard\":2}"}`, `{"action":"tick","shard":""}`,
		`{"action":"tick","shard":["1/2"]}`} {
		if _, err := serve(&app{}).Invoke(t.Context(), []byte(event)); err == nil ||
			!strings.Contains(err.Error(), `such as "2/4"`) {
			t.Errorf("Invoke(%s) = %v, want an error that says what a shard is", event, err)
		}
	}
}

func TestInvokeRefusesEventsBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	for _, event := range []string{
		`{"Type":"timer"}`,
		`{"mode":"x"}`, `{"httpmethod":"POST","body":"x"}`, `{"type":"Timer"}`, `{"TYPE":"Timer"}`,
		`{"shard":"1/2"}`, `{"key1":"x","key3":"y"}`, `{"Type":"Timer","Message":"{\"action\":\"nonsense\"}"}`,
		`{"action":"nonsense"}`, `{"action":""}`, `{"action":7}`, `{"action":["report"]}`, `"nonsense"`, `""`, `7`,
		`true`, `[]`, `{`, `{"a":1} x`, "\xff",
	} {
		h := &handler.Handler{Now: time.Now, Open: func(handler.Invocation) (handler.App, error) {
			t.Errorf("Invoke(%s) opened the settings", event)
			return nil, errors.New("no")
		}}
		if out, err := h.Invoke(t.Context(), []byte(event)); err == nil ||
			!strings.Contains(err.Error(), `"check", "report", "silence", "test" or "tick"`) {
			t.Errorf("Invoke(%s) = %s, %v, want an error that lists the actions", event, out, err)
		}
	}
}

func TestInvokePassesOnHowFarAReportLooksBack(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]time.Duration{
		`{}`: 24 * time.Hour, `{"action":"report"}`: 24 * time.Hour,
		`{"action":"report","since":"90m"}`:                                     90 * time.Minute,
		`{"Type":"Timer","Message":"{\"action\":\"report\",\"since\":\"7d\"}"}`: 7 * 24 * time.Hour,
	} {
		a := &app{}
		if _, err := serve(a).Invoke(t.Context(), []byte(event)); err != nil || a.since != want {
			t.Errorf("Invoke(%s) looked back %v, %v, want %v", event, a.since, err, want)
		}
	}
	for _, since := range []string{`"x"`, `"-1h"`, `"91d"`, `"1s"`, `7`, `""`, `"99999999999999999999d"`} {
		_, err := serve(&app{}).Invoke(t.Context(), []byte(`{"action":"report","since":`+since+`}`))
		if err == nil || !strings.Contains(err.Error(), `such as "7d"`) {
			t.Errorf("since %s: %v, want an error that says what since is", since, err)
		}
	}
}

// TestInvokePassesOnWhatThePlatformSays holds that settings and credentials are those of this invocation.
func TestInvokePassesOnWhatThePlatformSays(t *testing.T) {
	t.Parallel()
	var got handler.Invocation
	h := &handler.Handler{Now: time.Now, Open: func(i handler.Invocation) (handler.App,
		error) {
		got = i
		return &app{}, nil
	}}
	ctx := functioncontext.NewContext(t.Context(), &functioncontext.FunctionContext{
		Environment: map[string]string{"CLB_IDS": "lb-1"}, TencentcloudRegion: "ap-guangzhou", Namespace: "default",
		FunctionName: "clbwatch"})
	if _, err := h.Invoke(ctx, []byte(`"test"`)); err != nil {
		t.Fatal(err)
	}
	if got.Environment["CLB_IDS"] != "lb-1" || got.Function != "ap-guangzhou/default/clbwatch" {
		t.Errorf("Open got %+v", got)
	}
}

func TestInvokeAnswersAndLogs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		app   *app
		fails bool
		level string
		line  string
	}{
		{"all well", &app{sum: watch.Summary{CLBs: 1, Read: 1}}, false, "INFO", `"unreadable":0`},
		{"Slack is down: the tick did its job", &app{sum: watch.Summary{CLBs: 1, Read: 1, Pending: 1,
			Unsent: errors.New("send alert 7: 503")}}, false, "WARN", "send alert 7: 503"},
		{"one is unreadable", &app{sum: watch.Summary{CLBs: 2, Read: 1, Unreadable: 1,
			Unread: errors.New("code 6000")}}, false, "WARN", "code 6000"},
		{"a region cannot be listed", &app{sum: watch.Summary{CLBs: 2, Read: 2,
			Unread: errors.New("list ap-shanghai")}}, false, "WARN", "list ap-shanghai"},
		{"old state stays", &app{sum: watch.Summary{CLBs: 1, Read: 1, Untidy: errors.New("disk")}}, false, "WARN",
			"disk"},
		{"it could not read anything", &app{sum: watch.Summary{CLBs: 1, Unreadable: 1,
			Unread: errors.New("code 4104")}, err: errors.New("no load balancer could be read")}, true, "ERROR",
			"code 4104"},
		{"a faster run was later", &app{sum: watch.Summary{CLBs: 1, Read: 1, Stale: true}}, false, "INFO",
			`"stale":true`},
		{"it could not do its job", &app{sum: watch.Summary{CLBs: 1}, err: errors.New("load state: damaged")}, true,
			"ERROR", "load state: damaged"},
	}
	for _, tt := range tests {
		_, err := serve(tt.app).Invoke(t.Context(), []byte(`{"Type":"Timer"}`))
		if (err != nil) != tt.fails {
			t.Errorf("%s: Invoke = %v, want an error: %v", tt.name, err, tt.fails)
		}
		var line map[string]any
		if err := json.Unmarshal(tt.app.log.Bytes(), &line); err != nil {
			t.Fatalf("%s: the log is not one JSON object: %s", tt.name, tt.app.log.String())
		}
		if line["level"] != tt.level || !strings.Contains(tt.app.log.String(), tt.line) ||
			line["action"] != "tick" {
			t.Errorf("%s: logged %s, want level %s and %q", tt.name, tt.app.log.String(), tt.level, tt.line)
		}
	}
}

func TestInvokeWithBadSettings(t *testing.T) {
	t.Parallel()
	bad := errors.New("CLB_IDS is not set")
	h := &handler.Handler{Now: time.Now, Open: func(handler.Invocation) (handler.App, error) { return nil, bad }}
	if _, err := h.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, bad) {
		t.Errorf("Invoke = %v, want %v", err, bad)
	}
}

// The platform says with each invocation what memory the instance has. Not parallel: the limit is the
// process's.
func TestInvokeKeepsToTheMemoryThereIs(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, tt := range []struct {
		mb   int32
		want int64
	}{{64, 48 << 20}, {128, 96 << 20}, {0, 96 << 20}} { // 0 is what nobody says
		ctx := functioncontext.NewContext(t.Context(), &functioncontext.FunctionContext{MemoryLimitInMb: tt.mb})
		if _, err := serve(&app{}).Invoke(ctx, []byte(`"test"`)); err != nil {
			t.Fatal(err)
		}
		if got := debug.SetMemoryLimit(-1); got != tt.want {
			t.Errorf("with %d MB, garbage is collected before %d bytes, want %d", tt.mb, got, tt.want)
		}
	}
}
func TestTestMessageIsAnsweredWithWhetherItWasSent(t *testing.T) {
	t.Parallel()
	if out, err := serve(&app{}).Invoke(t.Context(), []byte(`"test"`)); err != nil ||
		string(out) != `{"sent":true}` {
		t.Errorf("Invoke = %s, %v, want that it was sent", out, err)
	}
	revoked := errors.New("no_service")
	if out, err := serve(&app{err: revoked}).Invoke(t.Context(), []byte(`"test"`)); !errors.Is(err, revoked) {
		t.Errorf("Invoke = %s, %v, want %v", out, err, revoked)
	}
}
