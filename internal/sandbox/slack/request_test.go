package slack

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// believes is an app's check of a signature, written down once more.
func believes(secret string, now time.Time, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	at, notNumber := strconv.ParseInt(r.Header.Get("X-Slack-Request-Timestamp"), 10, 64)
	if err != nil || notNumber != nil || math.Abs(float64(now.Unix()-at)) > 300 {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, fmt.Sprintf("v0:%d:%s", at, body))
	return hmac.Equal([]byte("v0="+hex.EncodeToString(mac.Sum(nil))), []byte(r.Header.Get("X-Slack-Signature")))
}

func TestForgeriesAreNotBelieved(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	ts := a.root()
	if secret := a.SigningSecret(); len(secret) != 32 || strings.Trim(secret, "0123456789abcdef") != "" ||
		secret == New().SigningSecret() {
		t.Errorf("the signing secret is %q", secret)
	}
	command, err := a.NewCommand(alice, "", "/clb list")
	if err != nil {
		t.Fatal(err)
	}
	click, err := a.NewClick(alice, "", ts, "ack")
	if err != nil {
		t.Fatal(err)
	}
	check := func(r Request) bool {
		t.Helper()
		req, err := r.HTTP(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return believes(a.SigningSecret(), time.Now(), req)
	}
	names := make(map[string]bool)
	for _, good := range []Request{command, click} {
		before := good.Clone()
		for _, f := range a.Forgeries(good) {
			names[f.Name] = true
			if check(f.Request) {
				t.Errorf("%s: it is believed", f.Name)
			}
		}
		if !bytes.Equal(before.Body, good.Body) || fmt.Sprint(before.Header) != fmt.Sprint(good.Header) {
			t.Error("making forgeries changed the request")
		}
		if !check(good) {
			t.Error("the good one is not believed")
		}
		big := good.Padded(6 << 20)
		if len(big.Body) != 6<<20 || check(big) {
			t.Errorf("padded to %d bytes, or it is believed unsigned", len(big.Body))
		}
		if big.Sign(a.SigningSecret(), time.Now()); !check(big) {
			t.Error("the big one is not believed once it is signed")
		}
	}
	if len(names) < 15 {
		t.Errorf("only %d forgeries", len(names))
	}
	if all, _ := a.requests(); len(all) != 0 {
		t.Error("making requests sends them")
	}
}

func TestReplayIsTheSameRequest(t *testing.T) {
	t.Parallel()
	a := newAppTest(t)
	a.command(alice, "/clb list")
	if _, err := a.NewCommand(alice, "", "/clb status"); err != nil { // is not sent
		t.Fatal(err)
	}
	a.says(http.StatusUnauthorized, "", "")
	got, err := a.Replay(t.Context())
	if err != nil || got.Status != http.StatusUnauthorized {
		t.Errorf("%+v, %v", got, err)
	}
	all, bodies := a.requests()
	if bodies[0] != bodies[1] || fmt.Sprint(all[0].Header) != fmt.Sprint(all[1].Header) ||
		all[0].URL.String() != all[1].URL.String() {
		t.Errorf("%s %v\n%s %v", bodies[0], all[0].Header, bodies[1], all[1].Header)
	}
	if len(a.Refused()) > 0 {
		t.Errorf("what somebody else is answered is nobody's concern: %q", a.Refused())
	}
	last, ok := a.Last()
	last.Body[0] = 'x'
	if again, _ := a.Last(); !ok || slices.Equal(again.Body, last.Body) {
		t.Error("the last request is shared with who asks for it")
	}
}
