package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"

	"clbwatch/internal/advice"
)

// Bucket is the COS bucket that the state is kept in. All fields must be set, unless they say otherwise.
type Bucket struct {
	Name     string   // with the appid, such as "ops-1250000000"
	Region   string   // such as "ap-guangzhou"
	Prefix   string   // of the state, without slashes at its ends; "" is the whole bucket
	Endpoint *url.URL // nil: the bucket's own address
	Keys     Keys
	HTTP     http.RoundTripper
}

// appid is the account's, which a bucket's name ends in.
func (b Bucket) appid() string { return b.Name[strings.LastIndex(b.Name, "-")+1:] }

// short is the name without the appid, as SCF wants it.
func (b Bucket) short() string { return strings.TrimSuffix(b.Name, "-"+b.appid()) }

func (b Bucket) client() (*cos.Client, error) {
	at := b.Endpoint
	if at == nil {
		u, err := cos.NewBucketURL(b.Name, b.Region, true)
		if err != nil {
			return nil, err
		}
		at = u
	}
	c := cos.NewClient(&cos.BaseURL{BucketURL: at}, &http.Client{
		Transport: &cos.AuthorizationTransport{SecretID: b.Keys.SecretID, SecretKey: b.Keys.SecretKey,
			SessionToken: b.Keys.Token, Transport: bounded{b.HTTP}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	c.Conf.RetryOpt = cos.RetryOptions{Count: 1} // steps look before they repeat
	return c, nil
}

// failed is what a call of COS failed with; nil if it did not.
func failed(name string, err error) error {
	if err == nil {
		return nil
	}
	var answer *cos.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		return &callError{call: name, message: plain(err), unknown: true}
	}
	status := answer.Response.StatusCode
	e := &callError{call: name, code: answer.Code, message: fmt.Sprintf("%s (HTTP %d)", answer.Message, status),
		unknown: status >= http.StatusInternalServerError}
	if status == http.StatusForbidden {
		e.do = "check that the bucket in STATE_URL is your account's, and allow " + name +
			" to the user whose keys these are"
	}
	return e
}

// step makes the bucket, unless it is there. One that is there must be private, and never have had versions:
// in such a one the state is not safe (docs/design.md, State).
func (b Bucket) step() step {
	return step{what: "bucket " + b.Name + " in " + b.Region, look: func(ctx context.Context) ([]change, error) {
		client, err := b.client()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		switch _, err = client.Bucket.Head(ctx); {
		case cos.IsNotFoundError(err):
			return []change{b.create(client)}, nil
		case err != nil:
			return nil, failed("cos:HeadBucket", err)
		}
		return b.private(ctx, client)
	}}
}

func (b Bucket) create(client *cos.Client) change {
	return change{says: "created", call: b.call("PutBucket", map[string]any{"ACL": "private"}),
		do: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, callTime)
			defer cancel()
			_, err := client.Bucket.Put(ctx, &cos.BucketPutOptions{XCosACL: "private"})
			return failed("cos:PutBucket", err)
		}}
}

// call is a call of COS, to be shown.
func (b Bucket) call(action string, params map[string]any) call {
	params["Bucket"], params["Region"] = b.Name, b.Region
	return call{service: "cos", action: action, params: params}
}

// private says what to change so that nobody but the account can read the bucket.
func (b Bucket) private(ctx context.Context, client *cos.Client) ([]change, error) {
	versions, _, err := client.Bucket.GetVersioning(ctx)
	if err = failed("cos:GetBucketVersioning", err); err != nil {
		return nil, err
	}
	if versions.Status != "" {
		err := fmt.Errorf("versioning is %s there, and then two runs can overwrite each other's state",
			versions.Status)
		return nil, advice.Add(err, "take another bucket for STATE_URL: versioning cannot be undone")
	}
	acl, _, err := client.Bucket.GetACL(ctx)
	if err = failed("cos:GetBucketACL", err); err != nil {
		return nil, err
	}
	for _, g := range acl.AccessControlList {
		if g.Grantee != nil && strings.Contains(g.Grantee.URI+g.Grantee.ID, "AllUsers") ||
			g.Grantee != nil && strings.Contains(g.Grantee.ID, "anonymous") {
			err := errors.New("anybody may read it, and the state names machines and addresses")
			return nil, advice.Add(err, "make it private in the console, or take another bucket for STATE_URL")
		}
	}
	return nil, nil
}

// codeKey is where code is put for SCF to fetch: an API call has no room for it.
func (b Bucket) codeKey(c Code) string {
	return strings.TrimPrefix(b.Prefix+"/code/"+c.sum+".zip", "/")
}

func (b Bucket) putCode(ctx context.Context, c Code) error {
	zip, err := c.zip()
	if err != nil {
		return err
	}
	client, err := b.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*callTime)
	defer cancel()
	_, err = client.Object.Put(ctx, b.codeKey(c), bytes.NewReader(zip), nil)
	return failed("cos:PutObject", err)
}

// dropCode deletes code that SCF has fetched.
func (b Bucket) dropCode(ctx context.Context, c Code) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err = client.Object.Delete(ctx, b.codeKey(c))
	return failed("cos:DeleteObject", err)
}
