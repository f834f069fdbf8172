package account

import (
	"fmt"
	"strings"
	"testing"
)

func TestTriggers(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.Polls = 0
	a.newFunction(t)
	const cron, url = "0 * * * * * *",
		`{"AuthType":"NONE","NetConfig":{"EnableIntranet":false,"EnableExtranet":true}}`
	trigger := func(kind, name, desc string, pairs ...any) string {
		return jsonOf(append([]any{"FunctionName", "fn", "Type", kind, "TriggerName", name, "TriggerDesc",
			desc},
			pairs...)...)
	}
	which := func(kind, name string, pairs ...any) string {
		return jsonOf(append([]any{"FunctionName", "fn", "Type", kind, "TriggerName", name}, pairs...)...)
	}
	const desc = "InvalidParameterValue.TriggerDesc"
	for _, step := range []struct{ name, action, body, want string }{
		{"another type", "CreateTrigger", trigger("apigw", "x", "{}"), "InvalidParameterValue.Type"},
		{"no description", "CreateTrigger", which("timer", "x"), desc},
		{"five fields", "CreateTrigger", trigger("timer", "x", "*/5 * * * *"), desc},
		{"an odd object", "CreateTrigger", trigger("timer", "x", `{"cron":1}`), desc},
		{"an odd name", "CreateTrigger", trigger("timer", "a b", cron), "InvalidParameterValue.TriggerName"},
		{"neither open nor closed", "CreateTrigger", trigger("timer", "x", cron, "Enable", "true"),
			"InvalidParameterValue.Enable"},
		{"a version that is not", "CreateTrigger", trigger("timer", "x", cron, "Qualifier", "7"),
			"ResourceNotFound.Qualifier"},
		{"a long argument", "CreateTrigger", trigger("timer", "x", cron, "CustomArgument",
			strings.Repeat("x", 4097)), "InvalidParameterValue.CustomArgument"},
		{"an argument of a URL", "CreateTrigger", trigger("http", "x", url, "CustomArgument", "x"),
			"InvalidParameterValue.CustomArgument"},
		{"a URL for strangers only by half", "CreateTrigger", trigger("http", "x", `{"AuthType":"NONE"}`),
			desc},
		{"a URL for whom", "CreateTrigger", trigger("http", "x", strings.Replace(url, "NONE", "ALL", 1)),
			desc},
		{"a URL with more", "CreateTrigger", trigger("http", "x", strings.Replace(url, "{", `{"X":1,`, 1)),
			desc},
		{"a timer", "CreateTrigger", trigger("timer", "tick", cron, "Enable", "OPEN", "Qualifier", "$DEFAULT",
			"CustomArgument", `{"action":"report"}`), ""},
		{"the same again", "CreateTrigger", trigger("timer", "tick", cron), "ResourceInUse.Trigger"},
		{"closed if it is not said", "CreateTrigger", trigger("timer", "closed", `{"cron":"`+cron+`"}`), ""},
		{"a URL", "CreateTrigger", trigger("http", "url", url, "Enable", "OPEN", "Qualifier", "$DEFAULT"),
			""},
		{"a second one", "CreateTrigger", trigger("http", "url2", url, "Qualifier", "$DEFAULT"),
			"ResourceInUse.Trigger"},
		{"another version's", "UpdateTrigger", which("timer", "tick", "Enable", "CLOSE"),
			"ResourceNotFound.Trigger"},
		{"a bad change", "UpdateTrigger", trigger("timer", "tick", "x", "Enable", "CLOSE", "Qualifier",
			"$DEFAULT"),
			desc},
		{"a change", "UpdateTrigger", trigger("timer", "tick", "0 */5 * * * * *", "Qualifier", "$DEFAULT"),
			""},
		{"none of that name", "DeleteTrigger", which("timer", "none"), "ResourceNotFound.Trigger"},
		{"none of that type", "DeleteTrigger", which("http", "closed"), "ResourceNotFound.Trigger"},
		{"delete", "DeleteTrigger", which("timer", "closed"), ""},
		{"delete again", "DeleteTrigger", which("timer", "closed"), "ResourceNotFound.Trigger"},
	} {
		if got := a.ask(t, "scf", step.action, step.body); got.code != step.want {
			t.Errorf("%s: %s, want %s", step.name, got.raw, step.want)
		}
	}
	got := a.must(t, "scf", "ListTriggers", `{"FunctionName":"fn"}`)
	for path, want := range map[string]string{"TotalCount": "2",
		"Triggers.0.TriggerName": `"tick"`, "Triggers.0.Enable": "1", "Triggers.0.Qualifier": `"$DEFAULT"`,
		"Triggers.0.TriggerDesc":    `"{\"cron\":\"0 */5 * * * * *\"}"`,
		"Triggers.0.CustomArgument": `"{\"action\":\"report\"}"`,
		"Triggers.1.TriggerName":    `"url"`, "Triggers.1.Type": `"http"`, "Triggers.2": "null"} {
		if is := got.get(path); is != want && (path != "Triggers.2" || is != "none") {
			t.Errorf("%s is %s, want %s", path, is, want)
		}
	}
	if is := got.get("Triggers.1.TriggerDesc"); !strings.Contains(is,
		`\"ExtranetUrl\":\"https://1250000000-`) ||
		!strings.Contains(is, ".ap-guangzhou.tencentscf.com") {
		t.Errorf("the URL is described as %s", is)
	}
	const inside = `{"AuthType":"CAM","NetConfig":{"EnableIntranet":true,"EnableExtranet":false}}`
	if is, err := urlDesc(inside, "host"); err != nil || !strings.Contains(is, "IntranetUrl") ||
		strings.Contains(is, "ExtranetUrl") {
		t.Errorf("a URL for the inside is described as %s, %v", is, err)
	}
	first := a.must(t, "scf", "ListTriggers", `{"FunctionName":"fn","Limit":1,"Order":"ASC"}`)
	if first.get("Triggers.0.TriggerName") != `"url"` || first.get("Triggers.1") != "none" {
		t.Errorf("the first is %s", first.raw)
	}
	for i := range maxTriggers - 1 {
		a.must(t, "scf", "CreateTrigger", trigger("timer", fmt.Sprintf("t%d", i), cron))
	}
	if got := a.ask(t, "scf", "CreateTrigger", trigger("timer", "more",
		cron)); got.code != "LimitExceeded.Trigger" {
		t.Errorf("an eleventh: %s", got.raw)
	}
}

