package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// secretSettings are settings whose values nobody is shown.
var secretSettings = []string{"SLACK_BOT_TOKEN", "SLACK_WEBHOOK_URL", "SLACK_SIGNING_SECRET", "HEARTBEAT_URL"}

// shown are the parameters of a call, without what is secret or too long for people.
func shown(c call) string {
	clean := maps.Clone(c.params)
	if env, ok := clean["Environment"].(map[string]any); ok {
		clean["Environment"] = withoutSecrets(env)
	}
	text, err := json.Marshal(clean)
	if err != nil {
		return fmt.Sprint(slices.Sorted(maps.Keys(clean)))
	}
	return strings.TrimSpace(string(text))
}

// withoutSecrets are the variables of a function as people may see them.
func withoutSecrets(env map[string]any) map[string]any {
	variables, ok := env["Variables"].([]variable)
	if !ok {
		return nil
	}
	shown := make([]variable, 0, len(variables))
	for _, v := range variables {
		if slices.Contains(secretSettings, v.Key) {
			v.Value = "[secret]"
		}
		shown = append(shown, v)
	}
	return map[string]any{"Variables": shown}
}
