package account

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFunctionsAreChecked(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "vm", "PolicyDocument", trustCVM))
	env := func(pairs ...string) map[string]any {
		list := []map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, map[string]string{"Key": pairs[i], "Value": pairs[i+1]})
		}
		return map[string]any{"Variables": list}
	}
	code := func(pairs ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	good := zipOf(t, "main", 0o755, []byte("x"))
	for _, test := range []struct {
		name  string
		pairs []any
		want  string
	}{
		{"a name of one letter", []any{"FunctionName", "f"}, "InvalidParameterValue.FunctionName"},
		{"a name that ends in a hyphen", []any{"FunctionName", "f-"}, "InvalidParameterValue.FunctionName"},
		{"a name of 61 letters", []any{"FunctionName", strings.Repeat("f", 61)},
			"InvalidParameterValue.FunctionName"},
		{"another namespace", []any{"Namespace", "prod"}, "ResourceNotFound.Namespace"},
		{"a web function", []any{"Type", "HTTP"}, "InvalidParameterValue.Type"},
		{"another runtime", []any{"Runtime", "Go1.x"}, "InvalidParameterValue.Runtime"},
		{"a memory between steps", []any{"MemorySize", 192}, "InvalidParameterValue.MemorySize"},
		{"too much memory", []any{"MemorySize", 3200}, "InvalidParameterValue.MemorySize"},
		{"no time", []any{"Timeout", 0}, "LimitExceeded.Timeout"},
		{"too much time", []any{"Timeout", 901}, "LimitExceeded.Timeout"},
		{"too little time to start", []any{"InitTimeout", 2}, "LimitExceeded.InitTimeout"},
		{"a long description", []any{"Description", strings.Repeat("x", 1001)},
			"InvalidParameterValue.Description"},
		{"an empty setting", []any{"Environment", env("A", "")}, "InvalidParameterValue.Environment"},
		{"a setting twice", []any{"Environment", env("A", "1", "A", "2")},
			"InvalidParameterValue.Environment"},
		{"a setting with a hyphen", []any{"Environment", env("A-B", "1")},
			"InvalidParameterValue.Environment"},
		{"a setting of the platform's", []any{"Environment", env("TENCENTCLOUD_REGION", "1")},
			"InvalidParameterValue.EnvironmentSystemProtect"},
		{"4 KB of settings", []any{"Environment", env("A", strings.Repeat("x", 4096))},
			"InvalidParameterValue.EnvironmentExceededLimit"},
		{"settings that are no list", []any{"Environment", map[string]any{"Variables": "A=1"}},
			"InvalidParameter"},
		{"a setting without a value", []any{"Environment", map[string]any{"Variables": []map[string]string{
			{"Key": "A"}}}}, "MissingParameter"},
		{"no such role", []any{"Role", "none"}, "ResourceNotFound.Role"},
		{"a role of another service", []any{"Role", "vm"}, "ResourceNotFound.Role"},
		{"an odd network", []any{"PublicNetConfig", map[string]any{"PublicNetStatus": "ON"}},
			"InvalidParameterValue.PublicNetConfig"},
		{"a fixed address", []any{"PublicNetConfig", map[string]any{"PublicNetStatus": "ENABLE",
			"EipConfig": map[string]any{"EipStatus": "ENABLE"}}}, "InvalidParameterValue.EipConfig"},
		{"no code", []any{"Code", code()}, "MissingParameter.Code"},
		{"code twice", []any{"Code", code("ZipFile", good, "CosBucketName", "b")},
			"InvalidParameterValue.Code"},
		{"code from where it is not", []any{"CodeSource", "Cos"}, "InvalidParameterValue.CodeSource"},
		{"no base64", []any{"Code", code("ZipFile", "!!")},
			"InvalidParameterValue.ZipFileBase64BinasciiError"},
		{"no zip", []any{"Code", code("ZipFile", base64.StdEncoding.EncodeToString([]byte("x")))},
			"InvalidParameterValue.ZipFile"},
		{"a zip that leaves its folder", []any{"Code", code("ZipFile", zipOf(t, "../main", 0o755, nil))},
			"InvalidParameterValue.ZipFile"},
		{"another file", []any{"Code", code("ZipFile", zipOf(t, "bootstrap", 0o755, nil))},
			"InvalidParameterValue.Handler"},
		{"a file that may not be executed", []any{"Code", code("ZipFile", zipOf(t, "main", 0o644, nil))},
			"InvalidParameterValue.Handler"},
		{"a bucket with its APPID", []any{"Code", code("CosBucketName", "b-1250000000", "CosObjectName",
			"/z")},
			"InvalidParameterValue.CosBucketName"},
		{"an object without a slash", []any{"Code", code("CosBucketName", "b", "CosObjectName", "z")},
			"InvalidParameterValue.CosObjectName"},
		{"no such object", []any{"Code", code("CosBucketName", "b", "CosObjectName", "/z")},
			"ResourceNotFound.CosObject"},
		{"what is not here", []any{"Layers", []any{}}, "UnknownParameter"},
	} {
		if got := a.ask(t, "scf", "CreateFunction", a.functionBody(t, test.pairs...)); got.code != test.want {
			t.Errorf("%s: %s, want %s", test.name, got.raw, test.want)
		}
	}
	if got := a.must(t, "scf", "ListFunctions", "").get("TotalCount"); got != "0" {
		t.Errorf("%s functions were made by what was refused", got)
	}
}

