// Package scf is the platform's side of the SCF Go1 protocol: it starts a built function as a process,
// invokes it, and kills it at its time limit, as the platform does. It refuses to give a function what the
// platform would not: neither the caller's environment nor, before an invocation, a credential.
package scf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	startTimeout = 10 * time.Second // until an instance answers its first Ping
	startTries   = 5                // ports tried before giving up

	// Ports below the range that systems give out by themselves, so that no outgoing connection takes one
	// meanwhile.
	firstPort, lastPort = 20_000, 32_000

	functionName = "clbwatch-sandbox"
	appID, uin   = "1250000000", "100000000001"
)

// Region is where every function runs.
const Region = "ap-guangzhou"

// Function is one instance of a function on the platform: a process that serves the SCF Go1 protocol. Several
// instances of one function are several Functions. It is safe for concurrent use. Make one with Start.
type Function struct {
	how    how
	env    map[string]string
	cmd    *exec.Cmd
	client *rpc.Client
	output *output
	exited chan struct{} // closed when the process is gone and its output read
}

// Option changes how the platform runs a function. Given to Start it holds for every invocation, given to
// Invoke for one.
type Option func(*how)

type how struct {
	name       string
	timeout    time.Duration
	grace      time.Duration
	memoryMB   int
	credential func() sandbox.Credential
	settings   map[string]string
	envAtStart bool
}

// WithName sets the function's name, "clbwatch-sandbox" without it.
func WithName(name string) Option { return func(h *how) { h.name = name } }

// WithTimeout sets the time limit of an invocation, 30 seconds without it.
func WithTimeout(d time.Duration) Option { return func(h *how) { h.timeout = d } }

// WithGrace sets how long after its time limit an instance is killed, 200 milliseconds without it.
func WithGrace(d time.Duration) Option { return func(h *how) { h.grace = d } }

// WithMemory sets what an invocation is told of the instance's memory, in MB of 2^20 bytes, 128 without it.
// Nobody holds it to that.
func WithMemory(mb int) Option { return func(h *how) { h.memoryMB = mb } }

// WithCredential asks f for the role's credential at each invocation, such as cloud.Cloud.Issue. Without it
// the function has no role and gets none.
func WithCredential(f func() sandbox.Credential) Option { return func(h *how) { h.credential = f } }

// WithoutCredential takes the role away.
func WithoutCredential() Option { return func(h *how) { h.credential = nil } }

// WithSetting overrides one of the user's settings. The library unsets none: an earlier value stays until it
// is overridden.
func WithSetting(key, value string) Option {
	return func(h *how) {
		h.settings = maps.Clone(h.settings)
		if h.settings == nil {
			h.settings = make(map[string]string)
		}
		h.settings[key] = value
	}
}

// WithEnvAtStart also puts the user's settings into the environment of the process. Which of the two ways the
// platform takes is not documented; by default they come with each invocation only, as credentials do.
func WithEnvAtStart() Option { return func(h *how) { h.envAtStart = true } }

