package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
)

// Guarantee 7, after the whole suite: every lab hands over what its function wrote, answered, failed with,
// stored and told, and every secret that it had. Then all is searched for all, in whatever form a secret may
// have taken.

// window is how many bytes of a secret are looked for: its first and its last, so that one that was cut short
// is found too.
const window = 12

// evidence is what all labs handed over.
type evidence struct {
	mu      sync.Mutex
	file    *os.File
	out     *bufio.Writer
	size    int64
	labs    int
	spots   []spot
	secrets map[string]string // what kind it is, by secret
}

// spot is where in the file something begins.
type spot struct {
	at   int64
	what string // such as "a log, an answer or an error of TestKill/files"
}

var seen = evidence{secrets: make(map[string]string)}

// open makes the file that evidence is kept in.
func (e *evidence) open(dir string) (err error) {
	e.file, err = os.Create(filepath.Join(dir, "evidence"))
	e.out = bufio.NewWriter(e.file)
	return err
}

// add keeps something that was seen.
func (e *evidence) add(what string, b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.spots = append(e.spots, spot{e.size, what})
	n, _ := e.out.Write(append(b, 0)) // an error is sticky, and Flush tells it
	e.size += int64(n)
}

// secret says that a text must not be seen anywhere.
func (e *evidence) secret(kind, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if text != "" {
		e.secrets[text] = kind
	}
}

// hand hands over all that a lab saw. It runs when the lab's functions and servers have ended, and before its
// state goes.
func (l *lab) hand() {
	seen.mu.Lock()
	seen.labs++
	seen.mu.Unlock()
	for _, cr := range slices.Concat(l.issued, l.desks) {
		seen.secret("a secret key", cr.SecretKey)
		seen.secret("a session token", cr.Token)
		seen.secret("a key's id", cr.SecretID)
	}
	hook := l.slack.URL("")
	seen.secret("the webhook's secret", hook[strings.LastIndex(hook, "/")+1:])
	seen.secret("the bot's token", l.slack.Token())
	seen.secret("the signing secret", l.slack.SigningSecret())
	for _, to := range l.addresses {
		seen.secret("the address of an answer", to[strings.LastIndex(to, "/")+1:])
	}

	name := " of " + l.t.Name()
	seen.add("a log, an answer or an error"+name, []byte(strings.Join(l.outputs, "\n")))
	for _, m := range l.slack.Messages() {
		seen.add("a message to Slack"+name, m.Raw)
	}
	for _, e := range l.slack.Ephemerals("") {
		seen.add("a message for one person"+name, e.Raw)
	}
	for _, p := range l.slack.Channel() { // as they are after edits
		seen.add("a message in Slack"+name, p.Raw)
	}
	object := func(key string, b []byte) {
		seen.add("the object "+key+name, b)
		if strings.HasSuffix(key, ".zst") { // one that a test damaged is looked at as it is
			if r, err := zstd.NewReader(bytes.NewReader(b)); err == nil {
				// more is what TestCraftedSnapshotIsRefused made
				text, _ := io.ReadAll(io.LimitReader(r, 8<<20))
				r.Close()
				seen.add("in the snapshot "+key+name, text)
			}
		}
	}
	if l.bucket != nil {
		for _, key := range l.bucket.Keys("") {
			b, _ := l.bucket.Get(key)
			object(key, b)
		}
	}
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		object(strings.TrimPrefix(path, l.dir+"/"), b)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a test may take the folder away
		l.t.Error(err)
	}
}

// forms are what a secret may look like where it was written.
func forms(s string) map[string]string {
	quoted, _ := json.Marshal(s) // strings always marshal
	all := map[string]string{url.QueryEscape(s): ", URL-encoded", url.PathEscape(s): ", URL-encoded",
		string(quoted[1 : len(quoted)-1]): ", in JSON",
		strings.ReplaceAll(s, "-", "_"):   ", with other dashes", strings.ToUpper(s): ", in capitals",
		hex.EncodeToString([]byte(s)): ", in hexadecimal"}
	for shift := range 3 { // where it begins within three bytes of a longer text
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			coded := encoding.EncodeToString([]byte(strings.Repeat("x", shift) + s))
			all[coded[4*((shift+2)/3):len(coded)-4]] = ", in base64"
		}
	}
	all[s] = "" // most forms of most secrets are no other
	return all
}

