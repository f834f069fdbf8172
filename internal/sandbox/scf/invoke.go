package scf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/rpc"
	"strings"
	"time"

	"clbwatch/internal/sandbox"
)

// The messages of the protocol, by the field names of scf-go-lib's package messages: gob goes by those.
type (
	timestamp struct {
		Seconds, Nanos int64
	}
	invokeRequest struct {
		Payload                                                []byte
		RequestId, TraceId                                     string
		Deadline                                               timestamp
		InvokedFunctionUnique                                  string
		Namespace, FunctionName, FunctionVersion               string
		MemoryLimitInMb, TimeLimitInMs                         int32
		Environment                                            string
		TencentcloudRegion, TencentcloudAppID, TencentcloudUin string
	}
	stackFrame struct {
		Path  string
		Line  int32
		Label string
	}
	invokeError struct {
		Message, Type string
		StackTrace    []*stackFrame
		ShouldExit    bool
	}
	invokeResponse struct {
		Payload []byte
		Error   *invokeError
	}
)

// Invoke runs the function once. ferr is a failure of the invocation, as the platform would report it; err
// means that there was no outcome: the instance was gone before, or ctx ended, which leaves the function
// running. At the time limit, and a little grace, the instance is killed. Invocations may overlap, which the
// platform itself never does to one instance.
func (f *Function) Invoke(ctx context.Context, event []byte, opts ...Option) (payload []byte, ferr *Error,
	err error) {
	h := f.how
	for _, o := range opts {
		o(&h)
	}
	if f.Gone() {
		return nil, nil, errors.New("invoke: the instance is gone")
	}
	deadline := time.Now().Add(h.timeout)
	req := invokeRequest{
		Payload:         event,
		RequestId:       requestID(),
		Deadline:        timestamp{deadline.Unix(), int64(deadline.Nanosecond())},
		Namespace:       "default",
		FunctionName:    h.name,
		FunctionVersion: "$LATEST",
		MemoryLimitInMb: int32(h.memoryMB),
		TimeLimitInMs:   int32(h.timeout.Milliseconds()),
		Environment:     environment(f.env, h),

		TencentcloudRegion: Region, TencentcloudAppID: appID, TencentcloudUin: uin,
	}
	var resp invokeResponse
	call := f.client.Go("Function.Invoke", &req, &resp, make(chan *rpc.Call, 1))
	limit := time.NewTimer(h.timeout + h.grace)
	defer limit.Stop()
	select {
	case <-call.Done:
	case <-limit.C:
		_ = f.Close()
		return nil, &Error{Status: 433, Type: "TimeLimitReached",
			Message: fmt.Sprintf("task timed out after %v", h.timeout)}, nil
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("invoke: %w", ctx.Err())
	}
	if call.Error != nil {
		var remote rpc.ServerError
		if errors.As(call.Error, &remote) {
			return nil, nil, fmt.Errorf("invoke: %w", call.Error)
		}
		return nil, &Error{Status: 439, Type: "UserProcessExit",
			Message: "user process exit when running"}, nil
	}
	if e := resp.Error; e != nil {
		ferr = &Error{Type: e.Type, Message: e.Message, ShouldExit: e.ShouldExit}
		for _, s := range e.StackTrace {
			ferr.Stack = append(ferr.Stack, fmt.Sprintf("%s:%d %s", s.Path, s.Line, s.Label))
		}
		return nil, ferr, nil
	}
	return resp.Payload, nil, nil
}

// environment is what comes with an invocation: the settings, and the role's credential of this moment.
func environment(env map[string]string, h how) string {
	all := maps.Clone(h.settings)
	if !h.envAtStart {
		all = maps.Clone(env)
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, h.settings)
	}
	if all == nil {
		all = make(map[string]string)
	}
	if h.credential != nil {
		cr := h.credential()
		all["TENCENTCLOUD_SECRETID"] = cr.SecretID
		all["TENCENTCLOUD_SECRETKEY"] = cr.SecretKey
		all["TENCENTCLOUD_SESSIONTOKEN"] = cr.Token
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// Error is how the platform reports that an invocation failed.
type Error struct {
	// 433 the time limit was reached, 439 the process exited; 0 for an error of the function's own
	Status int

	Type       string
	Message    string
	Stack      []string // "path:line label", after a panic
	ShouldExit bool     // after a panic
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// TimerEvent is what a timer trigger sends for a fire time.
func TimerEvent(at time.Time) []byte {
	event, err := json.Marshal(struct{ Type, TriggerName, Time, Message string }{
		"Timer", "tick", at.UTC().Format(time.RFC3339), ""})
	if err != nil {
		panic(err) // strings always marshal
	}
	return event
}

func requestID() string {
	h := sandbox.RandomHex(16)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
