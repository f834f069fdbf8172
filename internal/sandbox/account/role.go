package account

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"clbwatch/internal/sandbox"
)

const (
	maxRoleDescription = 300 // bytes: "Description入参长度不能大于300字节", of DescriptionLengthOverlimit
	maxRows            = 200 // of a page. Source: Rp of ListAttachedRolePolicies and ListPolicies
	timeFormat         = time.DateTime
	firstRoleID        = 4611686018427388000 // ids are texts of about that size
	defaultSession     = 7200                // seconds, if SessionDuration is not given; an assumption
)

// entityName is what roles and policies are called. Source: RoleName of CreateRole, PolicyName of
// CreatePolicy.
var entityName = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,128}$`)

type role struct {
	id, name, description string
	trust                 document
	session               int64
	console               int64
	added, updated        time.Time
	attached              []attachment // in the order in which they were
}

type attachment struct {
	policy uint64
	at     time.Time
}

// accessActions are those of cam.
func accessActions() map[string]action {
	return map[string]action{
		"GetRole":                  reads((*Account).getRole),
		"CreateRole":               writes((*Account).createRole),
		"UpdateAssumeRolePolicy":   writes((*Account).updateTrust),
		"DeleteRole":               writes((*Account).deleteRole),
		"AttachRolePolicy":         writes((*Account).attach),
		"DetachRolePolicy":         writes((*Account).detach),
		"ListAttachedRolePolicies": reads((*Account).listAttached),
		"CreatePolicy":             writes((*Account).createPolicy),
		"GetPolicy":                reads((*Account).getPolicy),
		"ListPolicies":             reads((*Account).listPolicies),
		"UpdatePolicy":             writes((*Account).updatePolicy),
		"DeletePolicy":             writes((*Account).deletePolicy),
	}
}

// whichRole names a role by id or by name, and not by both: 入参 RoleId 与 RoleName 二选一.
type whichRole struct{ RoleId, RoleName *string }

// find returns the role. That neither or both given are ParamError, and one that is not there RoleNotExist,
// follows from what the SDK says of them.
func (w whichRole) find(a *Account) (*role, error) {
	switch {
	case (w.RoleId == nil) == (w.RoleName == nil):
		return nil, refusal("InvalidParameter.ParamError", "give the role's id or its name, and not both")
	case w.RoleName != nil:
		if r := a.roles[*w.RoleName]; r != nil {
			return r, nil
		}
	default:
		for _, r := range a.roles {
			if r.id == *w.RoleId {
				return r, nil
			}
		}
	}
	return nil, refusal("InvalidParameter.RoleNotExist", "role not exist")
}

func (a *Account) getRole(_ *request, p struct{ RoleId, RoleName *string }) (map[string]any, error) {
	r, err := whichRole(p).find(a)
	if err != nil {
		return nil, err
	}
	return map[string]any{"RoleInfo": map[string]any{
		"RoleId": r.id, "RoleName": r.name, "PolicyDocument": r.trust.text, "Description": r.description,
		"AddTime": r.added.Format(timeFormat), "UpdateTime": r.updated.Format(timeFormat),
		"ConsoleLogin": r.console, "RoleType": "user", "SessionDuration": r.session, "DeletionTaskId": nil,
		"Tags":    []any{},
		"RoleArn": fmt.Sprintf("qcs::cam::uin/%s:roleName/%s", a.UIN, r.name),
	}}, nil
}

// roleParams are those of CreateRole; it has Tags, too, which the sandbox has not.
type roleParams struct {
	RoleName                      string `api:"required"`
	PolicyDocument                string `api:"required"`
	Description                   *string
	ConsoleLogin, SessionDuration *int64
}

func (a *Account) createRole(_ *request, p roleParams) (map[string]any, error) {
	trust, err := parseTrust(p.PolicyDocument, a.UIN)
	r := &role{name: p.RoleName, trust: trust, session: defaultSession, added: a.Now(), updated: a.Now()}
	switch {
	case !entityName.MatchString(p.RoleName):
		return nil, refusal("InvalidParameter.RoleNameError", "role name %q", p.RoleName)
	case err != nil:
		return nil, err
	case p.Description != nil && len(*p.Description) > maxRoleDescription:
		return nil, refusal("InvalidParameter.DescriptionLengthOverlimit", "%d bytes", len(*p.Description))
	case p.ConsoleLogin != nil && *p.ConsoleLogin != 0 && *p.ConsoleLogin != 1:
		return nil, refusal("InvalidParameter.ParamError", "ConsoleLogin %d", *p.ConsoleLogin)
	case p.SessionDuration != nil && (*p.SessionDuration < 0 || *p.SessionDuration > 43200):
		return nil, refusal("InvalidParameter.ParamError", "SessionDuration %d", *p.SessionDuration)
	case a.roles[p.RoleName] != nil:
		return nil, refusal("InvalidParameter.RoleNameInUse", "role name in use")
	}
	set(&r.description, p.Description)
	set(&r.console, p.ConsoleLogin)
	set(&r.session, p.SessionDuration)
	a.lastRole++
	r.id = strconv.Itoa(firstRoleID + a.lastRole)
	a.roles[r.name] = r
	return map[string]any{"RoleId": r.id}, nil
}

// set takes a parameter over if it was given.
func set[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}

func (a *Account) updateTrust(_ *request, p struct {
	PolicyDocument   string `api:"required"`
	RoleId, RoleName *string
}) (map[string]any, error) {
	r, err := whichRole{p.RoleId, p.RoleName}.find(a)
	if err != nil {
		return nil, err
	}
	trust, err := parseTrust(p.PolicyDocument, a.UIN)
	if err != nil {
		return nil, err
	}
	r.trust, r.updated = trust, a.Now()
	return nil, nil
}

// deleteRole deletes a role with what is attached to it, and whether or not a function runs as it.
// Credentials that were given out end at once; the real ones are said to live on until they expire.
func (a *Account) deleteRole(_ *request, p struct{ RoleId, RoleName *string }) (map[string]any, error) {
	r, err := whichRole(p).find(a)
	if err != nil {
		return nil, err
	}
	delete(a.roles, r.name)
	for id, cr := range a.credentials {
		if cr.role == r.name {
			delete(a.credentials, id)
		}
	}
	return nil, nil
}

// attach attaches a policy. That attaching it again changes nothing, and is no error, is not documented: the
// list of codes has none for it.
func (a *Account) attach(_ *request, p struct {
	PolicyId                     *uint64
	PolicyName                   *string
	AttachRoleId, AttachRoleName *string
}) (map[string]any, error) {
	r, po, err := a.pair(whichRole{p.AttachRoleId, p.AttachRoleName}, whichPolicy{p.PolicyId, p.PolicyName})
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(r.attached, func(at attachment) bool { return at.policy == po.id }) {
		r.attached = append(r.attached, attachment{po.id, a.Now()})
	}
	return nil, nil
}

// detach undoes attach. That a policy which is not attached is no error is not documented either.
func (a *Account) detach(_ *request, p struct {
	PolicyId                     *uint64
	PolicyName                   *string
	DetachRoleId, DetachRoleName *string
}) (map[string]any, error) {
	r, po, err := a.pair(whichRole{p.DetachRoleId, p.DetachRoleName}, whichPolicy{p.PolicyId, p.PolicyName})
	if err != nil {
		return nil, err
	}
	r.attached = slices.DeleteFunc(r.attached, func(at attachment) bool { return at.policy == po.id })
	return nil, nil
}

func (a *Account) pair(w whichRole, of whichPolicy) (*role, *policy, error) {
	r, err := w.find(a)
	if err != nil {
		return nil, nil, err
	}
	po, err := of.find(a, "InvalidParameter.PolicyIdNotExist", "InvalidParameter.PolicyNameError")
	return r, po, err
}

// listAttached pages over what is attached, by name. Page and Rp are required. The codes that the SDK lists
// for it are ParamError and SystemError only, so a role that is not there is a ParamError.
func (a *Account) listAttached(_ *request, p struct {
	Page             int64 `api:"required"`
	Rp               int64 `api:"required"`
	RoleId, RoleName *string
	PolicyType       *string
	Keyword          *string
}) (map[string]any, error) {
	r, err := whichRole{p.RoleId, p.RoleName}.find(a)
	if err != nil {
		return nil, refusal("InvalidParameter.ParamError", "role not exist")
	}
	if p.Page < 1 || p.Rp < 1 || p.Rp > maxRows {
		return nil, refusal("InvalidParameter.ParamError", "Page %d, Rp %d", p.Page, p.Rp)
	}
	kind := "User"
	if set(&kind, p.PolicyType); kind != "User" && kind != "QCS" {
		return nil, refusal("InvalidParameter.ParamError", "PolicyType %q", kind)
	}
	list := []map[string]any{}
	for _, at := range r.attached {
		po := a.policies[at.policy]
		if kind == "QCS" || p.Keyword != nil && !contains(po.name, *p.Keyword) {
			continue
		}
		list = append(list, map[string]any{"PolicyId": po.id, "PolicyName": po.name,
			"AddTime": at.at.Format(timeFormat), "PolicyType": "User", "CreateMode": 2, "Deactived": 0,
			"DeactivedDetail": []string{}, "Description": po.description})
	}
	return map[string]any{"TotalNum": len(list), "List": page(list, p.Page, p.Rp)}, nil
}

// page is a part of a list; it may be empty.
func page[T any](list []T, number, rows int64) []T {
	from := min(int64(len(list)), (number-1)*rows)
	return list[from:min(int64(len(list)), from+rows)]
}

// Allows reports whether the policies that are attached to a role allow an action, such as
// name/cos:GetObject, on a resource, such as
// qcs::cos:ap-guangzhou:uid/1250000000:ops-1250000000/clbwatch/head or, if there is none, "*", which only a
// policy for * allows. A deny beats every allow.
func (a *Account) Allows(role, action, resource string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.allows(role, action, resource)
}

// allows is Allows. The caller holds a.mu.
func (a *Account) allows(role, action, resource string) bool {
	r := a.roles[role]
	if r == nil {
		return false
	}
	ok := false
	for _, at := range r.attached {
		allowed, denied := a.policies[at.policy].document.verdict(action, resource)
		if denied {
			return false
		}
		ok = ok || allowed
	}
	return ok
}

// getCallerIdentity says who calls.
//
// Source: https://cloud.tencent.com/document/api/1312/66098, with samples of both answers. What an
// account's own key (no user's) looks like is not among them.
func (a *Account) getCallerIdentity(q *request, _ struct{}) (map[string]any, error) {
	if q.caller.role == "" {
		return map[string]any{"Type": "CAMUser", "AccountId": a.UIN, "UserId": a.UserUIN,
			"PrincipalId": a.UserUIN, "Arn": "qcs::cam:" + a.UIN + ":uin/" + a.UserUIN}, nil
	}
	r := a.roles[q.caller.role]
	if r == nil {
		return nil, sandbox.APIError{Code: "InvalidParameter.AccessKeyNotSupport",
			Message: "the role is gone"}
	}
	return map[string]any{"Type": "CAMRole", "AccountId": a.UIN, "UserId": r.id + ":scf",
		"PrincipalId": a.UIN, "Arn": "qcs::sts:" + a.UIN + ":assumed-role/" + r.id}, nil
}
