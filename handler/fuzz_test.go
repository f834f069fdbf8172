package handler_test

import (
	"encoding/json"
	"testing"
)

// FuzzInvoke checks that any bytes are an event that is understood or an error, and that a timer's event alone is a tick.
func FuzzInvoke(f *testing.F) {
	for _, event := range []string{`{"Type":"Timer"}`, `{"action":"report"}`, `"test"`, `null`, ``, `{"Type":7}`, `[1]`, "\xff"} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		a := &app{}
		out, err := serve(a).Invoke(t.Context(), event)
		if (err == nil) != json.Valid(out) || (err == nil) != (a.asked != "") {
			t.Errorf("Invoke(%q) = %q, %v, and did %q", event, out, err, a.asked)
		}
	})
}