// Start runs the built function and waits until it answers. env are the user's settings; beside the built-in
// variables the process finds nothing in its environment (see WithEnvAtStart), and credentials never. The
// process ends with ctx.
func Start(ctx context.Context, binary string, env map[string]string, opts ...Option) (*Function, error) {
	h := how{name: functionName, timeout: 30 * time.Second, grace: 200 * time.Millisecond, memoryMB: 128}
	for _, o := range opts {
		o(&h)
	}
	var err error
	for range startTries {
		var f *Function
		if f, err = start(ctx, binary, maps.Clone(env), h); err == nil {
			return f, nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return nil, fmt.Errorf("start %s: %w", binary, err)
}

var errPortTaken = errors.New("the port was taken meanwhile")

func start(ctx context.Context, binary string, env map[string]string, h how) (*Function, error) {
	port, claim, err := claimPort(firstPort, lastPort)
	if err != nil {
		return nil, err
	}
	out, err := newOutput()
	if err != nil {
		_ = claim.Close() // nobody asked for the port
		return nil, err
	}
	f := &Function{how: h, env: env, cmd: exec.CommandContext(ctx, binary), output: out,
		exited: make(chan struct{})}
	f.cmd.Dir = "/" // so that nobody relies on where the binary is
	f.cmd.Env = builtin(port, h.name)
	if h.envAtStart {
		for _, key := range slices.Sorted(maps.Keys(env)) {
			f.cmd.Env = append(f.cmd.Env, key+"="+env[key])
		}
	}
	f.cmd.Stdout, f.cmd.Stderr = out.file, out.file
	if err := f.cmd.Start(); err != nil {
		_ = claim.Close() // nobody asked for the port
		out.end()
		return nil, err
	}
	go func() {
		_ = f.cmd.Wait()  // how it ended is in its output and in the failed call
		_ = claim.Close() // it only kept others away
		out.end()
		close(f.exited)
	}()
	if f.client, err = f.connect(ctx, port); err != nil {
		_ = f.Close()
		if log := strings.Join(f.Logs(), "\n"); strings.Contains(log, "address already in use") {
			return nil, errPortTaken
		} else if log != "" {
			err = fmt.Errorf("%w; its output:\n%s", err, log)
		}
		return nil, err
	}
	return f, nil
}

// builtin are the variables the platform sets for every function, without credentials. Source: the platform's
// documentation of environment variables, and _LAMBDA_SERVER_PORT, which scf-go-lib reads.
func builtin(port int, name string) []string {
	return []string{
		"_LAMBDA_SERVER_PORT=" + strconv.Itoa(port), "_SCF_SERVER_PORT=28902",
		"TENCENTCLOUD_RUNENV=SCF", "TENCENTCLOUD_REGION=" + Region, "TENCENTCLOUD_APPID=" + appID,
		"TENCENTCLOUD_UIN=" + uin,
		"TENCENTCLOUD_TZ=UTC", "SCF_RUNTIME=Go1", "SCF_FUNCTIONNAME=" + name,
		"SCF_FUNCTIONVERSION=$LATEST",
		"USER_CODE_ROOT=/var/user/", "TRIGGER_SRC=timer", "PWD=/var/user", "HOME=/home/qcloud", "USER=qcloud",
		"LANG=en_US.UTF8", "LC_ALL=en_US.UTF8", "HOSTNAME=sandbox",
	}
}

// claimPort finds a TCP port from first up to last, without last, that nobody listens on. Until claim is
// closed no other claimPort gives it out, in this process or another: claim is the UDP port of the same
// number. Else two functions that start at once may get the same port, and the one that came too late is
// called under the other's answers.
func claimPort(first, last int) (port int, claim io.Closer, err error) {
	for range 50 {
		port := first + rand.IntN(last-first)
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", "127.0.0.1:"+strconv.Itoa(port)); err != nil {
			continue
		}
		var tcp net.Listener
		// all addresses, as the library listens
		if tcp, err = net.Listen("tcp", ":"+strconv.Itoa(port)); err == nil {
			return port, udp, tcp.Close()
		}
		_ = udp.Close() // the next one may be free
	}
	return 0, nil, fmt.Errorf("look for a free port: %w", err)
}

// connect dials until the function answers a Ping.
func (f *Function) connect(ctx context.Context, port int) (*rpc.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// The pauses grow by a thirty-second, so that how long a start takes can be measured to 3 % of it.
	for wait := 100 * time.Microsecond; ; wait += wait / 32 {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			client := rpc.NewClient(conn)
			ping := client.Go("Function.Ping", struct{}{}, &struct{}{}, make(chan *rpc.Call, 1))
			select {
			case <-ping.Done:
				if err = ping.Error; err == nil {
					return client, nil
				}
			case <-f.exited:
			case <-ctx.Done():
			}
			_ = client.Close() // it is of no use
		}
		select {
		case <-f.exited:
			return nil, errors.New("the process exited before it answered")
		case <-ctx.Done():
			return nil, fmt.Errorf("no answer to a ping: %w", errors.Join(ctx.Err(), err))
		case <-time.After(wait):
		}
	}
}

// Logs returns what the function wrote to stdout and stderr so far, by lines.
func (f *Function) Logs() []string {
	text := strings.TrimSuffix(f.output.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// Pid is the process's number, to measure it by.
func (f *Function) Pid() int { return f.cmd.Process.Pid }

// Kill ends the process at once, as kill -9 does; a running invocation fails with 439.
func (f *Function) Kill() {
	_ = f.cmd.Process.Kill() // it is gone already if this fails
}

// Freeze stops the process where it is, as a platform does with an instance that it does not need; Thaw lets
// it go on.
func (f *Function) Freeze() {
	f.signal(syscall.SIGSTOP)
	for !f.stopped() && !f.Gone() {
		time.Sleep(time.Millisecond)
	}
}

// stopped reports whether each thread of the process has stopped, which a signal brings about some time after
// it was sent. Where the kernel does not say (it is not Linux), they are taken to have.
func (f *Function) stopped() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", f.Pid())) // the pattern is a good one
	for _, name := range threads {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		// proc(5): "pid (name) state ...", and a name may have any character in it
		if rest := stat[bytes.LastIndexByte(stat, ')')+1:]; !bytes.HasPrefix(rest, []byte(" T")) {
			return false
		}
	}
	return true
}

// Thaw lets a frozen process go on.
func (f *Function) Thaw() { f.signal(syscall.SIGCONT) }

func (f *Function) signal(s syscall.Signal) {
	_ = f.cmd.Process.Signal(s) // it is gone already if this fails
}

// Gone reports whether the process has ended.
func (f *Function) Gone() bool {
	select {
	case <-f.exited:
		return true
	default:
		return false
	}
}

// Close kills the process and waits until it is gone. It never fails, and may be called again.
func (f *Function) Close() error {
	f.Kill()
	<-f.exited
	if f.client != nil {
		_ = f.client.Close() // closed already if the process went first
	}
	return nil
}
