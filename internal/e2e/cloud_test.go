package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"

	// The function is built from these: go test must not take a result that is older than they are.
	_ "clbwatch/handler"
	_ "clbwatch/internal/app"
	_ "clbwatch/internal/cli"
)

// binary is the function under test.
var binary = flag.String("binary", "",
	"the built function; built here if not given, and once more under the race detector if the tests are")

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // most of these tests wait
		panic(err)
	}
	os.Exit(run(m))
}

// raced is the function where it makes most calls at once; under the race detector if the tests are, and
// the function was built here. It is five times as slow.
var raced string

// version is what the binary says of itself; "" if it was not built here.
var version string

// run builds the function, unless it is given, runs the tests, and then searches all that they saw for
// secrets.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("/var/tmp", "clbwatch-e2e-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if *binary == "" {
		version, *binary = "e2e", filepath.Join(dir, "main")
		if err := sandbox.Build(context.Background(), *binary, "clbwatch", version); err != nil {
			panic(err)
		}
	}
	if raced = *binary; race && version != "" {
		raced = filepath.Join(dir, "raced")
		if err := sandbox.BuildRaced(context.Background(), raced, "clbwatch", version); err != nil {
			panic(err)
		}
	}
	if err := seen.open(dir); err != nil {
		panic(err)
	}
	code := m.Run()
	found, err := seen.leaks()
	if err != nil {
		panic(err)
	}
	fmt.Printf("leaks: %d secrets looked for in %d kB that %d labs saw: %d found\n", len(seen.secrets),
		seen.size>>10, seen.labs, len(found))
	for _, f := range found {
		fmt.Println("--- FAIL: leak:", f)
		code = 1
	}
	return code
}

const (
	region   = "ap-guangzhou"
	web, api = "lb-8a3k2m1q", "lb-c4r9t0zw"
)

// place is where the state of a test lives.
type place string

const (
	inFiles place = "files"
	inCOS   place = "COS"
	byBot   place = "files, told by a bot" // the others are told by webhook
	byV3    place = "files, by API 3.0"    // 2.0 is closed; the others are read by it
	app     place = "files, application load balancers"
	appByV3 place = "files, application load balancers by API 3.0"
)

// classic reports whether the load balancers are of the classic kind.
func (p place) classic() bool { return p != app && p != appByV3 }

// everywhere runs a test in each place: a guarantee does not depend on it.
func everywhere(t *testing.T, test func(t *testing.T, in place)) {
	t.Helper()
	in(t, test, inFiles, inCOS, byBot, byV3, app, appByV3)
}

// byV2 runs a test that makes API 2.0 fail, in each place where that is read.
func byV2(t *testing.T, test func(t *testing.T, in place)) {
	t.Helper()
	in(t, test, inFiles, inCOS, byBot, app)
}

func in(t *testing.T, test func(t *testing.T, in place), places ...place) {
	t.Helper()
	t.Parallel()
	for _, in := range places {
		t.Run(string(in), func(t *testing.T) {
			t.Parallel()
			test(t, in)
		})
	}
}

// lab is a cloud, a Slack and a place for state, and the settings of a function that uses them.
type lab struct {
	t         testing.TB
	function  string // its binary
	cloud     *cloud.Cloud
	slack     *slack.Workspace
	dir       string      // of the state in files; a home otherwise
	bucket    *cos.Bucket // of the state in COS, or nil
	settings  map[string]string
	hooks     string       // where Slack is
	addresses []string     // the addresses that came with commands and clicks
	ahead     atomic.Int64 // how far the cloud's clock is ahead, in nanoseconds
	passed    atomic.Int64 // how much time later has let pass, in nanoseconds

	mu      sync.Mutex
	issued  []sandbox.Credential
	desks   []sandbox.Credential // of functions that answer Slack; they are good for as long as the lab
	outputs []string             // everything the function wrote, answered or failed with
}

