package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shown are the parameters of a call, without the values of settings that are secrets.
func shown(c call, secrets []string) string {
	clean := maps.Clone(c.params)
	if env, ok := clean["Environment"].(map[string]any); ok {
		clean["Environment"] = withoutSecrets(env, secrets)
	}
	text, err := json.Marshal(clean)
	if err != nil {
		return fmt.Sprint(slices.Sorted(maps.Keys(clean)))
	}
	return strings.TrimSpace(string(text))
}

// withoutSecrets are the variables of a function as people may see them.
func withoutSecrets(env map[string]any, secrets []string) map[string]any {
	variables, ok := env["Variables"].([]variable)
	if !ok {
		return nil
	}
	shown := make([]variable, 0, len(variables))
	for _, v := range variables {
		if slices.Contains(secrets, v.Key) {
			v.Value = "[secret]"
		}
		shown = append(shown, v)
	}
	return map[string]any{"Variables": shown}
}
