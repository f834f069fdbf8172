package cos

import (
	"net/http"
	"net/url"
	"testing"

	sdk "github.com/tencentyun/cos-go-sdk-v5"
)

// Tencent's own client is understood, and understands what it gets.
func TestOfficialClientOfBuckets(t *testing.T) {
	t.Parallel()
	s := newServiceTest(t)
	client := sdk.NewClient(&sdk.BaseURL{BucketURL: &url.URL{Scheme: "http", Host: opsHost}}, &http.Client{
		Transport: &sdk.AuthorizationTransport{SecretID: s.cred.SecretID, SecretKey: s.cred.SecretKey,
			SessionToken: s.cred.Token, Transport: s.client.Transport}})
	b, ctx := client.Bucket, t.Context()
	if _, err := b.Head(ctx); !sdk.IsNotFoundError(err) {
		t.Errorf("no bucket: %v", err)
	}
	if _, err := b.Put(ctx, &sdk.BucketPutOptions{XCosACL: "private"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(ctx, nil); err == nil {
		t.Error("it is made again")
	} else if e, ok := sdk.IsCOSError(err); !ok || e.Code != "BucketAlreadyOwnedByYou" {
		t.Errorf("made again: %v", err)
	}
	if r, err := b.Head(ctx); err != nil || r.Header.Get("x-cos-bucket-region") != "ap-shanghai" {
		t.Errorf("a bucket: %v", err)
	}
	acl, _, err := b.GetACL(ctx)
	if err != nil || len(acl.AccessControlList) != 1 ||
		acl.AccessControlList[0].Permission != "FULL_CONTROL" ||
		acl.Owner.ID != owner {
		t.Errorf("its ACL: %+v, %v", acl, err)
	}
	_, err = b.PutACL(ctx, &sdk.BucketPutACLOptions{Header: &sdk.ACLHeaderOptions{XCosACL: "public-read"}})
	if err != nil {
		t.Error(err)
	}
	if acl, _, err = b.GetACL(ctx); err != nil || len(acl.AccessControlList) != 2 ||
		acl.AccessControlList[1].Permission != "READ" || acl.AccessControlList[1].Grantee.URI == "" {
		t.Errorf("its ACL then: %+v, %v", acl, err)
	}
	for _, status := range []string{"", "Enabled", "Suspended"} {
		if status != "" {
			if _, err := b.PutVersioning(ctx, &sdk.BucketPutVersionOptions{Status: status}); err != nil {
				t.Error(err)
			}
		}
		if v, _, err := b.GetVersioning(ctx); err != nil || v.Status != status {
			t.Errorf("versioning %+v, %v, want %q", v, err, status)
		}
	}
}