func TestFunctionsOverTheirLife(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	const fn = `{"FunctionName":"fn"}`
	status := func() string { return a.must(t, "scf", "GetFunction", fn).get("Status") }
	refused := func(action, body, want string) {
		t.Helper()
		if got := a.ask(t, "scf", action, body); got.code != want {
			t.Errorf("%s: %s, want %s", action, got.raw, want)
		}
	}
	refused("GetFunction", fn, "ResourceNotFound.Function")
	refused("UpdateFunctionCode", fn, "ResourceNotFound.Function")
	refused("DeleteFunction", fn, "ResourceNotFound.Function")
	a.must(t, "scf", "CreateFunction", a.functionBody(t))

	timer := jsonOf("FunctionName", "fn", "TriggerName", "t", "Type", "timer", "TriggerDesc", "0 * * * * * *")
	newCode := jsonOf("FunctionName", "fn", "ZipFile", zipOf(t, "main", 0o755, []byte("y")))
	for _, busy := range []struct{ action, body, want string }{
		{"CreateFunction", a.functionBody(t), "ResourceInUse.Function"},
		{"UpdateFunctionCode", newCode, "FailedOperation.UpdateFunctionCode"},
		{"UpdateFunctionConfiguration", fn, "FailedOperation.UpdateFunctionConfiguration"},
		{"DeleteFunction", fn, "FailedOperation.DeleteFunction"},
		{"CreateTrigger", timer, "FailedOperation.CreateTrigger"},
		{"UpdateTrigger", timer, "FailedOperation.UpdateTrigger"},
		{"DeleteTrigger", `{"FunctionName":"fn","TriggerName":"t","Type":"timer"}`,
			"FailedOperation.DeleteTrigger"},
		{"Invoke", fn, "FailedOperation.FunctionStatusError"},
		{"PutReservedConcurrencyConfig", `{"FunctionName":"fn","ReservedConcurrencyMem":128}`, notActive},
		{"UpdateFunctionEventInvokeConfig", `{"FunctionName":"fn","AsyncTriggerConfig":{"MsgTTL":120,` +
			`"RetryConfig":[{"RetryNum":0}]}}`, notActive},
	} {
		refused(busy.action, busy.body, busy.want)
	}
	if got := []string{status(), status(), status()}; !slices.Equal(got,
		[]string{`"Creating"`, `"Creating"`, `"Active"`}) {
		t.Errorf("a new function is %s", got)
	}
	was := a.must(t, "scf", "GetFunctionAddress", fn).get("CodeSha256")
	a.must(t, "scf", "UpdateFunctionCode", newCode)
	if got := []string{status(), status(), status()}; !slices.Equal(got,
		[]string{`"Updating"`, `"Updating"`, `"Active"`}) {
		t.Errorf("after new code it is %s", got)
	}
	if is := a.must(t, "scf", "GetFunctionAddress", fn).get("CodeSha256"); is == was || len(is) != 66 {
		t.Errorf("the digest of the code went from %s to %s", was, is)
	}

	// what is left out stays
	a.must(t, "scf", "UpdateFunctionConfiguration", `{"FunctionName":"fn","Timeout":50,"Description":"d"}`)
	a.await(t, "fn")
	got := a.must(t, "scf", "GetFunction", fn)
	for path, want := range map[string]string{"Timeout": "50", "MemorySize": "128", "Role": `"fn"`,
		"Description": `"d"`, "Handler": `"main"`, "Runtime": `"Go1"`, "Namespace": `"default"`,
		"Environment.Variables.0.Key": `"SETTING"`, "PublicNetConfig.PublicNetStatus": `"ENABLE"`} {
		if got.get(path) != want {
			t.Errorf("%s is %s, want %s", path, got.get(path), want)
		}
	}
	a.must(t, "scf", "UpdateFunctionConfiguration", `{"FunctionName":"fn","Environment":{"Variables":[]}}`)
	a.await(t, "fn")
	if got := a.must(t, "scf", "GetFunction", fn).get("Environment.Variables"); got != "[]" {
		t.Errorf("the settings are %s, want none", got)
	}
	refused("UpdateFunctionConfiguration", `{"FunctionName":"fn","Runtime":"Python3.9"}`,
		"InvalidParameterValue.Runtime")
	refused("UpdateFunctionCode", fn, "InvalidParameterValue.Code")
	refused("UpdateFunctionCode", jsonOf("FunctionName", "fn", "Handler", "other", "ZipFile",
		zipOf(t, "main", 0o755, nil)), "InvalidParameterValue.Handler")
	refused("GetFunction", `{"FunctionName":"fn","Qualifier":"3"}`, "ResourceNotFound.Version")
	if got := status(); got != `"Active"` {
		t.Errorf("what was refused left it %s", got)
	}
	a.must(t, "scf", "DeleteFunction", fn)
	refused("GetFunction", fn, "ResourceNotFound.Function")
}

