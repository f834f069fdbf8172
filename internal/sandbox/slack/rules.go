package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What Slack allows in one message, of its own type definitions (@slack/types) where they say it; the sum
// over all blocks is not published, and this is below every size that was seen to be refused.
const (
	maxText        = 40_000 // characters of the top-level text; beyond it Slack cuts in silence
	maxBlocks      = 50     // attachments included
	maxAttachments = 20     // Slack takes 100 and asks never to send more than 20
	maxBlockBytes  = 13_000 // JSON of blocks and attachments together
	maxTextObject  = 3_000
	maxField       = 2_000
	maxFields      = 10
	maxHeader      = 150
	maxContext     = 10 // elements
	maxBlockID     = 255
)

// check says what Slack would say to a message: nil, or a refusal. It is stricter in some things: text is
// required (it is the notification, and all a screen reader reads), colours are hex (names come out grey
// beside blocks), block types are only those written down here, so that whoever sends another one adds
// its limits first, and buttons must have an action_id that no other button of the message has (Slack makes
// one up, and asks that it be unique in its block only).
func check(raw []byte) error {
	var m struct {
		Text        string
		Blocks      []json.RawMessage
		Attachments []map[string]json.RawMessage
	}
	if !utf8.Valid(raw) || !bytes.HasPrefix(raw, []byte("{")) {
		return errors.New("not a JSON object in UTF-8")
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if strings.TrimSpace(m.Text) == "" {
		return refuse("no_text", "text is empty")
	}
	if n := utf8.RuneCountInString(m.Text); n > maxText {
		return refuse("msg_too_long", "text has %d characters", n)
	}
	if n := len(m.Attachments); n > maxAttachments {
		return refuse("too_many_attachments", "%d attachments", n)
	}
	all := m.Blocks
	for i, a := range m.Attachments {
		blocks, err := attachment(a)
		if err != nil {
			return refuse("invalid_attachments", "attachments/%d: %v", i, err)
		}
		all = append(all, blocks...)
	}
	if len(all) > maxBlocks {
		return refuse("invalid_blocks", "%d blocks, no more than %d allowed", len(all), maxBlocks)
	}
	ids := make(map[string]bool)
	for i, b := range all {
		id, err := block(b)
		if err == nil && id != "" && ids[id] {
			err = fmt.Errorf("block_id %q is given twice", id)
		}
		if err != nil {
			return refuse("invalid_blocks", "block %d: %v", i, err)
		}
		ids[id] = true
	}
	if err := actionIDs(raw); err != nil {
		return refuse("invalid_blocks", "%v", err)
	}
	if n := blockBytes(raw); n > maxBlockBytes {
		return refuse("msg_blocks_too_long", "blocks and attachments have %d bytes", n)
	}
	return nil
}

func refuse(word, format string, args ...any) error {
	return refusal{http.StatusBadRequest, word, fmt.Sprintf(format, args...)}
}

// blockBytes is the size of blocks and attachments as plain JSON, however the sender escaped them.
func blockBytes(raw []byte) int {
	var m struct {
		Blocks      any `json:"blocks,omitempty"`
		Attachments any `json:"attachments,omitempty"`
	}
	_ = json.Unmarshal(raw, &m) // it was decoded before
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(m) // what was decoded encodes
	return buf.Len() - 1
}

var hexColour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// attachment checks what is around the blocks of an attachment, and returns those.
func attachment(a map[string]json.RawMessage) (blocks []json.RawMessage, err error) {
	if raw, ok := a["blocks"]; ok {
		if err := json.Unmarshal(raw, &blocks); err != nil {
			return nil, fmt.Errorf("blocks: %w", err)
		}
	}
	if raw, ok := a["color"]; ok {
		var colour string
		if err := json.Unmarshal(raw, &colour); err != nil || !hexColour.MatchString(colour) {
			return nil, fmt.Errorf("color %s is not like #a30200", raw)
		}
	}
	for key := range a {
		if blocks != nil && !slices.Contains([]string{"blocks", "color", "fallback"}, key) {
			return nil, fmt.Errorf("%s beside blocks", key)
		}
	}
	if blocks == nil && a["text"] == nil && a["fallback"] == nil {
		return nil, errors.New("neither blocks nor text")
	}
	return blocks, nil
}

// block checks one block and returns its block_id, if it has one.
func block(raw json.RawMessage) (id string, err error) {
	b, err := parse(raw)
	if err != nil {
		return "", err
	}
	id, err = b.optional("block_id", maxBlockID)
	if err != nil {
		return "", err
	}
	switch kind := b.kind(); kind {
	case "divider":
		return id, b.only()
	case "header":
		return id, errors.Join(b.only("text"), text(b["text"], maxHeader, "plain_text"))
	case "section":
		return id, section(b)
	case "context":
		return id, errors.Join(b.only("elements"),
			b.each("elements", maxContext, func(raw json.RawMessage) error {
				return text(raw, maxTextObject, "plain_text", "mrkdwn")
			}))
	case "actions":
		return id, errors.Join(b.only("elements"), b.each("elements", maxActions, button))
	case "rich_text":
		return id, errors.Join(b.only("elements"), b.each("elements", 0, richText))
	default:
		return "", fmt.Errorf("type %q is unknown", kind)
	}
}

func section(b object) error {
	if err := b.only("text", "fields", "expand"); err != nil {
		return err
	}
	if b["text"] == nil && b["fields"] == nil {
		return errors.New("a section needs text or fields")
	}
	if b["text"] != nil {
		if err := text(b["text"], maxTextObject, "plain_text", "mrkdwn"); err != nil {
			return err
		}
	}
	if b["fields"] != nil {
		return b.each("fields", maxFields, func(raw json.RawMessage) error {
			return text(raw, maxField, "plain_text", "mrkdwn")
		})
	}
	return nil
}

// text checks a text object of at most limit characters.
func text(raw json.RawMessage, limit int, kinds ...string) error {
	t, err := parse(raw)
	if err != nil {
		return err
	}
	if !slices.Contains(kinds, t.kind()) {
		return fmt.Errorf("a text of type %q", t.kind())
	}
	if err := t.only("text",
		map[string]string{"plain_text": "emoji", "mrkdwn": "verbatim"}[t.kind()]); err != nil {
		return err
	}
	return t.required("text", limit)
}

// richText checks a child of a rich_text block.
func richText(raw json.RawMessage) error {
	e, err := parse(raw)
	if err != nil {
		return err
	}
	switch kind := e.kind(); kind {
	case "rich_text_section":
		return errors.Join(e.only("elements"), e.each("elements", 0, inline))
	case "rich_text_quote", "rich_text_preformatted":
		if border := string(e["border"]); border != "" && border != "0" && border != "1" {
			return fmt.Errorf("border %s", border)
		}
		if kind == "rich_text_quote" {
			return errors.Join(e.only("elements", "border"), e.each("elements", 0, inline))
		}
		return errors.Join(e.only("elements", "border", "language"),
			e.each("elements", 0, func(raw json.RawMessage) error {
				if in, err := parse(raw); err == nil && in.kind() != "text" && in.kind() != "link" {
					return fmt.Errorf("%s in preformatted text", in.kind())
				}
				return inline(raw)
			}))
	case "rich_text_list":
		if style := string(e["style"]); style != `"bullet"` && style != `"ordered"` {
			return fmt.Errorf("list style %s", style)
		}
		return errors.Join(e.only("elements", "style", "indent", "offset", "border"),
			e.each("elements", 0, func(raw json.RawMessage) error {
				if in, err := parse(raw); err == nil && in.kind() != "rich_text_section" {
					return fmt.Errorf("%s in a list", in.kind())
				}
				return richText(raw)
			}))
	default:
		return fmt.Errorf("rich text type %q is unknown", kind)
	}
}

// inline checks an element of running rich text. Who may be mentioned is checked apart (mentions).
func inline(raw json.RawMessage) error {
	e, err := parse(raw)
	if err != nil {
		return err
	}
	var style struct{ Bold, Italic, Strike, Code bool }
	if s := e["style"]; s != nil {
		dec := json.NewDecoder(bytes.NewReader(s))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&style); err != nil {
			return fmt.Errorf("style: %w", err)
		}
	}
	switch kind := e.kind(); kind {
	case "text":
		return errors.Join(e.only("text", "style"), e.required("text", 0))
	case "link":
		_, err := e.optional("text", 0)
		return errors.Join(e.only("url", "text", "style", "unsafe"), e.required("url", 0), err)
	case "emoji":
		return errors.Join(e.only("name", "unicode", "style"), e.required("name", 0))
	case "date":
		if n := string(e["timestamp"]); strings.Trim(n, "0123456789") != "" || n == "" {
			return fmt.Errorf("timestamp %s", n)
		}
		_, err := e.optional("fallback", 0)
		return errors.Join(e.only("timestamp", "format", "url", "fallback", "style"), e.required("format", 0),
			err)
	case "user":
		return errors.Join(e.only("user_id", "style"), e.required("user_id", 0))
	case "usergroup":
		return errors.Join(e.only("usergroup_id", "style"), e.required("usergroup_id", 0))
	case "broadcast":
		return errors.Join(e.only("range", "style"), e.required("range", 0))
	default:
		return fmt.Errorf("element type %q is unknown", kind)
	}
}