// newLab has two load balancers, web with three running backends and api with two.
func newLab(t testing.TB, in place) *lab {
	t.Helper()
	//nolint:usetesting // on SCF, state under /tmp is refused
	dir, err := os.MkdirTemp("/var/tmp", "clbwatch-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &lab{t: t, function: *binary, cloud: cloud.New(), slack: slack.New(), dir: dir}
	if in == appByV3 {
		l.function = raced
	}
	t.Cleanup(l.hand)
	l.cloud.Now = func() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) }
	l.slack.Now = func() time.Time { return time.Now().Add(time.Duration(l.passed.Load())) }
	l.slack.Unlimited = true // a test does in a second what takes minutes
	v2, v3, hooks := httptest.NewServer(l.cloud), httptest.NewServer(l.cloud.V3()),
		httptest.NewServer(l.slack)
	t.Cleanup(func() { v3.CloseClientConnections(); v3.Close() })
	t.Cleanup(func() { v2.CloseClientConnections(); v2.Close() })
	t.Cleanup(func() { hooks.CloseClientConnections(); hooks.Close() })
	l.hooks = hooks.URL
	l.settings = map[string]string{
		"CLB_IDS": web + "=prod-web," + api, "CLB_ENDPOINT": v2.URL + cloud.APIPath,
		"CLB_V3_ENDPOINT":   v3.URL,
		"CLB_RATE":          "1000",
		"SLACK_WEBHOOK_URL": l.slack.URL(hooks.URL), "STATE_URL": "file://" + dir,
	}
	if in == byBot {
		delete(l.settings, "SLACK_WEBHOOK_URL")
		l.settings["SLACK_BOT_TOKEN"], l.settings["SLACK_CHANNEL"],
			l.settings["SLACK_API_URL"] = l.slack.Token(), l.slack.ChannelID(), l.slack.APIURL(hooks.URL)
	}
	if in == byV3 || in == appByV3 {
		l.closeV2()
	}
	if !in.classic() {
		l.cloud.SetApplication(region, web)
		l.cloud.SetApplication(region, api)
	}
	if in == inCOS {
		l.bucket = cos.New(l.cloud.Credential)
		l.bucket.Prefix = "watch/"
		server := httptest.NewServer(l.bucket)
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		l.settings["STATE_URL"] = "cos://sandbox-1250000000/watch?region=" + region + "&endpoint=" +
			server.URL
	}
	l.cloud.Bind(region, web, vm("web-1"), vm("web-2"), vm("web-3"))
	l.cloud.Bind(region, api, vm("api-1"), vm("api-2"))
	return l
}

// closeV2 closes API 2.0 for good.
func (l *lab) closeV2() { l.cloud.Fail("", cloud.FaultCode(4300, "RequestForbidden", "closed"), -1) }

// noSlack takes away where to post, revoke makes it invalid.
func (l *lab) noSlack() {
	delete(l.settings, "SLACK_WEBHOOK_URL")
	delete(l.settings, "SLACK_BOT_TOKEN")
	delete(l.settings, "SLACK_CHANNEL")
}

func (l *lab) revoke() {
	for _, name := range []string{"SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN"} {
		if l.settings[name] != "" {
			l.settings[name] += "x"
		}
	}
}

// vm is a running instance; its id and address follow from its name.
func vm(name string) cloud.Instance {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	n := h.Sum32()
	return cloud.Instance{ID: "ins-" + name, Name: name, LanIP: fmt.Sprintf("10.%d.%d.%d", n>>16&0xff,
		n>>8&0xff, n&0xff), Status: 2, Weight: 10}
}

// role is a fresh temporary credential for each invocation; older ones go on for a while, as at the real
// cloud.
func (l *lab) role() sandbox.Credential {
	cr := l.cloud.Issue()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.issued = append(l.issued, cr)
	if n := len(l.issued); n > 8 {
		l.cloud.Revoke(l.issued[n-9].SecretID)
	}
	return cr
}

