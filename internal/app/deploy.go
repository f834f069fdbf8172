package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"clbwatch/internal/advice"
	"clbwatch/internal/check"
	"clbwatch/internal/config"
	"clbwatch/internal/deploy"
)

// Deploy deploys clbwatch as the settings in an environment say, or takes it away. Before anything is
// changed, the settings are checked, as `clbwatch check` does, but for the state, whose bucket may not be
// there yet.
func (p *Process) Deploy(ctx context.Context, environ map[string]string, r deploy.Request,
	out io.Writer) error {
	environ = maps.Clone(environ)
	if environ["TENCENTCLOUD_REGION"] == "" { // as the platform sets it
		environ["TENCENTCLOUD_REGION"] = environ["DEPLOY_REGION"]
	}
	a, err := p.Open(environ)
	if err != nil {
		return err
	}
	if err := a.deployable(r); err != nil {
		return err
	}
	d := a.deployer(out, r)
	if r.Remove {
		functions := []deploy.Function{{Name: r.Name + answersAs, Answers: true}, {Name: r.Name}}
		return d.Remove(ctx, functions...)
	}
	functions, err := a.functions(ctx, environ, r)
	if err != nil {
		return err
	}
	if err := a.checkFirst(ctx, out); err != nil {
		return err
	}
	return d.Deploy(ctx, functions...)
}

// answersAs is what the name of the function that answers Slack has behind that of the other.
const answersAs = "-slack"

// deployable is an error if the settings will not do for a function.
func (a *App) deployable(r deploy.Request) error {
	switch {
	case a.cfg.State.Bucket == "":
		err := errors.New("STATE_URL is not in COS: a function keeps nothing on a disk")
		return advice.Add(err, "set STATE_URL to cos://BUCKET-APPID/clbwatch?region=ap-guangzhou; the bucket is "+
			"made if it is not there, and the console shows your APPID under Account Information")
	case a.slack == nil && !r.Remove:
		return errNoSlack
	}
	return nil
}

func (a *App) deployer(out io.Writer, r deploy.Request) *deploy.Deployer {
	keys := deploy.Keys{SecretID: a.cfg.SecretID, SecretKey: a.cfg.SecretKey.Reveal(),
		Token: a.cfg.Token.Reveal()}
	at := a.cfg.State
	return &deploy.Deployer{
		API: &deploy.API{Keys: keys, Region: a.cfg.Deploy.Region, Base: a.cfg.Deploy.API, HTTP: a.http.Transport},
		Bucket: deploy.Bucket{Name: at.Bucket, Region: at.Region, Prefix: at.Prefix, Endpoint: at.Endpoint,
			Keys: keys, HTTP: a.http.Transport},
		Secrets: config.Secrets(), Out: out, DryRun: r.DryRun, Sleep: sleep,
	}
}

// functions are those to be deployed.
func (a *App) functions(ctx context.Context, environ map[string]string,
	r deploy.Request) ([]deploy.Function, error) {
	code, err := codeOf(r.Zip)
	if err != nil {
		return nil, err
	}
	clbs, _ := a.watcher.Watched(ctx) // why a search fails, the check says
	f := deploy.Function{Name: r.Name, Settings: config.ForFunction(environ, false),
		Memory: memoryFor(len(clbs)), Code: code, Version: r.Version}
	if !r.Slack {
		return []deploy.Function{f}, nil
	}
	talks := deploy.Function{Name: r.Name + answersAs, Answers: true,
		Settings: config.ForFunction(environ, true), Memory: leastMemory, Code: code, Version: r.Version}
	return []deploy.Function{f, talks}, nil
}

func codeOf(zip string) (deploy.Code, error) {
	if zip != "" {
		return deploy.ReadZip(zip)
	}
	program, err := os.Executable()
	if err != nil {
		return deploy.Code{}, fmt.Errorf("find this program: %w", err)
	}
	return deploy.FromProgram(program)
}

// leastMemory is the least that a function can have, in MB.
const leastMemory = 128

// memoryFor is how many MB a function needs for so many load balancers. With the memory comes the share of a
// core: a tenth with 128 MB (docs/performance.md).
func memoryFor(clbs int) int {
	switch {
	case clbs <= 300:
		return leastMemory
	case clbs <= 1000:
		return 2 * leastMemory
	}
	return 4 * leastMemory
}

// checkFirst checks what the function will need, as far as this machine can.
func (a *App) checkFirst(ctx context.Context, out io.Writer) error {
	probes := slices.DeleteFunc(a.Probes(ctx, false), func(p check.Probe) bool {
		return p.Name == "state" || p.Name == "files" // the function's own are not here
	})
	var found strings.Builder
	well, err := check.Run(ctx, &found, probes, false, 0)
	if err != nil || well {
		return err
	}
	if _, err := io.WriteString(out, found.String()); err != nil {
		return err
	}
	return advice.Add(errors.New("something is wrong that the function cannot do without: nothing was changed"),
		"mend what is WRONG above, and run the command again")
}
