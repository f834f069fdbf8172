package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"clbwatch/internal/advice"
)

// statement is one statement of a policy (https://cloud.tencent.com/document/product/598/10604).
type statement struct {
	Effect    string   `json:"effect"`
	Action    []string `json:"action"`
	Resource  []string `json:"resource,omitempty"`
	Principal any      `json:"principal,omitempty"`
}

type document struct {
	Version   string      `json:"version"`
	Statement []statement `json:"statement"`
}

func (d document) String() string {
	text, _ := json.Marshal(d) // it has nothing that JSON cannot hold
	return string(text)
}

// same reports whether a policy says the same, whatever its spaces and the order of its fields.
func (d document) same(text string) bool {
	var is, want any
	if json.Unmarshal([]byte(text), &is) != nil || json.Unmarshal([]byte(d.String()), &want) != nil {
		return false
	}
	return reflect.DeepEqual(is, want)
}

// trust lets functions take the role.
func trust() document {
	return document{"2.0", []statement{{Effect: "allow", Action: []string{"name/sts:AssumeRole"},
		Principal: map[string][]string{"service": {"scf.qcloud.com"}}}}}
}

// readCLB lets the function read load balancers, and change nothing.
func readCLB() document {
	return document{"2.0", []statement{{Effect: "allow", Resource: []string{"*"}, Action: []string{
		"name/clb:DescribeLoadBalancers", "name/clb:DescribeLoadBalancerBackends",
		"name/clb:DescribeClassicalLBTargets", "name/clb:DescribeClassicalLBListeners",
		"name/clb:DescribeForwardLBBackends", "name/clb:DescribeTargets", "name/clb:DescribeLBHealthStatus",
		"name/clb:DescribeClassicalLBHealthStatus", "name/clb:DescribeTargetHealth",
		"name/cvm:DescribeInstancesStatus"}}}}
}

// keepState lets the function keep its state below the prefix.
func keepState(b Bucket) document {
	at := fmt.Sprintf("qcs::cos:%s:uid/%s:%s/", b.Region, b.appid(), b.Name)
	below := at + "*"
	if b.Prefix != "" {
		below = at + b.Prefix + "/*"
	}
	return document{"2.0", []statement{
		{Effect: "allow", Resource: []string{below}, Action: []string{"name/cos:GetObject", "name/cos:HeadObject",
			"name/cos:PutObject", "name/cos:DeleteObject"}},
		{Effect: "allow", Resource: []string{at + "*"}, Action: []string{"name/cos:GetBucket",
			"name/cos:GetBucketVersioning"}},
	}}
}

// policy is a policy of the role.
type policy struct {
	name string
	document
}

// of says that the role of a function has the policy.
func (p policy) of(f Function) string { return "policy " + p.name + " of the role " + f.Name }

// policies are those of a function's role.
func (f Function) policies(b Bucket) []policy {
	all := []policy{{f.Name + "-cos-state", keepState(b)}}
	if !f.Answers {
		all = append([]policy{{f.Name + "-clb-read", readCLB()}}, all...)
	}
	return all
}

// roleSteps make the role that the function runs as.
func (d *Deployer) roleSteps(f Function) []step {
	steps := []step{{what: "role " + f.Name, look: func(ctx context.Context) ([]change, error) {
		return d.lookAtRole(ctx, f)
	}}}
	for _, p := range f.policies(d.Bucket) {
		steps = append(steps, step{what: "policy " + p.name, look: func(ctx context.Context) ([]change, error) {
			return d.lookAtPolicy(ctx, p)
		}}, step{what: p.of(f), look: func(ctx context.Context) ([]change, error) {
			return d.lookAtGrant(ctx, f, p)
		}})
	}
	return steps
}

// noRole are the codes that say that there is no such role.
var noRole = []string{"InvalidParameter.RoleNotExist", "ResourceNotFound.RoleNotExist", "ResourceNotFound"}

// trusted is whom a role trusts, as JSON; there is false if there is no such role.
func (d *Deployer) trusted(ctx context.Context, role string) (policy string, there bool, err error) {
	var found struct {
		RoleInfo struct{ PolicyDocument string }
	}
	err = d.API.do(ctx, cam("GetRole", map[string]any{"RoleName": role}), &found)
	if codeIs(err, noRole...) {
		return "", false, nil
	}
	return found.RoleInfo.PolicyDocument, err == nil, err
}

func (d *Deployer) lookAtRole(ctx context.Context, f Function) ([]change, error) {
	trusts, there, err := d.trusted(ctx, f.Name)
	switch {
	case err != nil:
		return nil, err
	case !there:
		return []change{{says: "created", call: cam("CreateRole", map[string]any{"RoleName": f.Name,
			"PolicyDocument": trust().String(), "Description": f.purpose()})}}, nil
	case !trust().same(trusts):
		err := fmt.Errorf("a role of that name trusts something else than SCF: %.200s", trusts)
		return nil, advice.Add(err, "delete it, or deploy under another --name")
	}
	return nil, nil
}

// listed are the policies that an action of CAM lists, page by page: their ids by name.
func (d *Deployer) listed(ctx context.Context, action string,
	params map[string]any) (map[string]int64, error) {
	const each = 200
	all := make(map[string]int64)
	params["Rp"] = each
	for page := 1; page <= 50; page++ {
		params["Page"] = page
		var found struct {
			List []struct {
				PolicyID   int64 `json:"PolicyId"`
				PolicyName string
			}
		}
		if err := d.API.do(ctx, cam(action, params), &found); err != nil {
			return nil, err
		}
		for _, p := range found.List {
			all[p.PolicyName] = p.PolicyID
		}
		if len(found.List) < each {
			break
		}
	}
	return all, nil
}

// policyID finds a policy of the account by its name; 0 if there is none.
func (d *Deployer) policyID(ctx context.Context, name string) (int64, error) {
	all, err := d.listed(ctx, "ListPolicies", map[string]any{"Scope": "Local", "Keyword": name})
	return all[name], err
}

// attached are the policies of a role, by name; none if there is no such role.
func (d *Deployer) attached(ctx context.Context, role string) (map[string]int64, error) {
	if _, there, err := d.trusted(ctx, role); err != nil || !there {
		return nil, err
	}
	return d.listed(ctx, "ListAttachedRolePolicies", map[string]any{"RoleName": role})
}

func (d *Deployer) lookAtPolicy(ctx context.Context, p policy) ([]change, error) {
	id, err := d.policyID(ctx, p.name)
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return []change{{says: "created", call: cam("CreatePolicy", map[string]any{"PolicyName": p.name,
			"PolicyDocument": p.String(), "Description": "made by clbwatch deploy"})}}, nil
	}
	var found struct{ PolicyDocument string }
	if err := d.API.do(ctx, cam("GetPolicy", map[string]any{"PolicyId": id}), &found); err != nil {
		return nil, err
	}
	if p.same(found.PolicyDocument) {
		return nil, nil
	}
	return []change{{says: "updated", call: cam("UpdatePolicy", map[string]any{"PolicyId": id,
		"PolicyDocument": p.String()})}}, nil
}

func (d *Deployer) lookAtGrant(ctx context.Context, f Function, p policy) ([]change, error) {
	all, err := d.attached(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	if _, ok := all[p.name]; ok {
		return nil, nil
	}
	return []change{{says: "attached", call: cam("AttachRolePolicy", map[string]any{"PolicyName": p.name,
		"AttachRoleName": f.Name})}}, nil
}
