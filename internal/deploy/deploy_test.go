package deploy_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/advice"
	"clbwatch/internal/deploy"
	"clbwatch/internal/sandbox/account"
	"clbwatch/internal/sandbox/cos"
)

const (
	region = "ap-guangzhou"
	bucket = "clbwatch-1250000000"
)

// site is an account and a bucket's service, and what is deployed there.
type site struct {
	t         *testing.T
	account   *account.Account
	buckets   *cos.Service
	api, cos  *url.URL
	keys      deploy.Keys
	code      deploy.Code
	functions []deploy.Function
	answer    string // of the function's check
	invoked   []string
	out       bytes.Buffer
	slept     time.Duration
}

const wellAnswer = `[{"name":"settings","ok":true,"found":"x"},{"name":"Slack","ok":true,"found":"y"}]`

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, account: account.New(), answer: wellAnswer}
	s.buckets = cos.NewService(s.account.Credential)
	cr := s.account.Issue()
	s.keys = deploy.Keys{SecretID: cr.SecretID, SecretKey: cr.SecretKey}
	s.account.Object = func(name, _, key string) ([]byte, bool) {
		return s.buckets.Bucket(name).Get(strings.TrimPrefix(key, "/"))
	}
	s.account.Run = func(_ context.Context, d account.Deployment, event []byte) account.Outcome {
		s.invoked = append(s.invoked, d.Name+" "+string(event))
		return account.Outcome{Payload: []byte(s.answer)}
	}
	serve := func(h http.Handler) *url.URL {
		server := httptest.NewServer(h)
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	s.api, s.cos = serve(s.account), serve(s.buckets.At(bucket, region))
	t.Cleanup(func() {
		if err := s.account.Close(); err != nil {
			t.Error(err)
		}
	})
	s.code = s.pack("one")
	s.functions = []deploy.Function{s.function(), s.talks()}
	return s
}

// pack is the zip of a program, as a file has it.
func (s *site) pack(content string) deploy.Code {
	s.t.Helper()
	var b bytes.Buffer
	if err := deploy.Pack(&b, deploy.File{Name: "main", Mode: 0o755, Content: []byte(content)}); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "x.zip")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	c, err := deploy.ReadZip(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) function() deploy.Function {
	return deploy.Function{Name: "clbwatch", Memory: 128, Code: s.code, Version: "v1",
		Settings: map[string]string{
			"CLB_IDS": "lb-1=web", "SLACK_BOT_TOKEN": "xoxb-hunter2", "SLACK_CHANNEL": "C1", "EMPTY": ""}}
}

func (s *site) talks() deploy.Function {
	return deploy.Function{Name: "clbwatch-slack", Answers: true, Memory: 128, Code: s.code, Version: "v1",
		Settings: map[string]string{"SLACK_CHANNEL": "C1"}}
}

// allCLB is a policy that clbwatch has no use for.
const allCLB = `{"version":"2.0","statement":[{"effect":"allow","action":["name/clb:*"],"resource":["*"]}]}`

func (s *site) deployer(dry bool) *deploy.Deployer {
	return &deploy.Deployer{
		API: &deploy.API{Keys: s.keys, Region: region, Base: s.api, HTTP: http.DefaultTransport},
		Bucket: deploy.Bucket{Name: bucket, Region: region, Prefix: "prod", Endpoint: s.cos, Keys: s.keys,
			HTTP: http.DefaultTransport},
		Secrets: []string{"SLACK_BOT_TOKEN"}, Out: &s.out, DryRun: dry,
		Sleep: func(ctx context.Context, d time.Duration) error { s.slept += d; return ctx.Err() },
	}
}

// deploy deploys, and returns what was printed and how many calls wrote.
func (s *site) deploy(dry bool) (out string, writes int, err error) {
	s.t.Helper()
	return s.do(func(d *deploy.Deployer) error { return d.Deploy(s.t.Context(), s.functions...) }, dry)
}

func (s *site) remove(dry bool) (out string, writes int, err error) {
	s.t.Helper()
	return s.do(func(d *deploy.Deployer) error { return d.Remove(s.t.Context(), s.functions...) }, dry)
}

func (s *site) do(run func(*deploy.Deployer) error, dry bool) (out string, writes int, err error) {
	s.t.Helper()
	s.out.Reset()
	s.invoked = nil
	before := s.writes()
	err = run(s.deployer(dry))
	return s.out.String(), s.writes() - before, err
}

// writes are the calls until now that change something, but for invocations of the function's check.
func (s *site) writes() (n int) {
	for _, c := range s.account.Writes() {
		if c.Action != "Invoke" {
			n++
		}
	}
	for op, times := range s.buckets.Bucket(bucket).Requests() {
		if strings.HasPrefix(op, "PUT") || strings.HasPrefix(op, "DELETE") {
			n += times
		}
	}
	return n
}