// start starts an instance of the function.
func (l *lab) start(opts ...scf.Option) *scf.Function {
	l.t.Helper()
	tmp, err := os.MkdirTemp(l.dir, "tmp-") // each instance has one of its own, which dies with it
	if err != nil {
		l.t.Fatal(err)
	}
	opts = append([]scf.Option{scf.WithCredential(l.role), scf.WithSetting("TMPDIR", tmp)}, opts...)
	f, err := scf.Start(context.Background(), l.function, l.settings, opts...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.end(f) })
	return f
}

// end kills an instance and keeps what it wrote.
func (l *lab) end(f *scf.Function) {
	_ = f.Close()
	l.note(strings.Join(f.Logs(), "\n"))
	for _, line := range f.Logs() {
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic") {
			l.t.Errorf("the function wrote:\n%s", strings.Join(f.Logs(), "\n"))
			return
		}
	}
}

func (l *lab) note(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outputs = append(l.outputs, s)
}

// summary is the answer to a tick.
type summary struct{ CLBs, Read, Unreadable, Changes, Sent, Pending int }

// try invokes a tick, which may fail.
func (l *lab) try(f *scf.Function, opts ...scf.Option) (summary, error) {
	l.t.Helper()
	out, err := l.invoke(f, string(scf.TimerEvent(time.Now())), opts...)
	var sum summary
	if err == nil {
		err = json.Unmarshal(out, &sum)
	}
	return sum, err
}

// tick invokes a tick, which must succeed.
func (l *lab) tick(f *scf.Function, opts ...scf.Option) summary {
	l.t.Helper()
	sum, err := l.try(f, opts...)
	if err != nil {
		l.t.Fatalf("tick: %v", err)
	}
	return sum
}

func (l *lab) invoke(f *scf.Function, event string, opts ...scf.Option) ([]byte, error) {
	l.t.Helper()
	out, ferr, err := f.Invoke(context.Background(), []byte(event), opts...)
	if ferr != nil {
		err = ferr
	}
	l.note(fmt.Sprintf("%s %v", out, err))
	return out, err
}

// later lets time pass for whoever loads the state next, and for Slack: what waits for a time goes by the
// clock of the store. In COS that is the Date of the answers; in files it is this machine's, so all that is
// stored becomes earlier.
func (l *lab) later(d time.Duration) {
	l.t.Helper()
	l.passed.Add(int64(d))
	if l.bucket != nil {
		l.bucket.Advance(d)
		return
	}
	for _, dir := range []string{"", "shards/*/"} {
		for _, heads := range l.folders(dir + "head") {
			keys := l.objects(heads + "/")
			l.put(keys[0], sandbox.Earlier(l.content(keys[0]), d))
		}
	}
}

// folders are those of the state that a pattern matches.
func (l *lab) folders(pattern string) (found []string) {
	all, err := filepath.Glob(filepath.Join(l.dir, pattern))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, dir := range all {
		found = append(found, strings.TrimPrefix(dir, l.dir+"/"))
	}
	return found
}

// settle ticks, a minute apart, until nothing is due: a message that failed waits for minutes, and so does
// one whose run was killed. It returns how many ticks that took.
func (l *lab) settle(f *scf.Function) int {
	l.t.Helper()
	for n := 1; ; n++ {
		sum := l.tick(f)
		if sum.Pending == 0 && sum.Unreadable == 0 {
			return n
		}
		if n == 40 {
			l.t.Fatalf("after %d minutes of ticks: %+v", n, sum)
		}
		l.later(time.Minute)
	}
}

// told lists what Slack accepted about backends, such as "web-1 removed", in order, and other messages by
// their text; but not that the function cannot work.
func (l *lab) told() []string {
	l.t.Helper()
	return l.toldBy(slices.DeleteFunc(l.slack.Messages(),
		func(m slack.Message) bool { return isTrouble(text(l.t, m.Raw)) }))
}

// troubles lists the messages that the function cannot work, with all that is written in them.
func (l *lab) troubles() (all []string) {
	l.t.Helper()
	for _, m := range l.slack.Messages() {
		if s := text(l.t, m.Raw); isTrouble(s) {
			all = append(all, strings.Join(strs(l.t, m.Raw), "\n"))
		}
	}
	return all
}