func TestAChangeFailsLater(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.Polls = 1
	a.newFunction(t)
	const fn = `{"FunctionName":"fn"}`
	a.Fail("UpdateFunctionConfiguration", Breaks(), 1)
	a.must(t, "scf", "UpdateFunctionConfiguration", fn)
	a.must(t, "scf", "GetFunction", fn)
	if got := a.must(t, "scf", "GetFunction", fn); got.get("Status") != `"UpdateFailed"` ||
		got.get("StatusReasons.0.ErrorCode") == "none" {
		t.Errorf("%s, want UpdateFailed with a reason", got.raw)
	}
	a.must(t, "scf", "UpdateFunctionConfiguration", fn) // it can be tried again
	a.await(t, "fn")
	if got := a.must(t, "scf", "GetFunction", fn).get("StatusReasons"); got != "[]" {
		t.Errorf("active, it has the reasons %s", got)
	}
	a.Fail("CreateFunction", Breaks(), 1)
	a.must(t, "scf", "CreateFunction", a.functionBody(t, "FunctionName", "fn2"))
	a.must(t, "scf", "GetFunction", `{"FunctionName":"fn2"}`)
	if got := a.must(t, "scf", "GetFunction",
		`{"FunctionName":"fn2"}`).get("Status"); got != `"CreateFailed"` {
		t.Errorf("%s, want CreateFailed", got)
	}
	if got := a.ask(t, "scf", "UpdateFunctionConfiguration", `{"FunctionName":"fn2"}`); got.code !=
		"FailedOperation.UpdateFunctionConfiguration" {
		t.Errorf("a function that was never made is updated: %s", got.raw)
	}
	a.must(t, "scf", "DeleteFunction", `{"FunctionName":"fn2"}`)
}