// mustDeploy deploys, which must succeed.
func (s *site) mustDeploy() string {
	s.t.Helper()
	out, _, err := s.deploy(false)
	if err != nil {
		s.t.Fatalf("%v, after\n%s", err, out)
	}
	return out
}

func TestDeployFromNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const want = `account 100000000001, region ap-guangzhou
created  bucket clbwatch-1250000000 in ap-guangzhou
created  role clbwatch
created  policy clbwatch-clb-read
attached policy clbwatch-clb-read of the role clbwatch
created  policy clbwatch-cos-state
attached policy clbwatch-cos-state of the role clbwatch
created  function clbwatch in ap-guangzhou
set      retries and waiting of function clbwatch in ap-guangzhou
set      reservation of function clbwatch in ap-guangzhou
created  timer of function clbwatch in ap-guangzhou
created  role clbwatch-slack
created  policy clbwatch-slack-cos-state
attached policy clbwatch-slack-cos-state of the role clbwatch-slack
created  function clbwatch-slack in ap-guangzhou
set      reservation of function clbwatch-slack in ap-guangzhou
created  URL of function clbwatch-slack in ap-guangzhou
clbwatch has all that it needs: 2 checks from inside
a test message is in Slack; the first tick takes the baseline within a minute
clbwatch-slack answers Slack at https://`
	if got := s.mustDeploy(); !strings.HasPrefix(got, want) {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
	if want := []string{`clbwatch {"action":"check"}`, `clbwatch {"action":"test"}`}; fmt.Sprint(s.invoked) !=
		fmt.Sprint(want) {
		t.Errorf("invoked %q, want %q", s.invoked, want)
	}
	if left := s.buckets.Bucket(bucket).Keys("prod/code/"); len(left) > 0 {
		t.Errorf("the bucket still has the code: %q", left)
	}
	for _, c := range s.account.Calls() {
		if strings.Contains(c.Body, "EMPTY") {
			t.Errorf("a setting without a value is passed on: %s", c.Body)
		}
	}
	out, writes, err := s.deploy(false)
	if err != nil || writes != 0 || !strings.Contains(out, "\neverything is as it should be\n") {
		t.Errorf("the second run: %v, %d calls that write, prints\n%s\nwant none", err, writes, out)
	}
	if want := []string{`clbwatch {"action":"check"}`}; fmt.Sprint(s.invoked) != fmt.Sprint(want) {
		t.Errorf("the second run invokes %q, want %q: no second test message", s.invoked, want)
	}
}

// TestDryRunWritesNothing holds that a dry run makes no call that writes, and shows those that it would make,
// but no secret.
func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	out, writes, err := s.deploy(true)
	if err != nil || writes != 0 {
		t.Fatalf("%v, %d calls that write, prints\n%s\nwant none", err, writes, out)
	}
	for _, want := range []string{"would be created  bucket clbwatch-1250000000", "cos:PutBucket", "cam:CreateRole",
		"cam:AttachRolePolicy", "scf:CreateFunction", "scf:CreateTrigger", "scf:PutReservedConcurrencyConfig",
		`{"Key":"CLB_IDS","Value":"lb-1=web"}`, "16 changes would be made; nothing was changed"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") || len(s.invoked) > 0 {
		t.Errorf("a dry run shows a secret, or invokes %q:\n%s", s.invoked, out)
	}
	s.mustDeploy()
	if out, writes, err := s.deploy(true); err != nil || writes != 0 ||
		!strings.HasSuffix(out, "nothing would be changed\n") {
		t.Errorf("a dry run afterwards: %v, %d calls that write, prints\n%s", err, writes, out)
	}
	if out, writes, err := s.remove(true); err != nil || writes != 0 ||
		!strings.Contains(out, "would be deleted") {
		t.Errorf("a dry run of removing: %v, %d calls that write, prints\n%s", err, writes, out)
	}
}

