package account

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// functionService is what a role must trust for functions to run as it
// (https://cloud.tencent.com/document/product/583/32389).
const functionService = "scf.qcloud.com"

// maxDocument is how many characters a policy may have. Source: CAM's use limits, which say 6,144 for a
// custom policy (https://cloud.tencent.com/document/product/598/10604); whether in characters or bytes they
// do not.
const maxDocument = 6144

// services are the names that an action or a resource may begin with here. The cloud knows many more.
var services = []string{"cam", "clb", "cls", "cos", "cvm", "monitor", "scf", "sts", "tag", "vpc"}

// document is a policy or a trust policy.
type document struct {
	text       string // as it was sent
	statements []statement
}

type statement struct {
	deny                bool
	actions, resources  []string
	services, accounts  []string // whom a trust policy is about: principal.service and principal.qcs
	conditionsWereGiven bool     // nothing here knows how to judge them
}

// texts are one text, or a list of some. Both are documented for action, resource and principal.
type texts []string

// UnmarshalJSON reads either form.
func (t *texts) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*t = texts{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(raw, &many); err != nil {
		return err
	}
	if len(many) == 0 {
		return errors.New("an empty list")
	}
	*t = many
	return nil
}

// parsePolicy reads what a role may do. Codes are those of CreatePolicy, by what the SDK says of each.
//
// Sources: the syntax of policies (https://cloud.tencent.com/document/product/598/10604 and, with resources
// of six segments, 598/10606).
func parsePolicy(text, uin, appID string) (document, error) {
	d, err := parseDocument(text, []string{"effect", "action", "resource", "condition"})
	if err != nil {
		return d, err
	}
	for _, s := range d.statements {
		if len(s.resources) == 0 {
			return d, refusal("InvalidParameter.ResourceError", "a statement has no resource")
		}
		for _, r := range s.resources {
			if err := checkResource(r, uin, appID); err != nil {
				return d, err
			}
		}
		for _, name := range s.actions {
			if err := checkAction(name); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

// parseTrust reads who may assume a role. Codes are those of CreateRole.
func parseTrust(text, uin string) (document, error) {
	d, err := parseDocument(text, []string{"effect", "action", "principal", "condition"})
	if err != nil {
		return d, err
	}
	for _, s := range d.statements {
		if !slices.Equal(s.actions, []string{"name/sts:AssumeRole"}) {
			return d, refusal("InvalidParameter.ActionError", "action %q of a trust policy", s.actions)
		}
		if len(s.services)+len(s.accounts) == 0 {
			return d, refusal("InvalidParameter.PrincipalError", "a statement has no principal")
		}
		for _, name := range s.services {
			if !serviceHost.MatchString(name) {
				return d, refusal("InvalidParameter.PrincipalServiceNotExist", "there is no service %q", name)
			}
		}
		for _, qcs := range s.accounts {
			if !strings.HasPrefix(qcs, "qcs::cam::uin/"+uin+":") {
				return d, refusal("InvalidParameter.PrincipalQcsNotExist", "there is no %q", qcs)
			}
		}
	}
	return d, nil
}

var serviceHost = regexp.MustCompile(`^[a-z0-9-]+\.(qcloud\.com|cloud\.tencent\.com|tencentcs\.com)$`)

// parseDocument reads what policies of both kinds have, and refuses other keys than these in a statement.
func parseDocument(text string, keys []string) (d document, err error) {
	d.text = text
	var top map[string]json.RawMessage
	switch {
	case len(text) > maxDocument:
		return d, refusal("InvalidParameter.PolicyDocumentLengthOverLimit", "%d bytes", len(text))
	case json.Unmarshal([]byte(text), &top) != nil || top == nil:
		return d, refusal("InvalidParameter.PolicyDocumentError", "the document is no JSON object")
	case string(top["version"]) != `"2.0"`:
		return d, refusal("InvalidParameter.VersionError", "version %s, not \"2.0\"", top["version"])
	}
	for key := range top {
		if key != "version" && key != "statement" {
			return d, refusal("InvalidParameter.PolicyDocumentError", "unknown key %q", key)
		}
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(top["statement"], &list) != nil || len(list) == 0 {
		return d, refusal("InvalidParameter.StatementError", "statement is no list of objects")
	}
	for _, raw := range list {
		for key := range raw {
			if !slices.Contains(keys, key) {
				return d, refusal("InvalidParameter.StatementError", "unknown key %q in a statement", key)
			}
		}
		s, err := parseStatement(raw)
		if err != nil {
			return d, err
		}
		d.statements = append(d.statements, s)
	}
	return d, nil
}

func parseStatement(raw map[string]json.RawMessage) (s statement, err error) {
	switch string(raw["effect"]) {
	case `"allow"`:
	case `"deny"`:
		s.deny = true
	default:
		return s, refusal("InvalidParameter.EffectError", "effect %s", raw["effect"])
	}
	if json.Unmarshal(raw["action"], (*texts)(&s.actions)) != nil {
		return s, refusal("InvalidParameter.ActionError", "action %s", raw["action"])
	}
	if r := raw["resource"]; r != nil && json.Unmarshal(r, (*texts)(&s.resources)) != nil {
		return s, refusal("InvalidParameter.ResourceError", "resource %s", r)
	}
	if c := raw["condition"]; c != nil {
		var condition map[string]json.RawMessage
		if json.Unmarshal(c, &condition) != nil || condition == nil {
			return s, refusal("InvalidParameter.ConditionError", "condition %s", c)
		}
		s.conditionsWereGiven = len(condition) > 0
	}
	if p := raw["principal"]; p != nil {
		var of map[string]texts
		if json.Unmarshal(p, &of) != nil || len(of) == 0 {
			return s, refusal("InvalidParameter.PrincipalError", "principal %s", p)
		}
		for kind, names := range of {
			switch kind {
			case "service":
				s.services = names
			case "qcs":
				s.accounts = names
			default:
				return s, refusal("InvalidParameter.PrincipalError", "principal.%s", kind)
			}
		}
	}
	return s, nil
}

var actionForm = regexp.MustCompile(`^name/([a-z0-9]+):([A-Za-z*][A-Za-z0-9*]*)$`)

// checkAction takes name/service:Action, where the action may have a *. The documentation also has actions
// without name/, of some products; the sandbox refuses them, because not every product takes them.
func checkAction(s string) error {
	m := actionForm.FindStringSubmatch(s)
	if m == nil {
		return refusal("InvalidParameter.ActionError", "action %q is not of the form name/service:Action", s)
	}
	if !slices.Contains(services, m[1]) {
		return refusal("InvalidParameter.ActionServiceNotExist", "action %q: no such service", s)
	}
	return nil
}

var regionForm = regexp.MustCompile(`^([a-z]+-[a-z0-9-]+)?$|^\*$`)

// checkResource takes * or qcs:project:service:region:account:resource. The account is uin/ and the account's
// UIN or, for COS, uid/ and the APPID; if it is left out, it is the policy's own.
func checkResource(s, uin, appID string) error {
	if s == "*" {
		return nil
	}
	part := strings.SplitN(s, ":", 6)
	switch {
	case len(part) != 6 || part[0] != "qcs" || part[5] == "":
		return refusal("InvalidParameter.ResourceQcsError", "resource %q has not six segments", s)
	case part[1] != "" && !strings.HasPrefix(part[1], "id/"):
		return refusal("InvalidParameter.ResourceProjectError", "resource %q: project %q", s, part[1])
	case part[2] != "*" && !slices.Contains(services, part[2]):
		return refusal("InvalidParameter.ResourceServiceNotExist", "resource %q: no service %q", s, part[2])
	case !regionForm.MatchString(part[3]):
		return refusal("InvalidParameter.ResourceRegionError", "resource %q: region %q", s, part[3])
	case part[4] == "" || part[4] == "*" || part[4] == "uin/"+uin:
		return nil
	case part[4] == "uid/"+appID && part[2] == "cos":
		return nil
	}
	return refusal("InvalidParameter.ResourceUinError", "resource %q: account %q", s, part[4])
}

// trusts reports whether a trust policy lets a service assume the role.
func (d document) trusts(service string) bool {
	ok := false
	for _, s := range d.statements {
		if slices.Contains(s.services, service) && !s.conditionsWereGiven {
			if s.deny {
				return false
			}
			ok = true
		}
	}
	return ok
}

// verdict is what a policy says of an action on a resource: allowed, and denied for good. What has conditions
// denies, and allows nothing, because nobody here can tell whether they hold.
func (d document) verdict(action, resource string) (allowed, denied bool) {
	for _, s := range d.statements {
		if !slices.ContainsFunc(s.actions, func(p string) bool { return glob(p, action) }) ||
			!slices.ContainsFunc(s.resources, func(p string) bool { return covers(p, resource) }) {
			continue
		}
		denied = denied || s.deny
		allowed = allowed || !s.deny && !s.conditionsWereGiven
	}
	return allowed, denied
}

// covers reports whether the resource of a policy is or includes another. In a policy, a segment that is left
// empty is any project, any region, or the own account.
func covers(pattern, resource string) bool {
	if pattern == "*" {
		return true
	}
	want, has := strings.SplitN(pattern, ":", 6), strings.SplitN(resource, ":", 6)
	if len(has) != 6 {
		return false
	}
	for i := range want {
		if want[i] != "" && !glob(want[i], has[i]) {
			return false
		}
	}
	return true
}

// glob reports whether a text is as a pattern says, in which * is any text. Case counts.
func glob(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for i := range len(s) + 1 {
		if glob(rest, s[i:]) {
			return true
		}
	}
	return false
}