func isTrouble(text string) bool { return strings.HasPrefix(text, ":warning: clbwatch cannot work") }

func (l *lab) toldBy(messages []slack.Message) (all []string) {
	l.t.Helper()
	for _, m := range messages {
		lines := changes(l.t, m.Raw)
		if len(lines) == 0 {
			lines = []string{text(l.t, m.Raw)}
		}
		all = append(all, lines...)
	}
	return all
}

// news is told without the first message, the baseline.
func (l *lab) news() []string { return l.told()[1:] }

// words are what a message calls what became of a backend, and the one word that tests use.
var words = map[string]string{
	"Stopped": "stopped", "Unhealthy": "unhealthy", "Removed": "removed", "Replaced": "replaced",
	"Listeners changed": "listeners",
	"Added":             "added", "Added and removed again": "came and went", "Recovered": "recovered",
	"Out and back": "back",
}

// changes are what a message says of backends, such as "web-1 removed".
func changes(t testing.TB, raw json.RawMessage) (found []string) {
	t.Helper()
	for _, s := range shown(t, raw) {
		found = append(found, s.name+" "+s.kind)
	}
	return found
}

// said is what a message says of one backend.
type said struct{ name, kind string }

var heading = regexp.MustCompile(`^([A-Z][a-z ]+?)( \(\d+\))?$`)

// label is the text of an element, but for a button, whose text is an object.
type label string

// UnmarshalJSON decodes a text.
func (l *label) UnmarshalJSON(raw []byte) error {
	if raw[0] != '"' {
		return nil
	}
	return json.Unmarshal(raw, (*string)(l))
}

// shown is what a message says of backends, as its blocks show it: the only one is beside a heading such as
// "Stopped", of several each is a line or a preformatted row below "Stopped (2)". Names on lines are bold.
func shown(t testing.TB, raw json.RawMessage) (found []said) {
	t.Helper()
	type element struct {
		Type     string
		Text     label
		Style    struct{ Bold bool }
		Elements []element
	}
	var m struct {
		Attachments []struct{ Blocks []element }
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	for _, a := range m.Attachments {
		for _, block := range a.Blocks {
			kind := ""
			for _, part := range block.Elements {
				rows, named := "", false // the line has its name
				for i, e := range part.Elements {
					begins := i == 0 || strings.HasSuffix(string(part.Elements[i-1].Text), "\n")
					named = named && !begins
					h := heading.FindStringSubmatch(string(e.Text))
					switch {
					case part.Type == "rich_text_preformatted":
						rows += string(e.Text)
					case !e.Style.Bold || e.Type != "text":
					case begins && h != nil && words[h[1]] != "":
						kind = words[h[1]]
					case kind != "" && !named:
						found, named = append(found, said{string(e.Text), kind}), true
					}
				}
				for row := range strings.Lines(rows) {
					if name, _, _ := strings.Cut(strings.TrimSpace(row), " "); kind != "" && name != "" {
						found = append(found, said{name, kind})
					}
				}
			}
		}
	}
	return found
}

// strs are all texts in a message.
func strs(t testing.TB, raw json.RawMessage) (found []string) {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k])
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case string:
			found = append(found, v)
		}
	}
	walk(v)
	return found
}

func text(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var m struct{ Text string }
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m.Text
}