// mentionMarks are mentions in mrkdwn.
var mentionMarks = regexp.MustCompile(`<(?:@|!subteam\^|!)([A-Za-z0-9]+)[|>]`)

// mentions are whom a message mentions: IDs, and here, channel or everyone.
func mentions(raw []byte) (who []string) {
	var v any
	_ = json.Unmarshal(raw, &v) // it passed check
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			literal := v["type"] == "text" || v["type"] == "link" || v["type"] == "plain_text" // not parsed
			for k, e := range v {
				s, ok := e.(string)
				switch {
				case !ok:
					walk(e)
				case k == "user_id" || k == "usergroup_id" || k == "range":
					who = append(who, s)
				case !literal:
					for _, m := range mentionMarks.FindAllStringSubmatch(s, -1) {
						who = append(who, m[1])
					}
				}
			}
		}
	}
	walk(v)
	return who
}

// object is a JSON object that is checked key by key.
type object map[string]json.RawMessage

func parse(raw json.RawMessage) (o object, err error) {
	if raw == nil {
		return nil, errors.New("a part is missing")
	}
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return nil, errors.New("a part is not an object")
	}
	return o, nil
}

func (o object) kind() string {
	var s string
	_ = json.Unmarshal(o["type"], &s) // anything but a string is the unknown type ""
	return s
}

