package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Build compiles the package pkg, a folder or an import path, into the file to. version is what the program
// says of itself. The flags are the Makefile's, so that a make target after the tests need not compile again.
func Build(ctx context.Context, to, pkg, version string) error {
	return compile(ctx, []string{"CGO_ENABLED=0"}, "-trimpath", "-ldflags", "-s -w -X main.version="+version,
		"-o", to, pkg)
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