// same reports whether two lists have the same elements.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// objects are the keys of the state that begin with prefix, in order.
func (l *lab) objects(prefix string) (keys []string) {
	if l.bucket != nil {
		for _, key := range l.bucket.Keys("watch/" + prefix) {
			keys = append(keys, strings.TrimPrefix(key, "watch/"))
		}
		return keys
	}
	files, err := filepath.Glob(filepath.Join(l.dir, prefix+"*"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range files {
		keys = append(keys, strings.TrimPrefix(f, l.dir+"/"))
	}
	return keys
}

// content is an object of the state.
func (l *lab) content(key string) []byte {
	l.t.Helper()
	if l.bucket != nil {
		b, ok := l.bucket.Get("watch/" + key)
		if !ok {
			l.t.Fatalf("%s is not there", key)
		}
		return b
	}
	b, err := os.ReadFile(filepath.Join(l.dir, key))
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// put changes an object of the state; without content it is deleted.
func (l *lab) put(key string, content []byte) {
	l.t.Helper()
	path := filepath.Join(l.dir, key)
	var err error
	switch {
	case l.bucket != nil && content == nil:
		l.bucket.Delete("watch/" + key)
	case l.bucket != nil:
		l.bucket.Put("watch/"+key, content)
	case content == nil:
		err = os.Remove(path)
	default:
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// stateText is everything in the state and the cache, snapshots as they are stored.
func (l *lab) stateText() string {
	var all bytes.Buffer
	if l.bucket != nil {
		for _, key := range l.bucket.Keys("") {
			b, _ := l.bucket.Get(key)
			all.Write(b)
		}
	}
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	return all.String()
}

// command runs the binary as a command line, on a laptop.
func (l *lab) command(args ...string) (stdout, stderr string, code int) {
	l.t.Helper()
	cr := l.cloud.Issue()
	cmd := exec.CommandContext(l.t.Context(), l.function, args...)
	cmd.Env = []string{"HOME=" + l.dir, "GORACE=atexit_sleep_ms=0", "CLB_REGION=" + region,
		"TENCENTCLOUD_SECRET_ID=" + cr.SecretID,
		"TENCENTCLOUD_SECRET_KEY=" + cr.SecretKey, "TENCENTCLOUD_TOKEN=" + cr.Token}
	for k, v := range l.settings {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.issued = append(l.issued, cr)
	l.mu.Unlock()
	l.note(out.String() + errs.String())
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// head is the newest head of the state, as far as tests look at it.
func (l *lab) head() (h storedHead) {
	l.t.Helper()
	return l.headAt(l.objects("head/")[0])
}

func (l *lab) headAt(key string) (h storedHead) {
	l.t.Helper()
	line, _, _ := bytes.Cut(l.content(key), []byte("\n"))
	if err := json.Unmarshal(line, &h); err != nil {
		l.t.Fatalf("%s: %v", key, err)
	}
	return h
}

// storedHead is what tests look at in a head.
type storedHead struct {
	N         int64
	Writer    string
	Incidents struct{ Roots []storedRoot }
	Tail      []record
	History   []struct {
		Day  string `json:"d"`
		N    int    `json:"n"`
		Name string `json:"k"`
	}
}

type storedRoot struct {
	Incidents []struct{ ID, K, End string }
	Delivery  struct {
		Claim    *struct{ By string }
		Presumed string
	}
}

// record is a line of the history.
type record struct {
	Incident string
	CLB      struct{ ID string }
	Change   *struct{ Kind, ID, Name string }
	Closed   *struct{ End, Undelivered string }
}

// records are all lines of the history: those of the segments that the newest head lists, and its tail.
func (l *lab) records() (all []record) {
	l.t.Helper()
	h := l.head()
	for _, seg := range h.History {
		r, err := zstd.NewReader(bytes.NewReader(l.content(fmt.Sprintf("history/%s/%06d-%s.jsonl.zst",
			seg.Day, seg.N, seg.Name))))
		if err != nil {
			l.t.Fatal(err)
		}
		d := json.NewDecoder(r)
		for first := true; ; first = false {
			var rec record
			if err := d.Decode(&rec); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				l.t.Fatal(err)
			}
			if !first { // that says what it is
				all = append(all, rec)
			}
		}
		r.Close()
	}
	return append(all, h.Tail...)
}

// past are the changes that the history has, such as "web-1 left running", in order.
func (l *lab) past() (all []string) {
	l.t.Helper()
	for _, r := range l.records() {
		if r.Change != nil {
			all = append(all, r.Change.Name+" "+r.Change.Kind)
		}
	}
	return all
}
