package cloud

import (
	"encoding/json"
	"net/http"
	"time"
)

// Odd answers: legal form, and something in it that the documentation calls nullable, or that other clients
// were seen to skip.

// A Change edits an answer that was decoded from JSON. What it returns takes its place.
type Change func(answer any) any

// In applies a change to what is at a path of keys; "*" is each element of a list, or the first if there is
// nothing else to tell. What is not there is left alone.
func In(change Change, path ...string) Change {
	if len(path) == 0 {
		return change
	}
	next := In(change, path[1:]...)
	return func(v any) any {
		switch at := v.(type) {
		case map[string]any:
			if old, ok := at[path[0]]; ok {
				at[path[0]] = next(old)
			}
		case []any:
			if path[0] == "*" {
				for i := range at {
					at[i] = next(at[i])
				}
			}
		}
		return v
	}
}

// Row applies a change to the nth element of a list, from 0. nil takes its place if the change is nil.
func Row(n int, change Change) Change {
	return func(v any) any {
		rows, ok := v.([]any)
		if !ok || n >= len(rows) {
			return v
		}
		if change == nil {
			rows[n] = nil
		} else {
			rows[n] = change(rows[n])
		}
		return rows
	}
}

// Set puts a value into a field.
func Set(field string, value any) Change {
	return func(v any) any {
		if at, ok := v.(map[string]any); ok {
			at[field] = value
		}
		return v
	}
}

// Drop leaves fields out.
func Drop(fields ...string) Change {
	return func(v any) any {
		if at, ok := v.(map[string]any); ok {
			for _, f := range fields {
				delete(at, f)
			}
		}
		return v
	}
}

// Repeat has the nth element of a list once more, at its end.
func Repeat(n int) Change {
	return func(v any) any {
		if rows, ok := v.([]any); ok && n < len(rows) {
			return append(rows, rows[n])
		}
		return v
	}
}

// V3Odd changes an answer of API 3.0, from its "Response" on.
func V3Odd(name string, change Change) V3Fault {
	return V3Fault{name: name, serve: func(w http.ResponseWriter, _ *http.Request, body []byte) {
		writeJSON(w, changed(body, In(change, "Response")))
	}}
}

// V3Serve answers with whatever serve writes.
func V3Serve(name string, serve func(http.ResponseWriter)) V3Fault {
	return V3Fault{name: name, serve: func(w http.ResponseWriter, _ *http.Request, _ []byte) { serve(w) }}
}

// FaultOdd changes an answer of API 2.0.
func FaultOdd(name string, change Change) Fault {
	return Fault{name: name, serve: func(w http.ResponseWriter, _ *http.Request, a answer) {
		writeJSON(w, changed(a.body(), change))
	}}
}

func changed(body []byte, change Change) []byte {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		panic(err) // it was marshalled a moment ago
	}
	return marshal(change(v))
}

// FailV3In makes the next calls of one action of API 3.0 about one region go wrong, before the faults of
// FailV3On.
func (c *Cloud) FailV3In(region, action string, f V3Fault, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faultsV3 = append(c.faultsV3, &pendingV3{region + " " + action, f, times})
}

// RefuseInstance makes CVM refuse every call that asks for an instance, with a code, until ClearFaults.
func (c *Cloud) RefuseInstance(id, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusing[id] = code
}

// HideInstance makes CVM not know an instance for a while, as one that was just created.
func (c *Cloud) HideInstance(id string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.machines[id]; m != nil {
		m.hidden = c.Now().Add(d)
	}
}