func TestCodeFromCOS(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	content, err := base64.StdEncoding.DecodeString(zipOf(t, "main", 0o755, []byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	a.Object = func(bucket, region, key string) ([]byte, bool) {
		asked = append(asked, bucket+" "+region+" "+key)
		return content, key == "code/fn.zip"
	}
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	a.must(t, "scf", "CreateFunction", a.functionBody(t, "Code", map[string]string{"CosBucketName": "ops",
		"CosObjectName": "/code/fn.zip"}, "CodeSource", "Cos"))
	a.await(t, "fn")
	a.must(t, "scf", "UpdateFunctionCode", jsonOf("FunctionName", "fn", "CosBucketName", "ops",
		"CosObjectName",
		"/code/fn.zip", "CosBucketRegion", "ap-shanghai"))
	want := []string{"ops-1250000000 ap-guangzhou code/fn.zip", "ops-1250000000 ap-shanghai code/fn.zip"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

func TestCodeIsOfABoundedSize(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.newFunction(t)
	a.Object = func(string, string, string) ([]byte, bool) { return make([]byte, maxUpdateZip+1), true }
	got := a.ask(t, "scf", "UpdateFunctionCode",
		`{"FunctionName":"fn","CosBucketName":"b","CosObjectName":"/z"}`)
	if got.code != "InvalidParameterValue.ZipFile" || !strings.Contains(got.raw, "20971521 bytes") {
		t.Errorf("20 MB and a byte: %s", got.raw)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_, err := w.CreateRaw(&zip.FileHeader{Name: "main", UncompressedSize64: maxUnpacked + 1})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	a.Object = func(string, string, string) ([]byte, bool) { return b.Bytes(), true }
	got = a.ask(t, "scf", "UpdateFunctionCode",
		`{"FunctionName":"fn","CosBucketName":"b","CosObjectName":"/z"}`)
	if got.code != "InvalidParameterValue.ZipFile" || !strings.Contains(got.raw, "unpacks to") {
		t.Errorf("500 MB unpacked and a byte: %s", got.raw)
	}
}

func TestListsAreInPages(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.Polls = 0
	a.must(t, "cam", "CreateRole", jsonOf("RoleName", "fn", "PolicyDocument", trustSCF))
	for i := range 21 {
		a.must(t, "scf", "CreateFunction", a.functionBody(t, "FunctionName", fmt.Sprintf("fn%02d", i)))
	}
	for body, want := range map[string]string{
		"{}": `21 "fn00" "fn19" none`, `{"Offset":20}`: `21 "fn20" none none`,
		`{"Limit":100}`: `21 "fn00" "fn19" "fn20"`, `{"Order":"DESC"}`: `21 "fn20" "fn01" none`,
		`{"SearchKey":"N07"}`: `1 "fn07" none none`, `{"Offset":99}`: "21 none none none",
	} {
		got := a.must(t, "scf", "ListFunctions", body)
		if is := strings.Join([]string{got.get("TotalCount"), got.get("Functions.0.FunctionName"),
			got.get("Functions.19.FunctionName"), got.get("Functions.20.FunctionName")}, " "); is != want {
			t.Errorf("ListFunctions %s = %s, want %s", body, is, want)
		}
	}
	for body, want := range map[string]string{`{"Limit":0}`: "InvalidParameterValue.Limit",
		`{"Offset":-1}`:      "InvalidParameterValue.Offset",
		`{"Orderby":"Size"}`: "InvalidParameterValue.Order"} {
		if got := a.ask(t, "scf", "ListFunctions", body); got.code != want {
			t.Errorf("ListFunctions %s = %s, want %s", body, got, want)
		}
	}
	got, err := a.do(t.Context(), call{action: "ListFunctions",
		header: map[string]string{"X-TC-Region": "ap-shanghai"}})
	if err != nil || got.get("TotalCount") != "0" {
		t.Errorf("another region has %s, %v", got.raw, err)
	}
}

func TestReservations(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.Polls, a.Quota = 0, 12_800+256
	a.newFunction(t)
	a.must(t, "scf", "CreateFunction", a.functionBody(t, "FunctionName", "fn2"))
	for _, step := range []struct{ action, name, mem, want string }{
		{"Get", "fn", "", "null"}, {"Put", "fn", "128", ""}, {"Get", "fn", "", "128"},
		{"Put", "fn2", "256", "LimitExceeded.FunctionReservedConcurrencyMemory"}, {"Put", "fn2", "128", ""},
		{"Put", "fn", "0", ""}, {"Get", "fn", "", "0"}, {"Put", "fn", "-1", "InvalidParameterValue"},
		{"Delete", "fn2", "", ""}, {"Get", "fn2", "", "null"}, {"Put", "fn", "256", ""},
		{"Put", "fn", "128", ""},
		{"Put", "none", "128", "ResourceNotFound.Function"}, {"Get", "none", "", "ResourceNotFound.Function"},
	} {
		body := `{"FunctionName":"` + step.name + `"}`
		if step.mem != "" {
			body = `{"FunctionName":"` + step.name + `","ReservedConcurrencyMem":` + step.mem + `}`
		}
		got := a.ask(t, "scf", step.action+"ReservedConcurrencyConfig", body)
		is := got.code
		if step.action == "Get" && is == "" {
			is = got.get("ReservedMem")
		}
		if is != step.want {
			t.Errorf("%s %s %s = %s, want %s", step.action, step.name, step.mem, got.raw, step.want)
		}
	}
}

func TestAsynchronousRetries(t *testing.T) {
	t.Parallel()
	a := newAccountTest(t)
	a.Polls = 0
	a.newFunction(t)
	const get = "GetFunctionEventInvokeConfig"
	config := func(retries, ttl int) string {
		return fmt.Sprintf(`{"FunctionName":"fn","AsyncTriggerConfig":{"RetryConfig":[{"RetryNum":%d}],`+
			`"MsgTTL":%d}}`, retries, ttl)
	}
	if got := a.must(t, "scf", get, `{"FunctionName":"fn"}`).get("AsyncTriggerConfig"); got !=
		`{"MsgTTL":21600,"RetryConfig":[{"RetryNum":2}]}` {
		t.Errorf("by default %s", got)
	}
	for body, want := range map[string]string{config(3, 120): "LimitExceeded.RetryNum",
		config(0, 59): "LimitExceeded.MsgTTL",
		`{"FunctionName":"fn","AsyncTriggerConfig":{"RetryConfig":[],` +
			`"MsgTTL":60}}`: "InvalidParameterValue.AsyncTriggerConfig", config(0, 120): ""} {
		if got := a.ask(t, "scf", "UpdateFunctionEventInvokeConfig", body); got.code != want {
			t.Errorf("%s = %s, want %s", body, got.raw, want)
		}
	}
	if got := a.must(t, "scf", get, `{"FunctionName":"fn"}`).get("AsyncTriggerConfig"); got !=
		`{"MsgTTL":120,"RetryConfig":[{"RetryNum":0}]}` {
		t.Errorf("it is %s", got)
	}
}
