package scf

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
)

// buildEcho builds the function of testdata/echo.
func buildEcho(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "echo")
	if err := sandbox.Build(t.Context(), bin, "./testdata/echo", ""); err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	bin := buildEcho(t)
	launch := func(t *testing.T, env map[string]string, opts ...Option) *Function {
		t.Helper()
		f, err := Start(t.Context(), bin, env, opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	invoke := func(t *testing.T, f *Function, event string, opts ...Option) string {
		t.Helper()
		got, ferr, err := f.Invoke(t.Context(), []byte(event), opts...)
		if ferr != nil || err != nil {
			t.Fatalf("invoke %s: %v, %v", event, ferr, err)
		}
		return string(got)
	}

	t.Run("an event goes in and the answer comes out", func(t *testing.T) {
		t.Parallel()
		f := launch(t, nil)
		for _, event := range []string{`{"a":1}`, `null`, `"report"`, `{}`,
			string(TimerEvent(time.Unix(1_550_749_740, 0)))} {
			if got := invoke(t, f, event); got != event {
				t.Errorf("got %s, want %s", got, event)
			}
		}
	})

	t.Run("a frozen instance answers once it is thawed", func(t *testing.T) {
		t.Parallel()
		f := launch(t, nil, WithName("frozen"), WithGrace(9*time.Second))
		f.Freeze()
		answer := make(chan string)
		go func() {
			got, _, _ := f.Invoke(t.Context(), []byte(`"hello"`)) // the answer says whether it failed
			answer <- string(got)
		}()
		select {
		case got := <-answer:
			t.Fatalf("frozen, it answers %s", got) // there is no other answer to wait for
		case <-time.After(50 * time.Millisecond):
		}
		f.Thaw()
		if got := <-answer; got != `"hello"` {
			t.Errorf("got %s, want %s", got, `"hello"`)
		}
	})

	t.Run("settings and credentials come with the invocation only", func(t *testing.T) {
		t.Parallel()
		cloud := cloud.New()
		var last sandbox.Credential
		f := launch(t, map[string]string{"SETTING": "one"}, WithTimeout(9*time.Second),
			WithCredential(func() sandbox.Credential { last = cloud.Issue(); return last }))
		var env []string
		if err := json.Unmarshal([]byte(invoke(t, f, `{"do":"start"}`)), &env); err != nil {
			t.Fatal(err)
		}
		for _, e := range env {
			key, _, _ := strings.Cut(e, "=")
			if strings.HasPrefix(key, "TENCENTCLOUD_SEC") || key == "SETTING" || key == "PATH" {
				t.Errorf("the process started with %s", e)
			}
		}
		for _, want := range []string{"TENCENTCLOUD_RUNENV=SCF", "SCF_RUNTIME=Go1",
			"TENCENTCLOUD_REGION=ap-guangzhou", "HOME=/home/qcloud"} {
			if !slices.Contains(env, want) {
				t.Errorf("the process started without %s", want)
			}
		}
		type now struct {
			ID, Key, Token, Setting, Name, Region string
			Left                                  float64
			Memory, Limit, Request                int
		}
		var first, second now
		if err := json.Unmarshal([]byte(invoke(t, f, `{"do":"now"}`)), &first); err != nil {
			t.Fatal(err)
		}
		if first.ID != last.SecretID || first.Key != last.SecretKey || first.Token != last.Token ||
			first.Setting != "one" {
			t.Errorf("the function saw %+v, want %+v and setting one", first, last)
		}
		if first.Name == "" || first.Region != "ap-guangzhou" || first.Memory != 128 || first.Limit != 9000 ||
			first.Request != 4 ||
			first.Left < 5 || first.Left > 9 {
			t.Errorf("the context says %+v", first)
		}
		if err := json.Unmarshal([]byte(invoke(t, f, `{"do":"now"}`, WithSetting("SETTING", "two"))),
			&second); err != nil {
			t.Fatal(err)
		}
		if second.ID == first.ID || second.Setting != "two" {
			t.Errorf("the next invocation saw %+v, want a new credential and setting two", second)
		}
	})

	t.Run("settings at the start", func(t *testing.T) {
		t.Parallel()
		f := launch(t, map[string]string{"SETTING": "one"}, WithEnvAtStart())
		if got := invoke(t, f, `{"do":"start"}`); !strings.Contains(got, `"SETTING=one"`) {
			t.Errorf("the process started with %s", got)
		}
	})

	t.Run("errors and panics are reported, and the instance lives on", func(t *testing.T) {
		t.Parallel()
		f := launch(t, nil)
		_, ferr, err := f.Invoke(t.Context(), []byte(`{"do":"fail"}`))
		if err != nil || ferr == nil || ferr.Status != 0 || ferr.Message != "as you wish" ||
			ferr.Type != "errorString" || ferr.ShouldExit {
			t.Errorf("failure: %+v, %v", ferr, err)
		}
		_, ferr, err = f.Invoke(t.Context(), []byte(`{"do":"panic"}`))
		if err != nil || ferr == nil || ferr.Message != "as you wish" || !ferr.ShouldExit ||
			len(ferr.Stack) == 0 {
			t.Errorf("panic: %+v, %v", ferr, err)
		}
		if got := invoke(t, f, `1`); got != "1" {
			t.Errorf("got %s, want 1", got)
		}
	})

	t.Run("a function that heeds its deadline reports it itself", func(t *testing.T) {
		t.Parallel()
		f := launch(t, nil)
		_, ferr, err := f.Invoke(t.Context(), []byte(`{"do":"wait"}`), WithTimeout(20*time.Millisecond))
		if err != nil || ferr == nil || ferr.Status != 0 || ferr.Message != context.DeadlineExceeded.Error() {
			t.Errorf("got %+v, %v", ferr, err)
		}
	})

	t.Run("one that does not is killed", func(t *testing.T) {
		t.Parallel()
		f := launch(t, nil)
		_, ferr, err := f.Invoke(t.Context(), []byte(`{"do":"hang"}`), WithTimeout(20*time.Millisecond))
		if err != nil || ferr == nil || ferr.Status != 433 {
			t.Errorf("got %+v, %v, want 433", ferr, err)
		}
		if _, _, err := f.Invoke(t.Context(), []byte(`1`)); err == nil {
			t.Error("the instance answers after it was killed")
		}
		want := []string{"hello from stdout", "hello from stderr", "hanging"}
		if got := f.Logs(); !slices.Equal(got, want) {
			t.Errorf("logs %q, want %q", got, want)
		}
	})

	t.Run("kill and exit end the running invocation", func(t *testing.T) {
		t.Parallel()
		var f *Function
		f = launch(t, nil, WithCredential(func() sandbox.Credential {
			f.Kill()
			return sandbox.Credential{}
		}))
		if _, ferr, err := f.Invoke(t.Context(), []byte(`{"do":"hang"}`)); err != nil || ferr == nil ||
			ferr.Status != 439 {
			t.Errorf("killed: %+v, %v, want 439", ferr, err)
		}
		f = launch(t, nil)
		if _, ferr, err := f.Invoke(t.Context(), []byte(`{"do":"exit"}`)); err != nil || ferr == nil ||
			ferr.Status != 439 {
			t.Errorf("exited: %+v, %v, want 439", ferr, err)
		}
	})

	t.Run("the caller may give up", func(t *testing.T) {
		t.Parallel()
		f := launch(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, ferr, err := f.Invoke(ctx, []byte(`{"do":"hang"}`)); ferr != nil ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v, want the deadline", ferr, err)
		}
		if got := invoke(t, f, `1`); got != "1" {
			t.Errorf("got %s, want 1", got)
		}
	})

	t.Run("several at once", func(t *testing.T) {
		t.Parallel()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				f, err := Start(t.Context(), bin, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = f.Close() }()
				if got, ferr, err := f.Invoke(t.Context(), []byte(`1`)); string(got) != "1" || ferr != nil ||
					err != nil {
					t.Errorf("got %s, %v, %v", got, ferr, err)
				}
			})
		}
		wg.Wait()
	})
}

