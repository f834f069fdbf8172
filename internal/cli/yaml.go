package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// yamlOf is a JSON document as YAML in block style, with its keys in the same order.
func yamlOf(document []byte) (string, error) {
	y := yaml{in: json.NewDecoder(bytes.NewReader(document))}
	y.in.UseNumber()
	if err := y.value("", true); err != nil {
		return "", err
	}
	return y.out.String(), nil
}

// yaml turns the tokens of a JSON document into lines.
type yaml struct {
	in  *json.Decoder
	out strings.Builder
}

// value writes the next value of the document. The lines of a list or an object have the indent. The first of
// them goes on in the present line if first is set: at the start of the document, and after a dash.
func (y *yaml) value(indent string, first bool) error {
	token, err := y.in.Token()
	if err != nil {
		return err
	}
	opening, nested := token.(json.Delim)
	nested = nested && y.in.More()
	switch {
	case first:
	case nested:
		y.out.WriteString("\n" + indent)
	default:
		y.out.WriteString(" ")
	}
	if nested {
		return y.block(indent, opening == '[')
	}
	if err := y.word(token); err != nil {
		return err
	}
	y.out.WriteString("\n")
	return nil
}

// block writes a list or an object that is not empty, from behind its opening bracket to the closing one.
func (y *yaml) block(indent string, list bool) error {
	for n := 0; y.in.More(); n++ {
		if n > 0 {
			y.out.WriteString(indent)
		}
		if list {
			y.out.WriteString("- ")
		} else {
			key, err := y.in.Token()
			if err != nil {
				return err
			}
			if err := y.word(key); err != nil {
				return err
			}
			y.out.WriteString(":")
		}
		if err := y.value(indent+"  ", list); err != nil {
			return err
		}
	}
	_, err := y.in.Token() // the closing bracket
	return err
}

// plain is a text that YAML reads as it stands: it begins with no sign that means something, and no colon or
// space is followed by another, or is the last.
var plain = regexp.MustCompile(`^[A-Za-z/](?:[ :]?[A-Za-z0-9_./-])*$`)

// notText are words that YAML, in one of its versions, does not read as text.
var notText = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|y|n|null)$`)

// word writes a key or a value without parts as JSON does, which is YAML too, but plain text without quotes.
func (y *yaml) word(token json.Token) error {
	switch t := token.(type) {
	case json.Delim: // of what is empty
		end, err := y.in.Token()
		if err != nil {
			return err
		}
		fmt.Fprintf(&y.out, "%v%v", t, end)
		return nil
	case string:
		if plain.MatchString(t) && !notText.MatchString(t) {
			y.out.WriteString(t)
			return nil
		}
	}
	b, err := encode(token)
	y.out.Write(b)
	return err
}
