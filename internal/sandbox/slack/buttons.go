package slack

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// What Slack allows of buttons. Source: docs.slack.dev/reference/block-kit, the pages of the actions block
// and of the button element.
const (
	maxActions     = 25 // elements
	maxLabel       = 75 // characters
	maxActionID    = 255
	maxValue       = 2_000
	maxButtonURL   = 3_000
	maxButtonLabel = 75 // of accessibility_label
)

// button checks an element of an actions block. Only buttons are known here so far.
func button(raw json.RawMessage) error {
	b, err := parse(raw)
	if err != nil {
		return err
	}
	if b.kind() != "button" {
		return fmt.Errorf("element type %q in actions is unknown", b.kind())
	}
	if b["block_id"] != nil {
		return errors.New(`button has no "block_id"`)
	}
	if style := string(b["style"]); style != "" && style != `"primary"` && style != `"danger"` {
		return fmt.Errorf("button style %s", style)
	}
	_, value := b.optional("value", maxValue)
	_, address := b.optional("url", maxButtonURL)
	_, label := b.optional("accessibility_label", maxButtonLabel)
	return errors.Join(b.only("text", "action_id", "value", "style", "url", "accessibility_label"),
		text(b["text"], maxLabel, "plain_text"), b.required("action_id", maxActionID), value, address, label)
}

// actionIDs wants each button of a message to have an action_id of its own.
func actionIDs(raw []byte) error {
	seen := make(map[string]bool)
	for _, b := range buttons(raw) {
		if seen[b.ActionID] {
			return fmt.Errorf("action_id %q is given twice", b.ActionID)
		}
		seen[b.ActionID] = true
	}
	return nil
}

// placed is a button and where it is.
type placed struct {
	ActionID string `json:"action_id"`
	Text     struct {
		Type  string `json:"type"`
		Text  string `json:"text"`
		Emoji *bool  `json:"emoji"`
	} `json:"text"`
	Value *string `json:"value"`
	Style string  `json:"style"`
	URL   string  `json:"url"`

	blockID    string
	attachment int // counted from 1; 0 for a block of the message itself
}

// buttons are the buttons of a message, in order. Their blocks need not have an id.
func buttons(raw []byte) (all []placed) {
	type block struct {
		Type     string
		BlockID  string `json:"block_id"`
		Elements []json.RawMessage
	}
	var m struct {
		Blocks      []block
		Attachments []struct{ Blocks []block }
	}
	_ = json.Unmarshal(raw, &m) // what is not a message has no buttons
	add := func(blocks []block, attachment int) {
		for _, b := range blocks {
			if b.Type != "actions" {
				continue
			}
			for _, e := range b.Elements {
				p := placed{blockID: b.BlockID, attachment: attachment}
				if json.Unmarshal(e, &p) == nil {
					all = append(all, p)
				}
			}
		}
	}
	add(m.Blocks, 0)
	for i, a := range m.Attachments {
		add(a.Blocks, i+1)
	}
	return all
}

// identify gives the parts of a message, as it is shown, the ids that Slack gives them: blocks without a
// block_id get one that changes with every edit, attachments are numbered from 1.
func identify(m map[string]any, p Post) {
	n := 0
	each := func(list any) {
		blocks, _ := list.([]any)
		for _, b := range blocks {
			n++
			if b, ok := b.(map[string]any); ok && b["block_id"] == nil {
				sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", p.TS, p.Edited.UnixNano(), n))
				b["block_id"] = base64.RawStdEncoding.EncodeToString(sum[:])[:5]
			}
		}
	}
	each(m["blocks"])
	attachments, _ := m["attachments"].([]any)
	for i, a := range attachments {
		a, ok := a.(map[string]any)
		if !ok {
			continue
		}
		each(a["blocks"])
		a["id"] = i + 1
		if a["fallback"] == nil && a["blocks"] != nil {
			a["fallback"] = "[no preview available]"
		}
		if colour, ok := a["color"].(string); ok {
			a["color"] = strings.TrimPrefix(colour, "#") // as Slack shows it
		}
	}
}
