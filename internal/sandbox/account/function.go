package account

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"clbwatch/internal/sandbox"
)

// The states of a function here. Publishing, Deleting and what follows on them are others of the cloud:
// here a function is gone as soon as it is deleted (https://cloud.tencent.com/document/product/583/115197).
const (
	active, creating, updating = "Active", "Creating", "Updating"
	createFailed, updateFailed = "CreateFailed", "UpdateFailed"
)

// Bounds of functions. Source: https://cloud.tencent.com/document/product/583/11637, and CreateFunction.
const (
	maxFunctions   = 50 // of a namespace
	maxDescription = 1000
	maxEnvironment = 4096 // bytes: "请保持在 4KB 以内", keys and values together; how it counts is not said
)

// functionName is what functions are called. Source: FunctionName of CreateFunction.
var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]$`)

// function is a function in one region and the namespace default.
type function struct {
	id, region, name string
	handler, runtime string
	config           configuration
	code             code
	triggers         []*trigger
	reserved         *int64 // MB; nil if there is no reservation
	retries, ttl     int64  // of asynchronous invocations that failed; seconds
	added, modified  time.Time
	status, next     string // next is what it is after polls more GetFunction
	polls            int
	reasons          []map[string]string // why it is …Failed
	running          int64               // invocations
	host             string              // first part of its Function URL
}

// configuration is what UpdateFunctionConfiguration changes.
type configuration struct {
	description, role, publicNet string
	memory, timeout, initTimeout int64
	environment                  []variable
}

type variable struct {
	Key   string `api:"required"`
	Value string `api:"required"`
}

// configParams are the parameters that CreateFunction and UpdateFunctionConfiguration share, as far as the
// sandbox has them.
type configParams struct {
	Description, Role                *string
	MemorySize, Timeout, InitTimeout *int64
	Environment                      *struct{ Variables []variable }
	PublicNetConfig                  *publicNetConfig
}

type publicNetConfig struct {
	PublicNetStatus string `api:"required"`
	EipConfig       *struct {
		EipStatus string `api:"required"`
	}
}

func functionActions() map[string]action {
	invoke, invokeFunction := writes((*Account).invoke), writes((*Account).invokeFunction)
	invoke.unlocked, invokeFunction.unlocked = true, true
	return map[string]action{
		"GetFunction": reads((*Account).getFunction), "ListFunctions": reads((*Account).listFunctions),
		"GetFunctionAddress":              reads((*Account).getFunctionAddress),
		"CreateFunction":                  writes((*Account).createFunction),
		"UpdateFunctionCode":              writes((*Account).updateCode),
		"UpdateFunctionConfiguration":     writes((*Account).updateConfiguration),
		"DeleteFunction":                  writes((*Account).deleteFunction),
		"Invoke":                          invoke,
		"InvokeFunction":                  invokeFunction,
		"CreateTrigger":                   writes((*Account).createTrigger),
		"UpdateTrigger":                   writes((*Account).updateTrigger),
		"DeleteTrigger":                   writes((*Account).deleteTrigger),
		"ListTriggers":                    reads((*Account).listTriggers),
		"PutReservedConcurrencyConfig":    writes((*Account).reserve),
		"GetReservedConcurrencyConfig":    reads((*Account).getReservation),
		"DeleteReservedConcurrencyConfig": writes((*Account).deleteReservation),
		"UpdateFunctionEventInvokeConfig": writes((*Account).updateEventInvoke),
		"GetFunctionEventInvokeConfig":    reads((*Account).getEventInvoke),
	}
}

// functionResource is what a policy calls a function.
func (a *Account) functionResource(region, name string) string {
	return "qcs::scf:" + region + ":uin/" + a.UIN + ":namespace/" + defaultNS + "/function/" + name
}

// find returns a function. For one that is not there the lists have two codes, …Function and …FunctionName,
// of the same meaning: this one is what GetFunction is seen to answer (tencent-component-toolkit knows
// both).
func (a *Account) find(q *request, name string, namespace *string) (*function, error) {
	if err := checkNamespace(namespace); err != nil {
		return nil, err
	}
	f := a.functions[q.region+"/"+name]
	if f == nil {
		return nil, refusal("ResourceNotFound.Function", "the function %s does not exist in %s", name,
			q.region)
	}
	return f, nil
}

// ready is find for what only a function takes that no change is under way of; busy is the code for others.
func (a *Account) ready(q *request, name string, namespace *string, busy string) (*function, error) {
	f, err := a.find(q, name, namespace)
	if err == nil && f.status != active && f.status != updateFailed {
		err = refusal(busy, "the function %s is %s", name, f.status)
	}
	return f, err
}

func checkNamespace(namespace *string) error {
	if namespace != nil && *namespace != defaultNS {
		return refusal("ResourceNotFound.Namespace", "namespace %q", *namespace)
	}
	return nil
}

// checkQualifier takes what names the newest code: the sandbox has no other versions.
func checkQualifier(qualifier *string, code string) error {
	if qualifier != nil && *qualifier != "$LATEST" && *qualifier != "$DEFAULT" {
		return refusal(code, "the sandbox has no version %q", *qualifier)
	}
	return nil
}

// change begins a change of a function, which is over after Polls GetFunction.
func (a *Account) change(q *request, f *function, status string) {
	f.modified, f.reasons = a.Now(), nil
	f.status, f.next, f.polls = status, active, a.Polls
	if q.fault.breaks {
		f.next = map[string]string{creating: createFailed, updating: updateFailed}[status]
	}
	f.settle()
}

// settle ends a change that is over.
func (f *function) settle() {
	if f.polls > 0 {
		return
	}
	f.status = f.next
	if f.status != active {
		f.reasons = []map[string]string{{"ErrorCode": "InternalError", "ErrorMessage": "as the test wanted"}}
	}
}

func (a *Account) createFunction(q *request, p struct {
	FunctionName                                  string     `api:"required"`
	Code                                          codeParams `api:"required"`
	Handler, Runtime, Namespace, Type, CodeSource *string

	Description, Role                *string
	MemorySize, Timeout, InitTimeout *int64
	Environment                      *struct{ Variables []variable }
	PublicNetConfig                  *publicNetConfig
}) (map[string]any, error) {
	f := &function{id: "lam-" + sandbox.RandomHex(4), region: q.region, name: p.FunctionName,
		retries: defaultRetries, ttl: defaultTTL, added: a.Now(), host: a.AppID + "-" + sandbox.RandomHex(5),
		config: configuration{memory: 128, timeout: 3, initTimeout: 65, publicNet: "ENABLE"}}
	if !functionName.MatchString(p.FunctionName) {
		return nil, refusal("InvalidParameterValue.FunctionName", "function name %q", p.FunctionName)
	}
	if err := checkNamespace(p.Namespace); err != nil {
		return nil, err
	}
	if p.Type != nil && *p.Type != "Event" {
		return nil, refusal("InvalidParameterValue.Type", "the sandbox has no functions of type %q", *p.Type)
	}
	if p.Runtime == nil || *p.Runtime != "Go1" {
		return nil, refusal("InvalidParameterValue.Runtime",
			"the sandbox runs Go1 only; absent means Python2.7")
	}
	f.runtime = *p.Runtime
	set(&f.handler, p.Handler)
	params := configParams{p.Description, p.Role, p.MemorySize, p.Timeout, p.InitTimeout, p.Environment,
		p.PublicNetConfig}
	if err := a.configure(&f.config, params); err != nil {
		return nil, err
	}
	if err := p.Code.checkSource(p.CodeSource); err != nil {
		return nil, err
	}
	var err error
	if f.code, err = a.readCode(p.Code, q.region, f.handler, maxCreateZip); err != nil {
		return nil, err
	}
	if a.functions[q.region+"/"+f.name] != nil {
		// as find: the lists have ResourceInUse.FunctionName as well
		return nil, refusal("ResourceInUse.Function", "the function %s exists", f.name)
	}
	if len(a.inRegion(q.region)) >= maxFunctions {
		return nil, refusal("LimitExceeded.Function", "there are %d functions", maxFunctions)
	}
	a.functions[q.region+"/"+f.name] = f
	a.change(q, f, creating)
	return nil, nil
}

// inRegion returns the functions of a region, by name.
func (a *Account) inRegion(region string) []*function {
	var list []*function
	for _, key := range slices.Sorted(maps.Keys(a.functions)) {
		if f := a.functions[key]; f.region == region {
			list = append(list, f)
		}
	}
	return list
}

// configure takes over what was given, or nothing.
func (a *Account) configure(c *configuration, p configParams) error {
	next := *c
	set(&next.description, p.Description)
	set(&next.role, p.Role)
	set(&next.memory, p.MemorySize)
	set(&next.timeout, p.Timeout)
	set(&next.initTimeout, p.InitTimeout)
	if p.Environment != nil {
		next.environment = p.Environment.Variables
	}
	if n := p.PublicNetConfig; n != nil {
		if n.PublicNetStatus != "ENABLE" && n.PublicNetStatus != "DISABLE" {
			return refusal("InvalidParameterValue.PublicNetConfig", "PublicNetStatus %q", n.PublicNetStatus)
		}
		if n.EipConfig != nil && n.EipConfig.EipStatus != "DISABLE" {
			return refusal("InvalidParameterValue.EipConfig", "the sandbox has no fixed addresses")
		}
		next.publicNet = n.PublicNetStatus
	}
	switch {
	case len([]rune(next.description)) > maxDescription:
		return refusal("InvalidParameterValue.Description", "over %d characters", maxDescription)
	case next.memory != 64 && (next.memory < 128 || next.memory > 3072 || next.memory%128 != 0):
		return refusal("InvalidParameterValue.MemorySize", "MemorySize %d", next.memory)
	case next.timeout < 1 || next.timeout > 900: // as LimitExceeded.Timeout is for too much only, both may be
		return refusal("LimitExceeded.Timeout", "Timeout %d is not 1 to 900", next.timeout)
	case next.initTimeout < 3 || next.initTimeout > 300:
		return refusal("LimitExceeded.InitTimeout", "InitTimeout %d is not 3 to 300", next.initTimeout)
	}
	if err := checkEnvironment(next.environment); err != nil {
		return err
	}
	if next.role != "" {
		// What the cloud says of a role that does not trust it is not documented; that it is no role for
		// functions comes nearest.
		if r := a.roles[next.role]; r == nil || !r.trust.trusts(functionService) {
			return refusal("ResourceNotFound.Role", "there is no role %s that %s may assume", next.role,
				functionService)
		}
	}
	*c = next
	return nil
}

var variableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// checkEnvironment holds settings to what the platform takes: names of letters, digits and _, none of its
// own, no empty values, 4 KB. Sources: Variable of the SDK;
// https://cloud.tencent.com/document/product/583/30228.
func checkEnvironment(all []variable) error {
	size, seen := 0, make(map[string]bool)
	for _, v := range all {
		size += len(v.Key) + len(v.Value)
		switch {
		case !variableName.MatchString(v.Key) || v.Value == "":
			return refusal("InvalidParameterValue.Environment", "%q is no name, or its value is empty", v.Key)
		case seen[v.Key]:
			return refusal("InvalidParameterValue.Environment", "%s is given twice", v.Key)
		case strings.HasPrefix(v.Key, "SCF_"), strings.HasPrefix(v.Key, "QCLOUD_"),
			strings.HasPrefix(v.Key, "TENCENTCLOUD_"):
			return refusal("InvalidParameterValue.EnvironmentSystemProtect", "%s is the platform's own",
				v.Key)
		}
		seen[v.Key] = true
	}
	if size > maxEnvironment {
		return refusal("InvalidParameterValue.EnvironmentExceededLimit", "%d bytes", size)
	}
	return nil
}

func (a *Account) updateConfiguration(q *request, p struct {
	FunctionName       string `api:"required"`
	Runtime, Namespace *string
	Publish            *string

	Description, Role                *string
	MemorySize, Timeout, InitTimeout *int64
	Environment                      *struct{ Variables []variable }
	PublicNetConfig                  *publicNetConfig
}) (map[string]any, error) {
	f, err := a.ready(q, p.FunctionName, p.Namespace, "FailedOperation.UpdateFunctionConfiguration")
	switch {
	case err != nil:
		return nil, err
	case p.Runtime != nil && *p.Runtime != f.runtime:
		return nil, refusal("InvalidParameterValue.Runtime", "it cannot be changed")
	}
	if err := checkFlag("Publish", p.Publish); err != nil {
		return nil, err
	}
	if err := a.configure(&f.config, configParams{p.Description, p.Role, p.MemorySize, p.Timeout,
		p.InitTimeout, p.Environment, p.PublicNetConfig}); err != nil {
		return nil, err
	}
	a.change(q, f, updating)
	return nil, nil
}

// checkFlag takes a text that says TRUE or FALSE, as long as it is FALSE: what it would do is not here.
func checkFlag(name string, value *string) error {
	if value != nil && *value != "FALSE" {
		return refusal("InvalidParameterValue", "%s %q: the sandbox has FALSE only", name, *value)
	}
	return nil
}

func (a *Account) deleteFunction(q *request, p struct {
	FunctionName         string `api:"required"`
	Namespace, Qualifier *string
}) (map[string]any, error) {
	f, err := a.find(q, p.FunctionName, p.Namespace)
	switch {
	case err != nil:
		return nil, err
	case p.Qualifier != nil:
		return nil, refusal("ResourceNotFound.Qualifier", "the sandbox has no versions")
	case f.polls > 0:
		return nil, refusal("FailedOperation.DeleteFunction", "the function %s is %s", f.name, f.status)
	}
	delete(a.functions, q.region+"/"+f.name)
	return nil, nil
}

// getFunction tells all of a function, and lets time pass for it: see Polls.
func (a *Account) getFunction(q *request, p struct {
	FunctionName, Qualifier, Namespace, ShowCode *string
}) (map[string]any, error) {
	if p.FunctionName == nil {
		return nil, refusal("InvalidParameter.FunctionNameOrResourceIdRequired", "no FunctionName")
	}
	f, err := a.find(q, *p.FunctionName, p.Namespace)
	if err != nil {
		return nil, err
	}
	if err := checkQualifier(p.Qualifier, "ResourceNotFound.Version"); err != nil {
		return nil, err
	}
	answer := f.answer()
	if f.polls > 0 {
		f.polls--
		f.settle()
	}
	return answer, nil
}

func (f *function) answer() map[string]any {
	triggers := []map[string]any{}
	for _, t := range f.triggers {
		triggers = append(triggers, t.answer())
	}
	return map[string]any{
		"FunctionName": f.name, "FunctionId": f.id, "Namespace": defaultNS, "Runtime": f.runtime,
		"Type":    "Event",
		"Handler": f.handler, "Description": f.config.description, "MemorySize": f.config.memory,
		"Timeout": f.config.timeout, "InitTimeout": f.config.initTimeout, "Role": f.config.role,
		"Environment": map[string]any{"Variables": append([]variable{}, f.config.environment...)},
		"PublicNetConfig": map[string]any{"PublicNetStatus": f.config.publicNet,
			"EipConfig": map[string]any{"EipStatus": "DISABLE", "EipAddress": []string{}}},
		"EipConfig": map[string]any{"EipFixed": "FALSE", "Eips": []string{}},
		"VpcConfig": map[string]any{"VpcId": "", "SubnetId": ""},
		"CodeInfo":  "", "CodeSize": len(f.code.zip), "CodeResult": "success", "CodeError": "", "ErrNo": 0,
		"Status": f.status, "StatusDesc": "", "StatusReasons": append([]map[string]string{}, f.reasons...),
		"AvailableStatus": "Available", "FunctionVersion": "$LATEST", "Qualifier": "$LATEST",
		"AddTime": f.added.Format(timeFormat), "ModTime": f.modified.Format(timeFormat),
		"InstallDependency": "FALSE", "AsyncRunEnable": "FALSE", "TraceEnable": "FALSE", "UseGpu": "FALSE",
		"L5Enable": "FALSE", "DnsCache": "FALSE", "ClsLogsetId": "", "ClsTopicId": "", "Tags": []any{},
		"Layers": []any{}, "Triggers": triggers,
	}
}

func (a *Account) listFunctions(q *request, p struct {
	Offset, Limit        *int64
	SearchKey, Namespace *string
	Order, Orderby       *string
}) (map[string]any, error) {
	if err := checkNamespace(p.Namespace); err != nil {
		return nil, err
	}
	list := a.inRegion(q.region)
	list = slices.DeleteFunc(list, func(f *function) bool {
		return p.SearchKey != nil && !contains(f.name, *p.SearchKey)
	})
	switch order := cmp.Or(value(p.Orderby), "FunctionName"); {
	case order != "FunctionName" && order != "AddTime" && order != "ModTime":
		return nil, refusal("InvalidParameterValue.Order", "Orderby %q", order)
	case value(p.Order) == "DESC":
		slices.Reverse(list)
	}
	rows := []map[string]any{}
	for _, f := range list {
		all, row := f.answer(), make(map[string]any)
		for _, key := range []string{"FunctionName", "FunctionId", "Namespace", "Runtime", "Type",
			"Description",
			"Status", "StatusDesc", "StatusReasons", "AddTime", "ModTime", "Tags", "AsyncRunEnable",
			"TraceEnable"} {
			row[key] = all[key]
		}
		row["ReservedConcurrencyMem"], row["TotalProvisionedConcurrencyMem"] = f.reserved, nil
		rows = append(rows, row)
	}
	total := len(rows)
	rows, err := window(rows, p.Offset, p.Limit)
	return map[string]any{"Functions": rows, "TotalCount": total}, err
}

// window is a part of a list, of 20 if Limit does not say otherwise. The most it may be is not documented.
func window[T any](list []T, offset, limit *int64) ([]T, error) {
	from, n := int64(0), int64(20)
	set(&from, offset)
	if set(&n, limit); n < 1 || n > 100 {
		return nil, refusal("InvalidParameterValue.Limit", "Limit %d", n)
	}
	if from < 0 {
		return nil, refusal("InvalidParameterValue.Offset", "Offset %d", from)
	}
	from = min(from, int64(len(list)))
	return list[from:min(from+n, int64(len(list)))], nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
