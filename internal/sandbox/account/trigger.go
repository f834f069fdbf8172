package account

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of triggers. Source: https://cloud.tencent.com/document/product/583/11637.
const (
	maxTriggers = 10   // of one type
	maxArgument = 4096 // bytes of a timer's argument
)

// triggerName is what triggers are called: up to 100 characters, says CreateTrigger (the page of timer
// triggers says 60).
var triggerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,99}$`)

// trigger is a timer or a Function URL.
type trigger struct {
	kind, name, qualifier string
	desc                  string // as it is listed
	description, argument string
	open                  bool
	added, modified       time.Time
}

// triggerParams are those of CreateTrigger and UpdateTrigger.
type triggerParams struct {
	FunctionName                                                           string `api:"required"`
	TriggerName                                                            string `api:"required"`
	Type                                                                   string `api:"required"`
	TriggerDesc, Namespace, Qualifier, Enable, CustomArgument, Description *string
}

// whichTrigger is what identifies one.
func (f *function) trigger(kind, name string, qualifier *string) *trigger {
	of := "$LATEST"
	set(&of, qualifier)
	for _, t := range f.triggers {
		if t.kind == kind && t.name == name && t.qualifier == of {
			return t
		}
	}
	return nil
}

func (a *Account) createTrigger(q *request, p triggerParams) (map[string]any, error) {
	f, err := a.ready(q, p.FunctionName, p.Namespace, "FailedOperation.CreateTrigger")
	if err != nil {
		return nil, err
	}
	t := &trigger{kind: p.Type, name: p.TriggerName, qualifier: "$LATEST", added: a.Now()}
	set(&t.qualifier, p.Qualifier)
	if p.TriggerDesc == nil {
		return nil, refusal("InvalidParameterValue.TriggerDesc", "no TriggerDesc")
	}
	if err := a.setTrigger(f, t, p); err != nil {
		return nil, err
	}
	ofKind := 0
	for _, other := range f.triggers {
		switch {
		case other.kind != t.kind:
			continue
		case other.name == t.name:
			// the list has ResourceInUse.TriggerName as well, of the same meaning
			return nil, refusal("ResourceInUse.Trigger", "there is a trigger %s", t.name)
		case t.kind == "http" && other.qualifier == t.qualifier:
			return nil, refusal("ResourceInUse.Trigger", "%s of the function has a URL: %s", t.qualifier,
				other.name)
		}
		ofKind++
	}
	if ofKind >= maxTriggers {
		return nil, refusal("LimitExceeded.Trigger", "there are %d of the type %s", ofKind, t.kind)
	}
	f.triggers = append(f.triggers, t)
	return map[string]any{"TriggerInfo": t.answer()}, nil
}

// updateTrigger changes what it is given. That what is left out stays as it was is an assumption.
func (a *Account) updateTrigger(q *request, p triggerParams) (map[string]any, error) {
	f, err := a.ready(q, p.FunctionName, p.Namespace, "FailedOperation.UpdateTrigger")
	if err != nil {
		return nil, err
	}
	t := f.trigger(p.Type, p.TriggerName, p.Qualifier)
	if t == nil {
		return nil, refusal("ResourceNotFound.Trigger", "no trigger %s of the type %s", p.TriggerName, p.Type)
	}
	return nil, a.setTrigger(f, t, p)
}

// setTrigger takes over what was given, or nothing. Enable left out leaves a new trigger closed: which it
// is, is not documented, and nobody may rely on it.
func (a *Account) setTrigger(f *function, t *trigger, p triggerParams) error {
	next := *t
	if err := checkQualifier(p.Qualifier, "ResourceNotFound.Qualifier"); err != nil {
		return err
	}
	if !triggerName.MatchString(t.name) {
		return refusal("InvalidParameterValue.TriggerName", "trigger name %q", t.name)
	}
	switch value(p.Enable) {
	case "OPEN", "CLOSE":
		next.open = *p.Enable == "OPEN"
	default:
		if p.Enable != nil {
			return refusal("InvalidParameterValue.Enable", "Enable %q", *p.Enable)
		}
	}
	if p.CustomArgument != nil && (t.kind != "timer" || len(*p.CustomArgument) > maxArgument) {
		return refusal("InvalidParameterValue.CustomArgument", "not of a timer, or over %d bytes",
			maxArgument)
	}
	set(&next.argument, p.CustomArgument)
	set(&next.description, p.Description)
	if p.TriggerDesc != nil {
		var err error
		switch t.kind {
		case "timer":
			next.desc, err = timerDesc(*p.TriggerDesc)
		case "http":
			next.desc, err = urlDesc(*p.TriggerDesc, f.host+"."+f.region+".tencentscf.com")
		default:
			err = refusal("InvalidParameterValue.Type", "the sandbox has no triggers of type %q", t.kind)
		}
		if err != nil {
			return err
		}
	}
	next.modified = a.Now()
	*t = next
	return nil
}

// timerDesc takes a cron expression, alone or as {"cron": …}, and returns the latter, as which it is listed.
// Source: tencent-component-toolkit, which compares the two.
func timerDesc(s string) (string, error) {
	given := s
	if strings.HasPrefix(s, "{") {
		var desc map[string]string
		if json.Unmarshal([]byte(s), &desc) != nil || len(desc) != 1 {
			return "", refusal("InvalidParameterValue.TriggerDesc", "TriggerDesc %s", s)
		}
		s = desc["cron"]
	}
	if !isCron(s) {
		return "", refusal("InvalidParameterValue.TriggerDesc",
			"TriggerDesc %q is no cron expression of 7 fields",
			given)
	}
	desc, err := json.Marshal(map[string]string{"cron": s})
	return string(desc), err
}

// urlDesc takes the description of a Function URL, and returns it with the URL. Sources: the toolkit for
// what is sent; NetConfig.ExtranetUrl for what is listed was seen by others, and is not documented.
func urlDesc(s, host string) (string, error) {
	var p struct {
		AuthType  string `api:"required"`
		NetConfig struct {
			EnableIntranet bool `api:"required"`
			EnableExtranet bool `api:"required"`
		} `api:"required"`
	}
	if err := decode([]byte(s), &p); err != nil {
		return "", refusal("InvalidParameterValue.TriggerDesc", "TriggerDesc %s: %v", s, err)
	}
	if p.AuthType != "NONE" && p.AuthType != "CAM" {
		return "", refusal("InvalidParameterValue.TriggerDesc", "AuthType %q", p.AuthType)
	}
	net := map[string]any{"EnableIntranet": p.NetConfig.EnableIntranet,
		"EnableExtranet": p.NetConfig.EnableExtranet}
	if p.NetConfig.EnableExtranet {
		net["ExtranetUrl"] = "https://" + host
	}
	if p.NetConfig.EnableIntranet {
		net["IntranetUrl"] = "http://in-" + host
	}
	desc, err := json.Marshal(map[string]any{"AuthType": p.AuthType, "NetConfig": net})
	return string(desc), err
}

// answer is a trigger as it is listed: Enable is a number there. Source: the SDK's Trigger and TriggerInfo.
func (t *trigger) answer() map[string]any {
	enable := 0
	if t.open {
		enable = 1
	}
	return map[string]any{"TriggerName": t.name, "Type": t.kind, "TriggerDesc": t.desc, "Enable": enable,
		"Qualifier": t.qualifier, "CustomArgument": t.argument, "Description": t.description,
		"AvailableStatus": "Available", "AddTime": t.added.Format(timeFormat),
		"ModTime": t.modified.Format(timeFormat), "BindStatus": "", "ResourceId": "", "TriggerAttribute": ""}
}

func (a *Account) deleteTrigger(q *request, p struct {
	FunctionName                      string `api:"required"`
	TriggerName                       string `api:"required"`
	Type                              string `api:"required"`
	Namespace, TriggerDesc, Qualifier *string
}) (map[string]any, error) {
	f, err := a.ready(q, p.FunctionName, p.Namespace, "FailedOperation.DeleteTrigger")
	if err != nil {
		return nil, err
	}
	t := f.trigger(p.Type, p.TriggerName, p.Qualifier)
	if t == nil {
		return nil, refusal("ResourceNotFound.Trigger", "no trigger %s of the type %s", p.TriggerName, p.Type)
	}
	f.triggers = slices.DeleteFunc(f.triggers, func(other *trigger) bool { return other == t })
	return nil, nil
}

// listTriggers lists them, the last to be changed first.
func (a *Account) listTriggers(q *request, p struct {
	FunctionName              string `api:"required"`
	Offset, Limit             *int64
	Namespace, OrderBy, Order *string
}) (map[string]any, error) {
	f, err := a.find(q, p.FunctionName, p.Namespace)
	if err != nil {
		return nil, err
	}
	switch {
	case p.OrderBy != nil && *p.OrderBy != "add_time" && *p.OrderBy != "mod_time":
		return nil, refusal("InvalidParameterValue.OrderBy", "OrderBy %q", *p.OrderBy)
	case p.Order != nil && *p.Order != "ASC" && *p.Order != "DESC":
		return nil, refusal("InvalidParameterValue.Order", "Order %q", *p.Order)
	}
	list := slices.Clone(f.triggers)
	slices.SortStableFunc(list, func(x, y *trigger) int {
		if value(p.OrderBy) == "add_time" {
			return x.added.Compare(y.added)
		}
		return x.modified.Compare(y.modified)
	})
	if value(p.Order) != "ASC" {
		slices.Reverse(list)
	}
	part, err := window(list, p.Offset, p.Limit)
	rows := []map[string]any{}
	for _, t := range part {
		rows = append(rows, t.answer())
	}
	return map[string]any{"TotalCount": len(list), "Triggers": rows}, err
}
