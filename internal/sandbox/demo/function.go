package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
)

// function is a function as it is deployed, with an instance that is started when it is needed. It is safe for
// concurrent use.
type function struct {
	binary string
	cloud  *cloud.Cloud // issues the credentials of its role
	how    []scf.Option

	busy     sync.Mutex // held while the instance runs: it serves one invocation at a time
	mu       sync.Mutex // guards what is below
	settings map[string]string
	instance *scf.Function      // nil if there is none
	role     sandbox.Credential // of the last invocation
	logs     []string           // the last of instances that are gone
	served   int                // invocations of the instance
	over     bool               // no instance is started any more
}

// configure sets all settings; set changes one. An instance with other settings is another instance.
func (f *function) configure(settings map[string]string) {
	f.mu.Lock()
	f.settings = settings
	f.mu.Unlock()
	f.close()
}

func (f *function) set(key, value string) {
	f.mu.Lock()
	f.settings[key] = value
	f.mu.Unlock()
	f.close()
}

// invoke runs the function once. It starts an instance if there is none; ctx does not end that.
func (f *function) invoke(ctx context.Context, event []byte) ([]byte, *scf.Error, error) {
	f.busy.Lock()
	defer f.busy.Unlock()
	instance, err := f.start(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("start the function: %w", err)
	}
	answer, ferr, err := instance.Invoke(ctx, event)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.served++; f.served >= maxServed {
		_ = instance.Close() // never fails
	}
	return answer, ferr, err
}

const (
	// maxServed is how many invocations an instance serves. The platform ends instances too, and what one has
	// logged would grow for as long as it lives.
	maxServed = 500
	// maxLogs is how many lines of what was logged are kept of instances that are gone, and shown.
	maxLogs = 30
)

func (f *function) start(ctx context.Context) (*scf.Function, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.over:
		return nil, errors.New("the sandbox has ended")
	case f.instance != nil && !f.instance.Gone():
		return f.instance, nil
	}
	if f.instance != nil {
		f.logs = lastLines(append(f.logs, f.instance.Logs()...))
		f.instance, f.served = nil, 0
	}
	how := append(slices.Clone(f.how), scf.WithCredential(f.rotate))
	instance, err := scf.Start(context.WithoutCancel(ctx), f.binary, f.settings, how...)
	if err != nil {
		return nil, err
	}
	f.instance = instance
	return instance, nil
}

// rotate gives the function a new credential with each invocation and ends the last: who keeps one is
// refused.
func (f *function) rotate() sandbox.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cloud.Revoke(f.role.SecretID)
	f.role = f.cloud.Issue()
	return f.role
}

// close kills the instance, if there is one, as the platform does. The next invocation starts another.
func (f *function) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.instance != nil {
		_ = f.instance.Close() // never fails
	}
}

// end is close for good.
func (f *function) end() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.close()
}

// log is what the function logged last.
func (f *function) log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.logs)
	if f.instance != nil {
		all = append(all, f.instance.Logs()...)
	}
	return lastLines(all)
}

func lastLines(all []string) []string { return slices.Clone(all[max(len(all)-maxLogs, 0):]) }