func TestStartSaysWhyAFunctionDoesNotStart(t *testing.T) {
	t.Parallel()
	if _, err := Start(t.Context(), filepath.Join(t.TempDir(), "none"), nil); err == nil ||
		!strings.Contains(err.Error(), "no such file") {
		t.Errorf("no binary: %v", err)
	}
	if _, err := Start(t.Context(), "/bin/ls", nil); err == nil ||
		!strings.Contains(err.Error(), "exited before") {
		t.Errorf("no function: %v", err)
	}
}

// Two functions with one port: the one that came too late ends, and its Start is answered by the other's
// Ping.
func TestAPortIsGivenOutOnce(t *testing.T) {
	t.Parallel()
	const first, last = lastPort, 32_768 // where no function starts, and no outgoing connection
	port, claim, err := claimPort(first, last)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := claimPort(port, port+1); err == nil {
		t.Errorf("port %d was given out twice", port)
	}
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	_, claim, err = claimPort(port, port+1)
	if err != nil {
		t.Fatalf("port %d after it came back: %v", port, err)
	}
	defer func() { _ = claim.Close() }()

	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	taken := l.Addr().(*net.TCPAddr).Port
	if _, _, err := claimPort(taken, taken+1); err == nil {
		t.Errorf("port %d was given out while somebody else listened on it", taken)
	}
}

func TestTimerEvent(t *testing.T) {
	t.Parallel()
	got := string(TimerEvent(time.Date(2019, 2, 21, 19, 49, 0, 0, time.FixedZone("", 8*3600))))
	want := `{"Type":"Timer","TriggerName":"tick","Time":"2019-02-21T11:49:00Z","Message":""}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
