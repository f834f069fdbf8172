// Deploy-check holds the calls that `clbwatch deploy` makes against Tencent's own SDK for Go: it reads them
// from standard input, a line of JSON for each, and fails if one has a parameter that the SDK does not know,
// or of another type. It knows CAM; the calls of SCF, which are newer than this SDK, tools/serverless-check
// holds against npm's.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	cam "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/cam/v20190116"
)

// request is a request of the SDK, which refuses what it does not know.
type request interface{ FromJsonString(s string) error }

func requests() map[string]request {
	return map[string]request{
		"cam:GetRole": cam.NewGetRoleRequest(), "cam:CreateRole": cam.NewCreateRoleRequest(),
		"cam:DeleteRole": cam.NewDeleteRoleRequest(), "cam:ListPolicies": cam.NewListPoliciesRequest(),
		"cam:GetPolicy": cam.NewGetPolicyRequest(), "cam:CreatePolicy": cam.NewCreatePolicyRequest(),
		"cam:UpdatePolicy": cam.NewUpdatePolicyRequest(), "cam:DeletePolicy": cam.NewDeletePolicyRequest(),
		"cam:AttachRolePolicy": cam.NewAttachRolePolicyRequest(), "cam:DetachRolePolicy": cam.NewDetachRolePolicyRequest(),
		"cam:ListAttachedRolePolicies": cam.NewListAttachedRolePoliciesRequest(),
	}
}

func main() {
	known, seen, wrong := requests(), make(map[string]bool), 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var call struct {
			Service, Action string
			Request         json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			fmt.Fprintln(os.Stderr, "deploy-check:", err)
			os.Exit(1)
		}
		name := call.Service + ":" + call.Action
		r, ok := known[name]
		switch {
		case call.Service == "scf", name == "sts:GetCallerIdentity": // which has no parameters
			continue
		case !ok:
			wrong++
			fmt.Println("not in the SDK:", name)
		default:
			seen[name] = true
			if err := r.FromJsonString(string(call.Request)); err != nil {
				wrong++
				fmt.Printf("%s: %v: %.300s\n", name, err, call.Request)
			}
		}
	}
	for name, r := range known {
		if !seen[name] {
			wrong++
			fmt.Println("not made:", name)
		}
		if r.FromJsonString(`{"Mistake":1}`) == nil {
			wrong++
			fmt.Println("the SDK takes anything for", name)
		}
	}
	if err := lines.Err(); err != nil || wrong > 0 {
		fmt.Println(strings.TrimSpace(fmt.Sprint(wrong, " wrong ", err)))
		os.Exit(1)
	}
	fmt.Printf("%d calls of CAM have the form of Tencent's SDK\n", len(seen))
}