// leaks searches all that was seen for every secret, in one pass: what begins like a window is looked up.
func (e *evidence) leaks() (found []string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.out.Flush(); err != nil {
		return nil, err
	}
	windows := make(map[[window]byte]string)
	var begins [1 << 16]bool // by the first bytes: most are none
	for s, kind := range e.secrets {
		for text, form := range forms(s) {
			if len(text) < window {
				return nil, fmt.Errorf("%s is too short to be looked for", kind)
			}
			for _, w := range []string{text[:window], text[len(text)-window:]} {
				// the plainest says it
				if as, ok := windows[[window]byte([]byte(w))]; !ok || len(as) > len(kind+form) {
					windows[[window]byte([]byte(w))] = kind + form
				}
				begins[uint16(w[0])|uint16(w[1])<<8] = true
			}
		}
	}
	b, err := os.ReadFile(e.file.Name())
	if err != nil {
		return nil, err
	}
	hits := make(map[string]int)
	for i := 0; i+window <= len(b); i++ {
		if !begins[uint16(b[i])|uint16(b[i+1])<<8] {
			continue
		}
		if kind, ok := windows[[window]byte(b[i:i+window])]; ok {
			at, _ := slices.BinarySearchFunc(e.spots, int64(i)+1,
				func(s spot, i int64) int { return int(s.at - i) })
			hits[kind+" is in "+e.spots[at-1].what]++
		}
	}
	for _, hit := range slices.Sorted(maps.Keys(hits)) {
		found = append(found, fmt.Sprintf("%s (%d times)", hit, hits[hit]))
	}
	if e.labs > 0 && (len(e.secrets) < 3 || len(b) < 1000) {
		return nil, errors.New("too little to look at")
	}
	return found, nil
}

// TestLeaksAreFound: the search finds each form of a secret, cut short or not, and says where.
func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	const secret = "xoxb-0-0-/sEcReT+sEcReT\"sEcReT"
	for form, kind := range forms(secret) {
		for _, part := range []string{form, form[:window+1], form[len(form)-window-1:]} {
			e := evidence{secrets: make(map[string]string)}
			if err := e.open(t.TempDir()); err != nil {
				t.Fatal(err)
			}
			e.secret("the token", secret)
			e.add("a log", []byte("nothing"))
			e.add("the state", []byte("key="+part+"\n"))
			e.add("a message", []byte("nothing"))
			found, err := e.leaks()
			_ = e.file.Close()
			if err != nil || len(found) == 0 || !slices.ContainsFunc(found,
				func(s string) bool {
					return strings.Contains(s, "the token") &&
						strings.Contains(s, "is in the state")
				}) ||
				strings.Contains(strings.Join(found, ""), "sEcReT") {
				t.Errorf("the token%s, as %q: found %q, %v", kind, part, found, err)
			}
		}
	}
}

// Guarantee 7: no secret in a log, an error, an answer or the stored state.

// TestNoSecretLeaks makes everything go wrong that may say too much. What it saw is searched after all tests
// (leaks_test.go).
func TestNoSecretLeaks(t *testing.T) { byV2(t, testNoSecretLeaks) }

func testNoSecretLeaks(t *testing.T, in place) {
	l := newLab(t, in)
	f := l.start(scf.WithTimeout(3 * time.Second))
	l.tick(f)
	n := 0
	for _, fault := range cloud.Faults() {
		l.cloud.Fail("", fault, -1)
		l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
		_, _ = l.try(f)
		l.cloud.ClearFaults()
		n++
	}
	for _, fault := range []slack.Fault{
		slack.Reset(), slack.Answer(404, "no_service"), slack.Answer(400, "invalid_payload"),
		slack.Redirect("/x"),
		slack.RateLimited(""), slack.TakesThenHangs(), slack.TakesThenDrops(), slack.Answer(500, "x"),
	} {
		l.slack.Fail(fault, -1)
		l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
		_, _ = l.try(f)
		_, _ = l.invoke(f, `{"action":"report"}`)
		_, _ = l.invoke(f, `{"action":"test"}`)
		l.slack.ClearFaults()
		n++
	}
	for _, name := range []string{"SLACK_WEBHOOK_URL", "SLACK_API_URL"} {
		_, _ = l.try(f, scf.WithSetting(name, strings.Replace(l.settings[name], "127.0.0.1", "127.0.0.9", 1)))
	}
	seen.secret("a wrong setting", "hunter2hunter2")
	_, _ = l.try(f, scf.WithSetting("SLACK_WEBHOOK_URL",
		"https://hooks.slack.com/services/T0/B0/hunter2hunter2\x7f"))
	_, _ = l.try(f, scf.WithSetting("SLACK_BOT_TOKEN", "hunter2hunter2"))
	_, _ = l.try(f, scf.WithSetting("SLACK_CHANNEL", "hunter2hunter2"))
	_, _ = l.try(f, scf.WithSetting("CLB_RATE", "x"))
	_, _ = l.invoke(f, `{"action":"nonsense"}`)
	if in == inCOS {
		f2 := l.start(scf.WithTimeout(5 * time.Second))
		for _, fault := range cos.Faults() {
			l.bucket.Fail("", fault, 4)
			l.cloud.SetStatus("ins-web-1", 2+2*(n%2))
			_, _ = l.try(f2)
			l.bucket.ClearFaults()
			n++
		}
		l.end(f2)
	}
	for _, args := range [][]string{{"report"}, {"report", "--json"}, {"check"}, {"check", "--send"},
		{"tick", "--dry-run"}, {"tick"}, {"version"}, {"x"}} {
		l.command(args...)
	}
	l.end(f)
}