func TestCron(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expression string
		want       bool
	}{
		{"0 * * * * * *", true}, {"*/5 * * * * * *", true}, {"0 0 9 * * MON-FRI *", true},
		{"0 0 9 L * ? *", true}, {"0 0 9 15W * * *", true}, {"0 0 9 * * 5#3 *", true}, {"0 0 9 * * fri *",
			true},
		{"0,30 1-5 1/10 * JAN,DEC * 2026-2030", true}, {"0 0 0 * * 5L *", true},
		{"", false}, {"* * * * *", false}, {"0 * * * * *", false}, {"0 * * * * * * *", false},
		{"60 * * * * * *", false}, {"0 0 24 * * * *", false}, {"0 0 0 0 * * *", false}, {"0 0 0 * 13 * *",
			false},
		{"0 0 0 * * 7 *", false}, {"0 0 0 * * * 1969", false}, {"0 5-1 * * * * *", false}, {"/5 * * * * * *",
			false},
		{"5/ * * * * * *", false}, {"*/0 * * * * * *", false}, {"0 0 ? * * * *", false}, {"0 0 0 * * 5#6 *",
			false},
		{"0 0 0 * MOON * *", false}, {"-1 * * * * * *", false}, {"+1 * * * * * *", false}, {"1,, * * * * * *",
			false},
	} {
		if got := isCron(test.expression); got != test.want {
			t.Errorf("isCron(%q) = %v, want %v", test.expression, got, test.want)
		}
	}
}
