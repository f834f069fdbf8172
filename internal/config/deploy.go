package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// parseDeploy reads where the function is put.
func parseDeploy(s settings) (d Deploy, errs []error) {
	if d.Region = s.DeployTo; !regionForm.MatchString(d.Region) {
		errs = append(errs, fmt.Errorf("DEPLOY_REGION is %.40q, expected one like ap-guangzhou", d.Region))
	}
	if s.DeployBy != "" {
		u, err := parseEndpoint(s.DeployBy, "https://tencentcloudapi.com")
		if err != nil {
			errs = append(errs, fmt.Errorf("DEPLOY_API_URL %w", err))
		}
		d.API = u
	}
	return d, errs
}

// ofDeploy begin the names of settings that are for the deployment, and not for the function.
const ofDeploy = "DEPLOY_"

// answering are the settings of a function that does nothing but answer Slack: it is given no secret but one,
// and no permission on load balancers.
var answering = []string{"SLACK_SIGNING_SECRET", "SLACK_CHANNEL", "SLACK_ROUTES", "STATE_URL", "CLB_IDS", "CLB_REGION",
	"CLB_DISCOVER", "STABLE_AFTER", "SILENCES", "SLACK_MENTION_AT", "CONSOLE_URL", "RUNBOOK_URL", "TZ", "LOG_LEVEL",
	"SLACK_API_URL"}

// ForFunction are those of the settings in an environment that a function is given; if answers is set, one
// that does nothing but answer Slack.
func ForFunction(environ map[string]string, answers bool) map[string]string {
	given := maps.Clone(environ)
	names := Names()
	maps.DeleteFunc(given, func(name, value string) bool {
		return strings.TrimSpace(value) == "" || strings.HasPrefix(name, ofDeploy) || !slices.Contains(names, name) ||
			answers && !slices.Contains(answering, name)
	})
	return given
}

// Names are the names of all settings, sorted.
func Names() []string {
	var names []string
	for f := range reflect.TypeFor[settings]().Fields() {
		names = append(names, f.Tag.Get("env"))
	}
	slices.Sort(names)
	return names
}
