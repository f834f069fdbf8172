package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/account"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
)

// customer is a new user's account beside a lab's cloud and Slack: nothing is in it yet.
type customer struct {
	*lab
	account *account.Account
	buckets *cos.Service
	env     string // the file that the user fills in

	mu       sync.Mutex
	deployed map[string]account.Deployment // as they were invoked last, by name
}

const (
	customersBucket = "clbwatch-1250000000"
	otherRegion     = "ap-hongkong" // of the function
)

func newCustomer(t *testing.T) *customer {
	t.Helper()
	c := &customer{lab: newLab(t, byBot), account: account.New(), deployed: make(map[string]account.Deployment)}
	c.buckets = cos.NewService(c.account.Credential)
	c.buckets.May = c.account.May
	c.account.Object = func(name, _, key string) ([]byte, bool) {
		return c.buckets.Bucket(name).Get(strings.TrimPrefix(key, "/"))
	}
	c.account.Run = c.run
	t.Cleanup(func() {
		if err := c.account.Close(); err != nil {
			t.Error(err)
		}
	})
	calls, bucket := httptest.NewServer(c.account), httptest.NewServer(c.buckets.At(customersBucket, region))
	t.Cleanup(func() { calls.CloseClientConnections(); calls.Close() })
	t.Cleanup(func() { bucket.CloseClientConnections(); bucket.Close() })
	keys := c.account.Issue()
	c.cloud.Accept(keys)
	example, errs, code := c.command("deploy", "--example")
	if code != 0 {
		t.Fatalf("deploy --example = %d: %s", code, errs)
	}
	filled := strings.NewReplacer(
		"TENCENTCLOUD_SECRET_ID=\n", "TENCENTCLOUD_SECRET_ID="+keys.SecretID+"\n",
		"TENCENTCLOUD_SECRET_KEY=\n", "TENCENTCLOUD_SECRET_KEY='"+keys.SecretKey+"' # mine\r\n",
		"CLB_IDS=\n", "CLB_IDS="+web+"=prod-web, "+api+"\n",
		"STATE_URL=\n", fmt.Sprintf("STATE_URL=cos://%s/prod?region=%s&endpoint=%s\n", customersBucket, region,
			bucket.URL),
		"SLACK_BOT_TOKEN=\n", "SLACK_BOT_TOKEN=\""+c.slack.Token()+"\"\n",
		"SLACK_CHANNEL=\n", "SLACK_CHANNEL="+c.slack.ChannelID()+"\n",
		"DEPLOY_REGION=ap-guangzhou\n", "DEPLOY_REGION="+otherRegion+"\n",
	).Replace(example) + fmt.Sprintf("\nDEPLOY_API_URL=%s\nCLB_ENDPOINT=%s\nCLB_V3_ENDPOINT=%s\n"+
		"SLACK_API_URL=%s\n",
		calls.URL,
		c.settings["CLB_ENDPOINT"], c.settings["CLB_V3_ENDPOINT"], c.settings["SLACK_API_URL"])
	c.env = filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(c.env, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	c.settings = map[string]string{} // the file has them all
	return c
}

// run runs a deployed function, as the platform would: the binary that was deployed, with the settings and
// the role that it was given.
func (c *customer) run(ctx context.Context, d account.Deployment, event []byte) account.Outcome {
	c.mu.Lock()
	c.deployed[d.Name] = d
	c.mu.Unlock()
	if c.account.May(d.Credential.SecretID, "name/clb:DescribeLoadBalancerBackends", "*") {
		c.cloud.Accept(d.Credential)
	}
	f, err := scf.Start(ctx, d.Binary, d.Environment, scf.WithMemory(d.MemoryMB),
		scf.WithCredential(func() sandbox.Credential { return d.Credential }))
	if err != nil {
		return account.Outcome{Err: err}
	}
	defer c.end(f)
	out, ferr, err := f.Invoke(ctx, event)
	c.note(string(out))
	if ferr != nil {
		return account.Outcome{Type: "error", Message: ferr.Error()}
	}
	return account.Outcome{Payload: out, Err: err}
}

// clbwatch runs the command line with the user's file of settings.
func (c *customer) clbwatch(args ...string) (out, errs string, code int) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.function, args...)
	cmd.Dir = filepath.Dir(c.env)
	cmd.Env = []string{"HOME=" + c.dir, "GORACE=atexit_sleep_ms=0"} // all settings are in the file
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	c.note(stdout.String() + stderr.String())
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// fire lets the timer of a deployed function fire.
func (c *customer) fire(name string) {
	c.t.Helper()
	d := c.deployed[name]
	cr, ok := c.account.Assume(name)
	if !ok {
		c.t.Fatalf("the role %s cannot be assumed", name)
	}
	d.Credential = cr
	if o := c.run(c.t.Context(), d, scf.TimerEvent(time.Now())); o.Err != nil || o.Message != "" {
		c.t.Fatalf("the tick of %s: %v %s", name, o.Err, o.Message)
	}
}