// TestOnlyWhatDiffersIsChanged holds which calls a change of what is wanted takes.
func TestOnlyWhatDiffersIsChanged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(s *site)
		want   string
	}{
		"a setting": {func(s *site) { s.functions[0].Settings["TZ"] = "Asia/Shanghai" },
			"set      function clbwatch in ap-guangzhou\n"},
		"a setting less": {func(s *site) { delete(s.functions[0].Settings, "CLB_IDS") },
			"set      function clbwatch in ap-guangzhou\n"},
		"the memory": {func(s *site) { s.functions[0].Memory = 256 },
			"set      function clbwatch in ap-guangzhou\nset      reservation of function clbwatch in ap-guangzhou\n"},
		"the code": {func(s *site) {
			s.code = s.pack("two")
			s.functions[0].Code, s.functions[1].Code = s.code, s.code
		}, "updated  function clbwatch in ap-guangzhou\nset      function clbwatch in ap-guangzhou\n" +
			"updated  function clbwatch-slack in ap-guangzhou\nset      function clbwatch-slack in ap-guangzhou\n"},
		"the version": {func(s *site) { s.functions[0].Version = "v2" },
			"set      function clbwatch in ap-guangzhou\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.mustDeploy()
			tt.change(s)
			out := s.mustDeploy()
			_, changes, _ := strings.Cut(out, "\n")
			changes, _, _ = strings.Cut(changes, "clbwatch has all")
			if changes != tt.want {
				t.Errorf("it changes\n%s\nwant\n%s", changes, tt.want)
			}
			if out, writes, err := s.deploy(false); err != nil || writes != 0 {
				t.Errorf("the run after: %v, %d calls that write, prints\n%s", err, writes, out)
			}
		})
	}
}

// TestAnyCallMayFail lets each call of a deployment fail once in each way. Then either the run mends it, or
// the next one goes on, and in the end everything is as it should be.
func TestAnyCallMayFail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mustDeploy()
	var actions []string
	seen := make(map[string]bool)
	for _, c := range s.account.Calls() {
		if !seen[c.Action] {
			seen[c.Action], actions = true, append(actions, c.Action)
		}
	}
	if len(actions) < 15 {
		t.Fatalf("a deployment makes only %q", actions)
	}
	for _, action := range actions {
		for _, fault := range account.Faults() {
			t.Run(action+"/"+fault.String(), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.account.Fail(action, fault, 1)
				out, _, err := s.deploy(false)
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error has a secret: %v", err)
				}
				for tries := 0; err != nil && tries < 3; tries++ {
					out, _, err = s.deploy(false)
				}
				if err != nil {
					t.Fatalf("it never gets there: %v\n%s", err, out)
				}
				s.account.ClearFaults()
				if strings.Contains(out, "warning") { // it was done without what was refused: now it is made
					s.mustDeploy()
				}
				if out, writes, err := s.deploy(false); err != nil || writes != 0 {
					t.Errorf("afterwards it is not as it should be: %v, %d calls that write\n%s", err, writes, out)
				}
				n := 0
				for _, c := range s.account.Calls() {
					if c.Action == "CreateFunction" && c.Code == "" {
						n++
					}
				}
				if n > 2 {
					t.Errorf("the two functions were created %d times", n)
				}
			})
		}
	}
}

// TestRemoveLeavesTheState holds that all that was made goes, in order, and the bucket stays.
func TestRemoveLeavesTheState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mustDeploy()
	s.buckets.Bucket(bucket).Put("prod/head/1.json", []byte("x"))
	out, _, err := s.remove(false)
	const want = `account 100000000001, region ap-guangzhou
deleted  function clbwatch in ap-guangzhou
detached policy clbwatch-clb-read of the role clbwatch
deleted  policy clbwatch-clb-read
detached policy clbwatch-cos-state of the role clbwatch
deleted  policy clbwatch-cos-state
deleted  role clbwatch
deleted  function clbwatch-slack in ap-guangzhou
detached policy clbwatch-slack-cos-state of the role clbwatch-slack
deleted  policy clbwatch-slack-cos-state
deleted  role clbwatch-slack
the state is left in the bucket clbwatch-1250000000 below "prod": delete that in the console of COS if you ` +
		"need neither history nor open incidents any more\n"
	if err != nil || out != want {
		t.Errorf("%v, prints\n%s\nwant\n%s", err, out, want)
	}
	if _, ok := s.buckets.Bucket(bucket).Get("prod/head/1.json"); !ok {
		t.Error("the state is gone")
	}
	out, writes, err := s.remove(false)
	if err != nil || writes != 0 || !strings.Contains(out, "there was nothing to remove") {
		t.Errorf("once more: %v, %d calls that write, prints\n%s", err, writes, out)
	}
	s.mustDeploy()
}

// TestRoleOfOthersIsKept holds that a role to which somebody attached a policy is not deleted, and that a dry
// run says so.
func TestRoleOfOthersIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mustDeploy()
	api := s.deployer(false).API
	if err := errors.Join(
		api.Call(t.Context(), "cam", "CreatePolicy", map[string]any{"PolicyName": "theirs",
			"PolicyDocument": allCLB}),
		api.Call(t.Context(), "cam", "AttachRolePolicy", map[string]any{"PolicyName": "theirs",
			"AttachRoleName": "clbwatch"}),
	); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		_, _, err := s.remove(dry)
		if err == nil || !strings.Contains(err.Error(), "role clbwatch: it is kept") {
			t.Errorf("Remove (dry run: %v) = %v, want that the role is kept", dry, err)
		}
	}
}

