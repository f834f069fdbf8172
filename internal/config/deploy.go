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
	if d.Region = s.Target; !regionForm.MatchString(d.Region) {
		errs = append(errs, fmt.Errorf("DEPLOY_REGION is %.40q, expected one like ap-guangzhou", d.Region))
	}
	if s.Control != "" {
		u, err := parseEndpoint(s.Control, "https://tencentcloudapi.com")
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
var answering = []string{"SLACK_SIGNING_SECRET", "SLACK_CHANNEL", "SLACK_ROUTES", "STATE_URL", "CLB_IDS",
	"CLB_REGION", "CLB_DISCOVER", "STABLE_AFTER", "SILENCES", "SLACK_MENTION_AT", "CONSOLE_URL", "RUNBOOK_URL",
	"TZ", "LOG_LEVEL", "SLACK_API_URL"}

// ForFunction are those of the settings in an environment that a function is given; if answers is set, one
// that does nothing but answer Slack.
func ForFunction(environ map[string]string, answers bool) map[string]string {
	given := maps.Clone(environ)
	known := Names()
	maps.DeleteFunc(given, func(name, value string) bool {
		return strings.TrimSpace(value) == "" || strings.HasPrefix(name, ofDeploy) ||
			!slices.Contains(known, name) || answers && !slices.Contains(answering, name)
	})
	return given
}

// Names are the names of all settings, sorted.
func Names() []string { return names(func(reflect.StructField) bool { return true }) }

// Secrets are the names of the settings whose values nobody may be shown, sorted.
func Secrets() []string {
	return names(func(f reflect.StructField) bool { return f.Type == reflect.TypeFor[Secret]() })
}

// names are the names of some settings, sorted.
func names(some func(reflect.StructField) bool) []string {
	var all []string
	for f := range reflect.TypeFor[settings]().Fields() {
		if some(f) {
			all = append(all, f.Tag.Get("env"))
		}
	}
	slices.Sort(all)
	return all
}