// TestDeploy walks a new user's path: an example of the settings, filled in; one command; the first alert.
func TestDeploy(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	out, errs, code := c.clbwatch("deploy", "--dry-run")
	if n := len(c.account.Writes()); code != 0 || n != 0 || !strings.Contains(out, "scf:CreateFunction") {
		t.Fatalf("deploy --dry-run = %d, %d calls that write, want none: %s\n%s", code, n, errs, out)
	}
	out, errs, code = c.clbwatch("deploy", "--slack")
	if code != 0 || !strings.Contains(out, "clbwatch has all that it needs") ||
		!strings.Contains(out, "clbwatch-slack answers Slack at https://") {
		t.Fatalf("deploy = %d: %s\n%s", code, errs, out)
	}
	if d := c.deployed["clbwatch"]; d.Region != otherRegion || d.MemoryMB != 128 ||
		d.Environment["CLB_REGION"] != region ||
		d.Environment["TENCENTCLOUD_SECRET_KEY"] != "" {
		t.Errorf("it is deployed as %+v", d)
	}
	said := func(what string) {
		t.Helper()
		for _, p := range c.slack.Channel() {
			if strings.Contains(text(t, p.Raw), what) {
				return
			}
		}
		t.Errorf("nothing in Slack says %q", what)
	}
	said("clbwatch is connected")
	c.fire("clbwatch")
	said("Now watching")
	c.cloud.SetStatus("ins-web-1", 4)
	c.fire("clbwatch")
	said("web-1 stopped on prod-web")

	before := len(c.account.Writes())
	out, errs, code = c.clbwatch("deploy", "--slack")
	if n := len(c.account.Writes()) - before; code != 0 || n > 1 ||
		!strings.Contains(out, "everything is as it should be") {
		t.Errorf("a second deploy = %d, %d calls beside the check: %s\n%s", code, n-1, errs, out)
	}
	out, errs, code = c.clbwatch("deploy", "--remove")
	if code != 0 || !strings.Contains(out, "the state is left in the bucket") {
		t.Errorf("deploy --remove = %d: %s\n%s", code, errs, out)
	}
	if left := c.buckets.Bucket(customersBucket).Keys("prod/"); len(left) < 3 {
		t.Errorf("of the state only %q is left", left)
	}
}

// TestDeployChecksFirst holds that nothing is changed where something is wrong that can be seen beforehand.
func TestDeployChecksFirst(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ from, to, want string }{
		"a channel that is not there": {"SLACK_CHANNEL=", "SLACK_CHANNEL=C0NOTHERE #", "channel_not_found"},
		"a channel's name":            {"SLACK_CHANNEL=", "SLACK_CHANNEL=alerts #", "SLACK_CHANNEL"},
		"a load balancer that is not there": {"CLB_IDS=" + web, "CLB_IDS=lb-0000none",
			"there is no such load balancer"},
		"no state in COS": {"STATE_URL=cos:", "STATE_URL=file:///var/x #", "STATE_URL"},
		"no region":       {"DEPLOY_REGION=", "DEPLOY_REGION=! #", "DEPLOY_REGION"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCustomer(t)
			filled, err := os.ReadFile(c.env)
			if err != nil {
				t.Fatal(err)
			}
			wrong := strings.Replace(string(filled), "\n"+tt.from, "\n"+tt.to, 1)
			if err := os.WriteFile(c.env, []byte(wrong), 0o600); err != nil {
				t.Fatal(err)
			}
			out, errs, code := c.clbwatch("deploy")
			if n := len(c.account.Writes()); code != 1 || n != 0 || !strings.Contains(out+errs, tt.want) {
				t.Errorf("deploy = %d, %d calls that write, want 1 and none, and %q: %s\n%s", code, n, tt.want, errs, out)
			}
		})
	}
}