// TestWhatIsNotAllowed holds what comes of a permission that is missing: a warning with the consequence where
// it can be done without, else an error with advice.
func TestWhatIsNotAllowed(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{
		"PutReservedConcurrencyConfig":    "warning  reservation of function clbwatch",
		"UpdateFunctionEventInvokeConfig": "warning  retries and waiting of function clbwatch",
		"CreateRole":                      "",
		"CreateFunction":                  "",
		"CreateTrigger":                   "",
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.account.Fail(action, account.Refuse(), -1)
			out, _, err := s.deploy(false)
			if want != "" {
				if err != nil || !strings.Contains(out, want) || !strings.Contains(out, "works without") &&
					!strings.Contains(out, "does no harm") {
					t.Errorf("%v, prints\n%s\nwant %q, and what it is like without", err, out, want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "UnauthorizedOperation") ||
				!strings.Contains(advice.Of(err), action) {
				t.Errorf("%v (%s), want that %s is not allowed, and what to do", err, advice.Of(err), action)
			}
		})
	}
}

// TestReservationBeyondTheQuota holds that an account that is too small gets a warning.
func TestReservationBeyondTheQuota(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.account.Quota = 12_800
	out, _, err := s.deploy(false)
	if err != nil || strings.Count(out, "warning  reservation") != 2 ||
		!strings.Contains(out, "has all that it needs") {
		t.Errorf("%v, prints\n%s\nwant two warnings, and functions that work", err, out)
	}
}

func TestDeployRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(s *site)
		want   string
	}{
		"a bucket of somebody else's": {func(s *site) { s.buckets.AddForeign(bucket, region) }, "cos:HeadBucket"},
		"a bucket with versions": {func(s *site) { s.buckets.Add(bucket, region).SetVersioning("Enabled") },
			"versioning is Enabled there"},
		"a bucket whose versions are suspended": {func(s *site) {
			s.buckets.Add(bucket, region).SetVersioning("Suspended")
		},
			"versioning is Suspended there"},
		"wrong keys": {func(s *site) { s.keys.SecretKey = "x" }, "ask whose keys these are"},
		"a function that fails to be made": {func(s *site) {
			s.account.Fail("CreateFunction", account.Breaks(), 1)
		},
			"it is in the status CreateFailed"},
		"a check that finds something wrong": {func(s *site) {
			s.answer = `[{"name":"Slack","ok":false,"wrong":"channel_not_found","do":"invite the bot"}]`
		}, "1 of the things that it needs are wrong"},
		"a check that says nothing": {func(s *site) { s.answer = `{}` }, `it answers "{}"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tt.before(s)
			out, _, err := s.deploy(false)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q; prints\n%s", err, tt.want, out)
			}
		})
	}
}

// TestOthersAreLeftAlone holds that what clbwatch deploy did not make is neither changed nor deleted.
func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.mustDeploy()
	d := s.deployer(false)
	if err := d.API.Call(t.Context(), "scf", "UpdateFunctionConfiguration", map[string]any{
		"FunctionName": "clbwatch",
		"Description":  "somebody else's"}); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(bool) (string, int, error){"deploy": s.deploy, "remove": s.remove} {
		out, writes, err := run(false)
		if err == nil || writes != 0 || !strings.Contains(err.Error(), "clbwatch deploy did not make") {
			t.Errorf("%s: %v, %d calls that write, want none; prints\n%s", name, err, writes, out)
		}
	}
}

func TestCodeThatCannotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, files map[string]os.FileMode) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for file, mode := range files {
			h := &zip.FileHeader{Name: file}
			h.SetMode(mode)
			if _, err := z.CreateHeader(h); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(z.Close(), os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	for file, want := range map[string]string{
		write("empty.zip", nil): "there is no program main in it",
		write("other.zip", map[string]os.FileMode{"bootstrap": 0o755}): "there is no program main in it",
		write("mode.zip", map[string]os.FileMode{"main": 0o644}):       "there is no program main in it",
		filepath.Join(dir, "none.zip"):                                 "no such file",
	} {
		if _, err := deploy.ReadZip(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filepath.Base(file), err, want)
		}
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := deploy.FromProgram(script); err == nil || !strings.Contains(advice.Of(err), "--zip") {
		t.Errorf("a script: %v, want advice to give a zip", err)
	}
	good := write("good.zip", map[string]os.FileMode{"main": 0o755, "LICENSE": 0o644})
	if _, err := deploy.ReadZip(good); err != nil {
		t.Errorf("a good zip: %v", err)
	}
}
