package clb

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/lb"

	"golang.org/x/time/rate"
)

// FuzzAnswers gives a whole Client, of either API, the same answer to all that it asks. It holds that the
// Client ends soon, that what it takes for load balancers and backends is sorted, each once and bounded, that
// nothing but a 200 is an answer, and that no error shows a secret that the answer echoes.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		document, body(2, row1(1), row1(2)), body(0), body(3, row1(1)),
		`{"code":0,"message":"","codeDesc":"Success","totalCount":2,"loadBalancerSet":[{"unLoadBalancerId":"lb-1","loadBalancerName":"web","forward":0},{"unLoadBalancerId":"lb-2","loadBalancerName":"api","forward":1}]}`,
		`{"code":0,"totalCount":1,"backendSet":[` + row1(1) +
			`],"data":[{"ip":"10.0.0.1","protocol":"http","port":80,"vport":80,"healthStatus":0}]}`,
		`{"code":0,"totalCount":1,"loadBalancerSet":[{"unLoadBalancerId":"lb-1","loadBalancerName":"web","forward":1}],"data":[{"protocol":1,"loadBalancerPort":80,"rules":[{"domain":"a.com","url":"/","backends":[{"unInstanceId":"ins-1","port":80,"weight":10,"lanIp":"10.0.0.1"}]}]}]}`,
		`{"code":4100,"codeDesc":"AuthFailure","message":"(100) SECRET signature"}`,
		`{"code":"4300","codeDesc":"RequestForbidden","message":"closed"}`,
		`{"code":5000,"codeDesc":"InvalidParameter","message":"no such load balancer"}`, `{"code":6000}`,
		`{"code":4400,"message":"SECRET"}`,
		`{"Response":{"Error":{"Code":"AuthFailure.SecretIdNotFound","Message":"SECRET"},"RequestId":"6e0ac7a6"}}`,
		`{"Response":{"Error":{"Code":"InvalidParameter.LBIdNotFound","Message":"lb-1"},"RequestId":"6e0ac7a6"}}`,
		`{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":"slow"},"RequestId":"6e0ac7a6"}}`,
		`{"Response":{"Targets":[{"Type":"CVM","InstanceId":"ins-1","Weight":10,"RunFlag":2,"PrivateIpAddresses":["10.0.0.1"],"PublicIpAddresses":null}],"TotalCount":1,"LoadBalancerSet":[{"LoadBalancerId":"lb-1","LoadBalancerName":"web","Forward":0,"Tags":[{"TagKey":"env","TagValue":"prod"}]}],"RequestId":"6e0ac7a6"}}`,
		`{"Response":{"TotalCount":1,"LoadBalancerSet":[{"LoadBalancerId":"lb-1","Forward":1,"TargetRegionInfo":{"Region":"ap-shanghai"}}],"Listeners":[{"Protocol":"HTTP","Port":80,"Rules":[{"Domain":"a.com","Url":"/","Targets":[{"Type":"ENI","EniId":"eni-1","Port":80,"Weight":10,"PrivateIpAddresses":["10.0.0.1"]}]}],"Targets":null}],"LoadBalancers":[{"LoadBalancerId":"lb-1","Listeners":[{"Protocol":"HTTP","Port":80,"Rules":[{"Domain":"a.com","Url":"/","Targets":[{"IP":"10.0.0.1","Port":80,"HealthStatus":false}]}]}]}],"RequestId":"6e0ac7a6"}}`,
		`{"Response":{"TotalCount":1,"LoadBalancerSet":[{"LoadBalancerId":"lb-1","Forward":1}],"Listeners":[{"Protocol":"TCP","Port":80,"Targets":[{"Type":"CVM","InstanceId":"ins-1","Port":80,"Weight":10}]}],"InstanceStatusSet":[{"InstanceId":"ins-1","InstanceState":"RUNNING"}],"RequestId":"6e0ac7a6"}}`,
		`{"Response":{"TotalCount":1,"LoadBalancerSet":[{"LoadBalancerId":"lb-1","Forward":0}],"Targets":[],"Listeners":[{"ListenerId":"lbl-1","HealthSwitch":1}],"HealthList":[{"IP":"10.0.0.1","Port":80,"ListenerPort":80,"Protocol":"tcp","HealthStatus":1}],"RequestId":"6e0ac7a6"}}`,
		`<html><body>502 Bad Gateway</body></html>`, ``, `{}`, `[]`, `null`,
		`{"code":0,"totalCount":1,"backendSet":[{"unInst`,
	} {
		f.Add(200, []byte(s))
	}
	f.Add(302, []byte(document))
	f.Add(500, []byte("SECRET"))
	f.Add(429, []byte(""))
	const secret = "hUnTeR2hUnTeR2"
	v2, _ := url.Parse("https://lb.api.qcloud.com/v2/index.php")
	v3, _ := url.Parse("https://clb.tencentcloudapi.com")
	f.Fuzz(func(t *testing.T, status int, answer []byte) {
		status = min(max(status, 200), 599)
		answer = []byte(strings.ReplaceAll(string(answer), "SECRET", secret))
		calls := 0
		client := func(by API) *Client {
			transport := roundTrip(func(r *http.Request) (*http.Response, error) {
				// 41 load balancers by ids, pages of health for each listener: more would be without end.
				if calls++; calls > 3000 {
					t.Fatalf("more than 3,000 calls for %d %q", status, answer)
				}
				_, _ = io.Copy(io.Discard, r.Body) // of our own making
				return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://evil.example/"},
					"Content-Type": {"application/json"}},
					Body: io.NopCloser(strings.NewReader(string(answer))), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
			})
			return &Client{Endpoint: v2, EndpointV3: v3, API: by, Health: true,
				Credentials: Credentials{"AKID" + secret, secret, secret + "token"},
				HTTP: &http.Client{Transport: transport,
					CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
				Rate: rate.Inf, Now: time.Now, Sleep: func(ctx context.Context,
					_ time.Duration) error {
					return ctx.Err()
				}}
		}
		look := func(what string, err error) bool {
			if err == nil {
				if status != http.StatusOK {
					t.Errorf("%s takes a %d for an answer", what, status)
				}
				return true
			}
			if s := err.Error(); strings.Contains(s, secret) || len(s) > 2000 {
				t.Errorf("%s: %d bytes, or a secret: %s", what, len(s), s)
			}
			return false
		}
		for _, by := range []API{V2, V3, Auto} {
			for _, known := range []lb.Digest{"", "v2:::::::", "v3:::::::", "v2:application::::::",
				"v3:application::::::"} {
				r, err := client(by).Read(t.Context(), lb.CLB{Region: "ap-guangzhou", ID: "lb-1"}, known)
				if !look("Read", err) || r.Unchanged {
					continue
				}
				if r.HealthErr != nil {
					look("health", r.HealthErr)
				}
				for i, b := range r.Backends {
					if b.ID == "" || len(b.ID) > 200 || i > 0 && r.Backends[i-1].ID >= b.ID {
						t.Errorf("%q has a backend twice, out of order or without an id: %q", answer, b.ID)
					}
					if len(b.Name) > maxText || len(b.LanIP) > maxText || len(b.WanIPs) > maxAddresses || b.Weight < 0 ||
						len(b.Failing) > b.Checked || len(b.Unclear) > b.Checked {
						t.Errorf("%q has a backend beyond its bounds: %+v", answer, b)
					}
				}
				if m := recall(r.Digest); m.digest() != r.Digest || len(r.Digest) > 4096 {
					t.Errorf("a digest that is not recalled: %q", r.Digest)
				}
			}
			list, err := client(by).List(t.Context(), "ap-guangzhou")
			seen := make(map[string]bool)
			for _, testCLB := range list {
				if !plausibleID(testCLB.ID) || seen[testCLB.ID] || len(testCLB.Name) > maxText {
					t.Errorf("%q lists %+v", answer, testCLB)
				}
				seen[testCLB.ID] = true
			}
			look("List", err)
			if by != Auto {
				_, err = client(by).Describe(t.Context(), by, "ap-guangzhou", []string{"lb-1", "lb-2"})
				look("Describe", err)
			}
			_, err = client(by).Exist(t.Context(), "ap-guangzhou", []string{"lb-1"})
			look("Exist", err)
		}
	})
}

// The SDK panics on null, which was found by FuzzAnswers, and by headers of the answer unpacks it again,
// without a bound, or does not judge it.
func TestSDKJudgesNothingButOurBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ header, value, answer, want string }{
		{"", "", "null", "not its JSON"}, {"", "", " \n null", "not its JSON"}, {"", "", "", "not its JSON"},
		{"Content-Type", "text/event-stream", `{"Response":{"Error":{"Code":"AuthFailure","Message":"no"},"RequestId":"r"}}`, `"AuthFailure"`},
		{"Content-Encoding", "deflate", `{"Response":{"Error":{"Code":"AuthFailure","Message":"no"},"RequestId":"r"}}`, `"AuthFailure"`},
	} {
		endpoint, _ := url.Parse("https://clb.tencentcloudapi.com")
		c := &Client{EndpointV3: endpoint, API: V3, Rate: rate.Inf, Now: time.Now,
			Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{tt.header: {tt.value}},
					Body: io.NopCloser(strings.NewReader(tt.answer)), Request: r}, nil
			})}}
		if _, err := c.List(t.Context(), "ap-guangzhou"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s, %q: %v, want %s in it", tt.header, tt.value, tt.answer, err, tt.want)
		}
	}
}
