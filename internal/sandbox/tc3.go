package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithmTC3 = "TC3-HMAC-SHA256"
	maxSkewTC3   = 5 * time.Minute // between a request's time stamp and the clock
)

// MaxBodyTC3 is how many bytes the body of a request to API 3.0 may have that is signed with TC3-HMAC-SHA256.
const MaxBodyTC3 = 10 << 20

// APIError is a refusal in the words of API 3.0.
type APIError struct{ Code, Message string }

func (e APIError) Error() string { return "3.0 " + e.Code + ": " + e.Message }

// CheckTC3 checks who sent a request to API 3.0, and that it is what they signed, for this service.
// credential looks a SecretId up. An error is an APIError.
func CheckTC3(r *http.Request, body []byte, service string, now time.Time,
	credential func(secretID string) (Credential, bool)) error {
	a, err := ParseTC3(r.Header.Get("Authorization"))
	if err != nil {
		return APIError{"AuthFailure.InvalidAuthorization", err.Error()}
	}
	stamp := r.Header.Get("X-TC-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return APIError{"InvalidParameter", fmt.Sprintf("X-TC-Timestamp %q is not in UNIX seconds", stamp)}
	}
	at := time.Unix(seconds, 0).UTC()
	if skew := now.Sub(at).Abs(); skew > maxSkewTC3 {
		return APIError{"AuthFailure.SignatureExpire",
			fmt.Sprintf("the X-TC-Timestamp is %v off", skew.Truncate(time.Second))}
	}
	cr, ok := credential(a.SecretID)
	if !ok {
		return APIError{"AuthFailure.SecretIdNotFound", "the SecretId does not exist"}
	}
	if want := at.Format(time.DateOnly) + "/" + service + "/tc3_request"; a.Scope != want {
		return APIError{"AuthFailure.SignatureFailure", fmt.Sprintf("the scope %q is not %q", a.Scope, want)}
	}
	want, err := a.Sign(r, body, cr.SecretKey)
	if err != nil {
		return APIError{"AuthFailure.SignatureFailure", err.Error()}
	}
	if subtle.ConstantTimeCompare([]byte(a.signature), []byte(want)) == 0 {
		return APIError{"AuthFailure.SignatureFailure", "the signature does not match"}
	}
	if r.Header.Get("X-TC-Token") != cr.Token {
		return APIError{"AuthFailure.TokenFailure",
			"the X-TC-Token is missing or not that of the SecretId"}
	}
	return nil
}

// TC3 is what a header Authorization of API 3.0 says.
type TC3 struct {
	SecretID string
	Scope    string // date/service/tc3_request

	signed    []string // names of headers, in order
	signature string
}

// ParseTC3 reads a header Authorization.
func ParseTC3(s string) (a TC3, err error) {
	rest, ok := strings.CutPrefix(s, algorithmTC3+" Credential=")
	credential, rest, ok2 := strings.Cut(rest, ", SignedHeaders=")
	signed, signature, ok3 := strings.Cut(rest, ", Signature=")
	id, scope, ok4 := strings.Cut(credential, "/")
	if !ok || !ok2 || !ok3 || !ok4 || id == "" {
		return a, errors.New("not of the form " + algorithmTC3 +
			" Credential=ID/SCOPE, SignedHeaders=NAMES, Signature=HEX")
	}
	a = TC3{id, scope, strings.Split(signed, ";"), signature}
	if !slices.IsSorted(a.signed) || strings.ToLower(signed) != signed {
		return a, errors.New("SignedHeaders are not in lower case and in order")
	}
	if !slices.Contains(a.signed, "content-type") || !slices.Contains(a.signed, "host") {
		return a, errors.New("SignedHeaders lack content-type or host")
	}
	return a, nil
}

// Service is the service that the request was signed for.
func (a TC3) Service() string {
	_, rest, _ := strings.Cut(a.Scope, "/")
	service, _, _ := strings.Cut(rest, "/")
	return service
}

// Sign returns the signature that a request should have. Other headers than content-type and host, such as
// x-tc-token, are signed only if the client says so; the host is signed as it was sent, with its port.
func (a TC3) Sign(r *http.Request, body []byte, secretKey string) (string, error) {
	var headers strings.Builder
	for _, name := range a.signed {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{r.Host} // net/http keeps it apart
		}
		if len(values) != 1 {
			return "", fmt.Errorf("the signed header %s was sent %d times", name, len(values))
		}
		headers.WriteString(name + ":" + strings.ToLower(strings.TrimSpace(values[0])) + "\n")
	}
	request := strings.Join([]string{r.Method, "/", r.URL.RawQuery, headers.String(),
		strings.Join(a.signed, ";"), sha256Hex(body)}, "\n")
	date, rest, _ := strings.Cut(a.Scope, "/")
	service, end, _ := strings.Cut(rest, "/")
	key := "TC3" + secretKey
	for _, part := range []string{
		date, service, end,
		strings.Join([]string{algorithmTC3, r.Header.Get("X-TC-Timestamp"), a.Scope,
			sha256Hex([]byte(request))}, "\n"),
	} {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(part))
		key = string(mac.Sum(nil))
	}
	return hex.EncodeToString([]byte(key)), nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// RequestID returns a new one, in the form of API 3.0 and of the function platform.
func RequestID() string {
	id := RandomHex(16)
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}
