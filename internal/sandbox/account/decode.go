package account

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decode reads the parameters of an action into a struct whose fields have their names. A field that is no
// pointer and is tagged api:"required" must be there; an absent one that is a pointer stays nil. Names
// count with their case, and numbers are not texts. Codes are those that all of API 3.0 shares:
// UnknownParameter for what is none, InvalidParameter for a wrong type, MissingParameter.
func decode(body []byte, into any) error {
	if !isObject(body) {
		return refusal("InvalidParameter", "the body is no JSON object")
	}
	return fill(body, reflect.ValueOf(into).Elem(), "")
}

func isObject(raw []byte) bool {
	return json.Valid(raw) && strings.HasPrefix(strings.TrimSpace(string(raw)), "{")
}

// fill reads one value. name is what an error calls it, such as Code.ZipFile.
func fill(raw json.RawMessage, v reflect.Value, name string) error {
	wrong := refusal("InvalidParameter", "the value type of parameter `%s` is not valid: want %s", name,
		typeName(v.Type()))
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(raw, v.Elem(), name)
	case reflect.Struct:
		if !isObject(raw) {
			return wrong
		}
		return fillStruct(raw, v, name)
	case reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) != nil || items == nil {
			return wrong
		}
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
		for i, item := range items {
			if err := fill(item, v.Index(i), name); err != nil {
				return err
			}
		}
		return nil
	}
	if string(raw) == "null" || json.Unmarshal(raw, v.Addr().Interface()) != nil {
		return wrong
	}
	return nil
}

func fillStruct(raw json.RawMessage, v reflect.Value, name string) error {
	var params map[string]json.RawMessage
	if err := json.Unmarshal(raw, &params); err != nil {
		return refusal("InvalidParameter", "%s: %v", name, err)
	}
	prefix := ""
	if name != "" {
		prefix = name + "."
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		f, ok := v.Type().FieldByName(key)
		if !ok {
			return refusal("UnknownParameter", "the parameter `%s` is not recognized", prefix+key)
		}
		if err := fill(params[key], v.FieldByIndex(f.Index), prefix+key); err != nil {
			return err
		}
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if _, ok := params[f.Name]; !ok && f.Tag.Get("api") == "required" {
			return refusal("MissingParameter", "the request is missing a required parameter `%s`",
				prefix+f.Name)
		}
	}
	return nil
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "a list"
	}
	return t.Kind().String()
}
