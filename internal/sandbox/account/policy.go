package account

import (
	"slices"
	"strings"
	"time"
)

// maxPages is how far ListPolicies pages. Source: Page, "不能大于 200".
const maxPages = 200

// policy is one of the account's own. The sandbox has none of the cloud's (QCS).
type policy struct {
	id                uint64
	name, description string
	document          document
	added, updated    time.Time
}

// whichPolicy names a policy by id or by name, and not by both.
type whichPolicy struct {
	PolicyId   *uint64
	PolicyName *string
}

// find returns the policy, or a refusal with one of these codes if there is none of that id or name.
func (w whichPolicy) find(a *Account, noID, noName string) (*policy, error) {
	switch {
	case (w.PolicyId == nil) == (w.PolicyName == nil):
		return nil, refusal("InvalidParameter.ParamError", "give the policy's id or its name, and not both")
	case w.PolicyId != nil:
		if po := a.policies[*w.PolicyId]; po != nil {
			return po, nil
		}
		return nil, refusal(noID, "policy id %d not exist", *w.PolicyId)
	}
	if po := a.policyNamed(*w.PolicyName); po != nil {
		return po, nil
	}
	return nil, refusal(noName, "policy %s not exist", *w.PolicyName)
}

func (a *Account) policyNamed(name string) *policy {
	for _, po := range a.policies {
		if po.name == name {
			return po
		}
	}
	return nil
}

// createPolicy has Tags in the cloud, too.
func (a *Account) createPolicy(_ *request, p struct {
	PolicyName     string `api:"required"`
	PolicyDocument string `api:"required"`
	Description    *string
}) (map[string]any, error) {
	d, err := parsePolicy(p.PolicyDocument, a.UIN, a.AppID)
	switch {
	case !entityName.MatchString(p.PolicyName):
		return nil, refusal("InvalidParameter.PolicyNameError", "policy name %q", p.PolicyName)
	case err != nil:
		return nil, err
	case p.Description != nil && len(*p.Description) > maxRoleDescription:
		return nil, refusal("InvalidParameter.DescriptionLengthOverlimit", "%d bytes", len(*p.Description))
	case a.policyNamed(p.PolicyName) != nil:
		return nil, refusal("FailedOperation.PolicyNameInUse", "policy name in use")
	}
	a.lastPolicy++
	po := &policy{id: a.lastPolicy, name: p.PolicyName, document: d, added: a.Now(), updated: a.Now()}
	set(&po.description, p.Description)
	a.policies[po.id] = po
	return map[string]any{"PolicyId": po.id}, nil
}

func (a *Account) getPolicy(_ *request, p struct {
	PolicyId uint64 `api:"required"`
}) (map[string]any, error) {
	po := a.policies[p.PolicyId]
	if po == nil {
		return nil, refusal("ResourceNotFound.PolicyIdNotFound", "policy id %d not found", p.PolicyId)
	}
	return map[string]any{"PolicyName": po.name, "Description": po.description, "Type": 1,
		"AddTime": po.added.Format(timeFormat), "UpdateTime": po.updated.Format(timeFormat),
		"PolicyDocument": po.document.text, "PresetAlias": "", "IsServiceLinkedRolePolicy": 0,
		"Tags": []any{}}, nil
}

// listPolicies lists them by id. A Keyword is part of a name: so a policy may be listed that only begins like
// the one that was looked for. That it is looked for anywhere in the name is an assumption ("按策略名匹配").
func (a *Account) listPolicies(_ *request, p struct {
	Rp, Page       *int64
	Scope, Keyword *string
}) (map[string]any, error) {
	rows, number, scope := int64(20), int64(1), "All"
	set(&rows, p.Rp)
	set(&number, p.Page)
	if set(&scope, p.Scope); !slices.Contains([]string{"All", "QCS", "Local"}, scope) {
		return nil, refusal("InvalidParameter.ScopeError", "Scope %q", scope)
	}
	if rows < 1 || rows > maxRows || number < 1 || number > maxPages {
		return nil, refusal("InvalidParameter.ParamError", "Page %d, Rp %d", number, rows)
	}
	list := []map[string]any{}
	for id := uint64(0); id <= a.lastPolicy; id++ {
		po := a.policies[id]
		if po == nil || scope == "QCS" || p.Keyword != nil && !contains(po.name, *p.Keyword) {
			continue
		}
		list = append(list, map[string]any{"PolicyId": po.id, "PolicyName": po.name,
			"AddTime": po.added.Format(timeFormat), "Type": 1, "Description": po.description, "CreateMode": 2,
			"Attachments": a.attachments(po.id), "ServiceType": "cooperator", "IsAttached": nil,
			"Deactived":       0,
			"DeactivedDetail": []string{}, "IsServiceLinkedPolicy": 0,
			"AttachEntityCount": a.attachments(po.id), "AttachEntityBoundaryCount": 0,
			"UpdateTime": po.updated.Format(timeFormat)})
	}
	return map[string]any{"TotalNum": len(list), "List": page(list, number, rows),
		"ServiceTypeList": []string{}}, nil
}

func (a *Account) attachments(id uint64) int {
	n := 0
	for _, r := range a.roles {
		if slices.ContainsFunc(r.attached, func(at attachment) bool { return at.policy == id }) {
			n++
		}
	}
	return n
}

// updatePolicy changes what it is given. Alias is of the cloud's own policies only. With an id and a name the
// SDK's comment says one of both; that the name is then a new one, as in older documents, is not supported.
func (a *Account) updatePolicy(_ *request, p struct {
	PolicyId                    *uint64
	PolicyName                  *string
	Description, PolicyDocument *string
}) (map[string]any, error) {
	const none = "ResourceNotFound.PolicyIdNotFound"
	po, err := whichPolicy{p.PolicyId, p.PolicyName}.find(a, none, none)
	if err != nil {
		return nil, err
	}
	d := po.document
	if p.PolicyDocument != nil {
		if d, err = parsePolicy(*p.PolicyDocument, a.UIN, a.AppID); err != nil {
			return nil, err
		}
	}
	if p.Description != nil && len(*p.Description) > maxRoleDescription {
		return nil, refusal("InvalidParameter.DescriptionLengthOverlimit", "%d bytes", len(*p.Description))
	}
	set(&po.description, p.Description)
	po.document, po.updated = d, a.Now()
	if p.PolicyId != nil {
		return nil, nil // "入参是PolicyName时，才会返回"
	}
	return map[string]any{"PolicyId": po.id}, nil
}

// deletePolicy deletes all or, if one of them is not there, none. It takes them from the roles that have
// them.
func (a *Account) deletePolicy(_ *request, p struct {
	PolicyId []uint64 `api:"required"`
}) (map[string]any, error) {
	if len(p.PolicyId) == 0 {
		return nil, refusal("InvalidParameter.ParamError", "PolicyId is empty")
	}
	for _, id := range p.PolicyId {
		if a.policies[id] == nil {
			return nil, refusal("ResourceNotFound.PolicyIdNotFound", "policy id %d not found", id)
		}
	}
	for _, id := range p.PolicyId {
		delete(a.policies, id)
		for _, r := range a.roles {
			r.attached = slices.DeleteFunc(r.attached, func(at attachment) bool { return at.policy == id })
		}
	}
	return nil, nil
}

func contains(name, keyword string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(keyword))
}