// only refuses keys other than those, type and block_id.
func (o object) only(keys ...string) error {
	for key := range o {
		if key != "type" && key != "block_id" && !slices.Contains(keys, key) {
			return fmt.Errorf("%s has no %q", o.kind(), key)
		}
	}
	return nil
}

// required wants a string that is not empty, of at most limit characters; 0 is no limit.
func (o object) required(key string, limit int) error {
	s, err := o.optional(key, limit)
	if err == nil && s == "" {
		return fmt.Errorf("%s of %s is empty", key, o.kind())
	}
	return err
}

func (o object) optional(key string, limit int) (s string, err error) {
	if o[key] == nil {
		return "", nil
	}
	if err := json.Unmarshal(o[key], &s); err != nil || string(o[key]) == "null" {
		return "", fmt.Errorf("%s of %s is not a string", key, o.kind())
	}
	if n := utf8.RuneCountInString(s); limit > 0 && n > limit {
		return "", fmt.Errorf("%s of %s has %d characters, no more than %d allowed", key, o.kind(), n, limit)
	}
	return s, nil
}

// each checks a list of 1 to limit elements; 0 is no limit.
func (o object) each(key string, limit int, f func(json.RawMessage) error) error {
	var list []json.RawMessage
	if err := json.Unmarshal(o[key], &list); err != nil || len(list) == 0 {
		return fmt.Errorf("%s of %s is not a list with elements", key, o.kind())
	}
	if limit > 0 && len(list) > limit {
		return fmt.Errorf("%d %s in %s, no more than %d allowed", len(list), key, o.kind(), limit)
	}
	for i, raw := range list {
		if err := f(raw); err != nil {
			return fmt.Errorf("%s/%d: %w", key, i, err)
		}
	}
	return nil
}
