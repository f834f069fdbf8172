package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
)

// The platform.

func TestSettingsAndCredentialsArePerInvocation(t *testing.T) {
	everywhere(t, testSettingsAndCredentialsArePerInvocation)
}

func testSettingsAndCredentialsArePerInvocation(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start()
	if _, err := l.try(f, scf.WithSetting("CLB_IDS", "lb!")); err == nil ||
		!strings.Contains(err.Error(), "CLB_IDS") {
		t.Errorf("with a bad setting: %v, want an error that names it", err)
	}
	if _, err := l.try(f, scf.WithSetting("SLACK_WEBHOOK_URL", ""), scf.WithSetting("SLACK_BOT_TOKEN", ""),
		scf.WithSetting("SLACK_CHANNEL", "")); err == nil ||
		!strings.Contains(err.Error(), "neither SLACK_BOT_TOKEN nor SLACK_WEBHOOK_URL is set") {
		t.Errorf("without a webhook: %v, want an error that names it", err)
	}
	if _, err := l.try(f, scf.WithSetting("STATE_URL", "file:///tmp/x")); err == nil ||
		!strings.Contains(err.Error(), "STATE_URL") {
		t.Errorf("with state in /tmp: %v, want an error that names it", err)
	}
	noRole, err := scf.Start(t.Context(), l.function, l.settings)
	if err != nil {
		t.Fatal(err)
	}
	defer l.end(noRole)
	if _, err := l.try(noRole); err == nil || !strings.Contains(err.Error(), "no execution role") {
		t.Errorf("without a role: %v, want an error that says so", err)
	}
	if len(l.slack.Messages()) != 0 || strings.Contains(l.stateText(), `"n":1`) {
		t.Error("a bad setting touched the state or Slack")
	}
	for range 20 { // role() takes old credentials back
		l.tick(f)
	}
	// What one invocation has, the next one does not inherit: not a setting, and not the credential of its
	// role.
	runbook := scf.WithSetting("RUNBOOK_URL", "https://runbook.example/{clb}")
	l.cloud.SetStatus("ins-web-1", 4)
	l.tick(f, runbook)
	l.later(4 * time.Minute)
	l.cloud.SetStatus("ins-api-1", 4)
	l.tick(f)
	if got, want := l.news(), []string{"web-1 stopped", "api-1 stopped"}; !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
	for i, m := range l.slack.Messages()[1:] {
		if has := strings.Contains(string(m.Raw), "runbook.example"); has != (i == 0) {
			t.Errorf("message %d has the runbook of the first invocation: %v", i+1, has)
		}
	}
	if _, err := l.try(f, scf.WithoutCredential()); err == nil ||
		!strings.Contains(err.Error(), "no execution role") {
		t.Errorf("without a role, after one with it: %v, want an error that says so", err)
	}
}

func TestEvents(t *testing.T) { everywhere(t, testEvents) }

func testEvents(t *testing.T, in place) {
	l := newLab(t, in)
	l.settings["CLB_IDS"] = "lb-byhpduqt"
	// The sample of the API's document.
	l.cloud.Bind(region, "lb-byhpduqt", cloud.Instance{ID: "ins-9o9ex9s0", Name: "test_k8s_1",
		LanIP:  "10.104.222.152",
		WanIPs: []string{"193.112.93.144"}, Status: 4, Weight: 44})
	f := l.start()
	for _, event := range []string{"{}", "null", `"report"`, `{"action":"report"}`,
		`{"action":"report","since":"7d"}`, "",
		`{"key1":"test value 1","key2":"test value 2"}`} { // the last is what the console's Test button sends
		before := len(l.slack.Messages())
		out, err := l.invoke(f, event)
		if err != nil {
			t.Errorf("event %q: %v", event, err)
			continue
		}
		for _, want := range []string{"ins-9o9ex9s0", "test_k8s_1", "10.104.222.152", `"status":4`,
			`"weight":44`, "lb-byhpduqt", "193.112.93.144"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("event %q: the answer %s has no %s", event, out, want)
			}
		}
		m := l.slack.Messages()
		if len(m) != before+1 || !strings.Contains(strings.Join(strs(t, m[before].Raw), "\n"), "test_k8s_1") {
			t.Errorf("event %q: %d messages, want one report with test_k8s_1", event, len(m)-before)
		}
	}
	before := len(l.slack.Messages())
	calls := l.cloud.Calls() + l.cloud.CallsV3()
	for _, event := range []string{
		`{"action":"nonsense"}`, `{"action":"Tick"}`, `{"action":7}`, `{"actoin":"report"}`, `"nonsense"`,
		`{"key1":"x","key3":"y"}`, `[]`, `[{"action":"tick"}]`, "7", "true", "{",
		`{"Records":[{"cos":{}}]}`,
		`{"action":"report","since":"tomorrow"}`, `{"Type":"Timer","Message":"{\"action\":\"nonsense\"}"}`,
	} {
		out, err := l.invoke(f, event)
		if err == nil || strings.Contains(event, "since") == strings.Contains(err.Error(),
			`"check", "report", "silence", "test" or "tick"`) {
			t.Errorf("event %s = %s, %v, want an error that lists the actions", event, out, err)
		}
	}
	if s := l.stateText(); s != "" || len(l.slack.Messages()) != before ||
		l.cloud.Calls()+l.cloud.CallsV3() != calls {
		t.Errorf("reports and wrong events left state: %q, or wrong events posted or asked something", s)
	}
	if _, err := l.invoke(f, `{"action":"test"}`); err != nil || len(l.slack.Messages()) != before+1 {
		t.Errorf("a test message: %v, %d messages, want one", err, len(l.slack.Messages())-before)
	}
	if out, err := l.invoke(f, `{"action":"check"}`); err != nil ||
		!strings.Contains(string(out), `"Slack"`) || len(l.slack.Messages()) != before+1 {
		t.Errorf("a check = %s, %v, want what it found, and nothing posted", out, err)
	}
	if out, err := l.invoke(f, `{"action":"tick"}`); err != nil ||
		string(out) != `{"clbs":1,"read":1,"unreadable":0,"changes":0,"sent":1,"pending":0}` {
		t.Errorf("a tick by hand = %s, %v", out, err)
	}
	weekly := `{"Type":"Timer","Message":"{\"action\":\"report\",\"since\":\"7d\"}"}`
	if _, err := l.invoke(f, weekly); err != nil || len(l.slack.Messages()) != before+3 {
		t.Errorf("a timer that asks for a report: %v, %d messages, want the third", err,
			len(l.slack.Messages())-before)
	}
	for _, line := range f.Logs() {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil || v["msg"] == nil || v["level"] == nil {
			t.Errorf("a log line that is not one JSON object: %s", line)
		}
	}
}
