package account_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"clbwatch/internal/sandbox"
	"clbwatch/internal/sandbox/account"
	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/cos"
	"clbwatch/internal/sandbox/scf"
)

// An account, the load balancers and buckets that its functions use, and what runs them. A credential of a
// role may do there what the role's policies say, for as long as its invocation takes.
func Example() {
	a, c := account.New(), cloud.New()
	buckets := cos.NewService(a.Credential)
	a.Object = func(bucket, _, key string) ([]byte, bool) { return buckets.Bucket(bucket).Get(key) }
	buckets.May, c.May = a.May, a.May
	a.Run = func(ctx context.Context, d account.Deployment, event []byte) account.Outcome {
		c.Accept(d.Credential)
		defer c.Revoke(d.Credential.SecretID)
		f, err := scf.Start(ctx, d.Binary, d.Environment, scf.WithName(d.Name), scf.WithTimeout(d.Timeout),
			scf.WithMemory(d.MemoryMB), scf.WithCredential(func() sandbox.Credential { return d.Credential }))
		if err != nil {
			return account.Outcome{Err: err}
		}
		defer f.Close()
		payload, ferr, err := f.Invoke(ctx, event)
		o := account.Outcome{Payload: payload, Err: err, Log: strings.Join(f.Logs(), "\n")}
		if ferr != nil {
			o.Status, o.Type, o.Message = ferr.Status, ferr.Type, ferr.Message
		}
		return o
	}
	key := a.Issue() // of whoever deploys
	api := httptest.NewServer(a)
	defer api.Close()
	defer a.Close()

	a.Fail("CreateFunction", account.AppliesThenDrops(), 1)
	// … deploy with key at api.URL, and then:
	fmt.Println(len(a.Writes()), a.May(key.SecretID, "name/cos:GetObject", "*"))
	// Output: 0 true
}
