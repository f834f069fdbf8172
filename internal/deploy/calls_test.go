package deploy_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"clbwatch/internal/sandbox/account"
)

var callsFlag = flag.String("calls", "", "a file for all calls that are made, for tools/deploy-check")

// TestCallsAreOnesOfTheAPI makes every call that there is, none of which the account refuses for its form,
// and writes them down to be held against Tencent's SDKs.
func TestCallsAreOnesOfTheAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mustDeploy()
	s.functions[0].Settings["TZ"], s.code = "UTC", s.pack("two")
	s.functions[0].Code = s.code
	s.account.Fail("CreateFunction", account.Refuse(), 1)
	s.mustDeploy()
	for _, change := range []struct {
		service, action string
		params          map[string]any
	}{ // by somebody else
		{"cam", "UpdatePolicy", map[string]any{"PolicyName": "clbwatch-clb-read",
			"PolicyDocument": allCLB}},
		{"scf", "UpdateTrigger", map[string]any{"FunctionName": "clbwatch", "TriggerName": "every-minute",
			"Type": "timer", "TriggerDesc": "0 */5 * * * * *", "Enable": "OPEN", "Qualifier": "$DEFAULT"}},
	} {
		err := s.deployer(false).API.Call(t.Context(), change.service, change.action, change.params)
		if err != nil {
			t.Fatal(err)
		}
	}
	if out := s.mustDeploy(); !strings.Contains(out, "updated  policy clbwatch-clb-read") ||
		!strings.Contains(out, "updated  timer of function clbwatch") {
		t.Errorf("what somebody else changed is not put right:\n%s", out)
	}
	if out, _, err := s.remove(false); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seen := make(map[string]bool)
	var lines []byte
	for _, c := range s.account.Calls() {
		if strings.HasPrefix(c.Code, "InvalidParameter.Param") || strings.HasPrefix(c.Code, "MissingParameter") ||
			strings.HasPrefix(c.Code, "UnknownParameter") || strings.HasPrefix(c.Code, "InvalidParameterValue") {
			t.Errorf("%s:%s is refused for its form: %s: %s", c.Service, c.Action, c.Code, c.Body)
		}
		seen[c.Action] = true
		line, err := json.Marshal(map[string]any{"service": c.Service, "action": c.Action,
			"request": json.RawMessage(c.Body)})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if len(seen) < 25 {
		t.Errorf("only %d kinds of calls were made: %v", len(seen), seen)
	}
	if *callsFlag == "" {
		return
	}
	if err := os.WriteFile(*callsFlag, lines, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPoliciesAreThoseOfTheFiles holds that people who make the role by hand give it the same.
func TestPoliciesAreThoseOfTheFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mustDeploy()
	made := make(map[string]string)
	for _, c := range s.account.Calls() {
		var p struct{ PolicyName, PolicyDocument string }
		if c.Action == "CreatePolicy" && json.Unmarshal([]byte(c.Body), &p) == nil {
			made[p.PolicyName] = p.PolicyDocument
		}
	}
	for name, file := range map[string]string{
		"clbwatch-clb-read":  "clb-read.json",
		"clbwatch-cos-state": "cos-state.json",
	} {
		text, err := os.ReadFile("../../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		filled := strings.NewReplacer("REGION", region, "APPID", "1250000000", "BUCKET", bucket,
			"PREFIX", "prod").Replace(string(text))
		var is, want any
		if err := json.Unmarshal([]byte(filled), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(made[name]), &is); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, _ := json.Marshal(is) // both were read from JSON
		wanted, _ := json.Marshal(want)
		if string(got) != string(wanted) {
			t.Errorf("%s is\n%s\nand %s says\n%s", name, got, file, wanted)
		}
	}
}
