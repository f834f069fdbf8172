package clb

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"
)

// BenchmarkDecode decodes an answer about 100 backends, which is done only where its bytes are new.
func BenchmarkDecode(b *testing.B) {
	var v2, v3 []string
	for i := range 100 {
		v2 = append(v2, fmt.Sprintf(`{"instanceId":"qcvm0123456789abcdef0123456789abcdef","unInstanceId":"ins-%08d","instanceName":"web-%d","lanIp":"10.0.0.%d","wanIpSet":["203.0.113.%d"],"instanceStatus":2,"weight":10}`, i, i, i, i))
		v3 = append(v3, fmt.Sprintf(`{"Type":"CVM","InstanceId":"ins-%08d","Weight":10,"PublicIpAddresses":["203.0.113.%d"],"PrivateIpAddresses":["10.0.0.%d"],"InstanceName":"web-%d","RunFlag":2}`, i, i, i, i))
	}
	run := func(name, body string, decode func(body []byte) (backends int, err error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if n, err := decode([]byte(body)); err != nil || n != 100 {
					b.Fatal(n, err)
				}
			}
		})
	}
	run("2.0", `{"code":0,"message":"","codeDesc":"Success","totalCount":100,"backendSet":[`+strings.Join(v2,
		",")+`]}`, func(body []byte) (int, error) {
		var p pool
		err := p.add(page{body: body})
		return len(p.backends), err
	})
	run("3.0", `{"Response":{"Targets":[`+strings.Join(v3, ",")+
		`],"RequestId":"3b1f0f2e-7a34-4c9e-9d0a-5f3b7f0c2a11"}}`, func(body []byte) (int, error) {
		backends, err := decodeClassic(body)
		return len(backends.backends), err
	})
}

// BenchmarkSign makes the signed form of a call of API 2.0, as each call needs one of its own.
func BenchmarkSign(b *testing.B) {
	c := &Client{
		Endpoint: &url.URL{Scheme: "https", Host: "lb.api.qcloud.com", Path: "/v2/index.php"},
		Credentials: Credentials{SecretID: strings.Repeat("i", 36), SecretKey: strings.Repeat("k", 32),
			Token: strings.Repeat("t", 200)},
		Now: time.Now,
	}
	b.ReportAllocs()
	for b.Loop() {
		if c.form(backendsOf(lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q"}, 0)) == "" {
			b.Fatal("no form")
		}
	}
}
