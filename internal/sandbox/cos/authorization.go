package cos

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// authorization is the header of that name (https://cloud.tencent.com/document/product/436/7778).
type authorization struct {
	secretID, keyTime, signature string
	from, to                     time.Time // as keyTime has them
	headers, params              []string  // signed: escaped, in lower case and in order
}

// authorize checks who sent the request, and that it is what they signed. Codes are those of
// https://cloud.tencent.com/document/product/436/40105; for a wrong token none is documented.
func (c *Bucket) authorize(r *http.Request, query url.Values) (secretID string, err error) {
	mismatch := func(format string, args ...any) error {
		return refusal{http.StatusForbidden, "SignatureDoesNotMatch", "the signature does not match",
			fmt.Sprintf(format, args...)}
	}
	if r.Header.Get("Authorization") == "" {
		return "", refusal{http.StatusForbidden, "AccessDenied", "Access Denied.", "Authorization is missing"}
	}
	a, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return "", mismatch("Authorization: %v", err)
	}
	cr, ok := c.accepts(a.secretID)
	if !ok {
		return "", refusal{http.StatusForbidden, "InvalidAccessKeyId", "the SecretId does not exist",
			a.secretID}
	}
	if now := c.Now(); now.Before(a.from) || now.After(a.to) {
		return "", refusal{http.StatusForbidden, "AccessDenied", "Request has expired",
			fmt.Sprintf("signed for %s, now %d", a.keyTime, now.Unix())}
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-cos-") &&
			!slices.Contains(a.headers, name) {
			return "", mismatch("header %s is not signed", name)
		}
	}
	want := a.sign(r, query, cr.SecretKey)
	if subtle.ConstantTimeCompare([]byte(a.signature), []byte(want)) == 0 {
		return "", mismatch("of %s", a.secretID)
	}
	if r.Header.Get("X-Cos-Security-Token") != cr.Token {
		return "", refusal{http.StatusForbidden, "AccessDenied", "Access Denied.",
			"x-cos-security-token is missing or not that of the SecretId"}
	}
	return a.secretID, nil
}

func parseAuthorization(s string) (a authorization, err error) {
	fields := make(map[string]string)
	for _, part := range strings.Split(s, "&") {
		key, value, ok := strings.Cut(part, "=")
		if _, twice := fields[key]; twice || !ok {
			return a, fmt.Errorf("%q is given twice or has no value", key)
		}
		fields[key] = value
	}
	for _, key := range []string{"q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list",
		"q-url-param-list", "q-signature"} {
		if _, ok := fields[key]; !ok || len(fields) != 7 {
			return a, fmt.Errorf("%s is missing, or there is a field too many", key)
		}
	}
	if fields["q-sign-algorithm"] != "sha1" {
		return a, fmt.Errorf("algorithm %q", fields["q-sign-algorithm"])
	}
	a = authorization{secretID: fields["q-ak"], keyTime: fields["q-key-time"],
		signature: fields["q-signature"]}
	first, last, _ := strings.Cut(a.keyTime, ";")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err1 != nil || err2 != nil || fields["q-sign-time"] != a.keyTime {
		return a, fmt.Errorf("q-key-time %q and q-sign-time %q are not one start;end in UNIX seconds",
			a.keyTime, fields["q-sign-time"])
	}
	a.from, a.to = time.Unix(from, 0), time.Unix(to, 0)
	if a.headers, err = signedNames(fields["q-header-list"]); err != nil {
		return a, err
	}
	a.params, err = signedNames(fields["q-url-param-list"])
	return a, err
}

func signedNames(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	names := strings.Split(s, ";")
	if !slices.IsSorted(names) || strings.ToLower(s) != s {
		return nil, fmt.Errorf("list %q is not in lower case and in order", s)
	}
	return slices.Compact(names), nil // a header that is given twice is listed twice
}

// sign is what the signature should be.
func (a authorization) sign(r *http.Request, query url.Values, secretKey string) string {
	headers := map[string][]string{"host": {r.Host}}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = values
	}
	params := make(map[string][]string)
	for name, values := range query {
		name = strings.ToLower(escape(name))
		params[name] = append(params[name], values...)
	}
	request := sha1.Sum([]byte(strings.ToLower(r.Method) + "\n" + r.URL.Path + "\n" +
		pairs(a.params, params) + "\n" + pairs(a.headers, headers) + "\n"))
	return hmacSHA1(hmacSHA1(secretKey, a.keyTime),
		"sha1\n"+a.keyTime+"\n"+hex.EncodeToString(request[:])+"\n")
}

func pairs(names []string, values map[string][]string) string {
	var out []string
	for _, name := range names {
		for _, v := range slices.Sorted(slices.Values(values[name])) {
			out = append(out, name+"="+escape(v))
		}
	}
	return strings.Join(out, "&")
}

// escape leaves letters, digits, "-", "_", "." and "~" alone.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hmacSHA1(key, text string) string {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}
