package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Build compiles the program in a folder of the module, or of the import path pkg, into the file to. It does so
// as the Makefile builds what is shipped, which so need not be compiled twice; version is what the function says
// of itself.
func Build(ctx context.Context, to, pkg, version string) error {
	return compile(ctx, []string{"CGO_ENABLED=0"}, "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", to, pkg)
}

// BuildRaced is Build under the race detector, with which a program is five times as slow.
func BuildRaced(ctx context.Context, to, pkg, version string) error {
	return compile(ctx, nil, "-race", "-ldflags", "-X main.version="+version, "-o", to, pkg)
}

func compile(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-buildvcs=false"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
