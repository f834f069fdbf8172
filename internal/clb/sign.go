package clb

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // API 2.0's other method; we send HmacSHA256
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
)

// Credentials are what a request is signed with. Token is "" for long-term keys; temporary keys need it.
type Credentials struct {
	SecretID  string
	SecretKey string
	Token     string
}

// sign returns the value of Signature for a request of API 2.0: the parameters raw, sorted by byte, signed
// together with the method, the host without its port, and the path. Source: 签名方法,
// https://cloud.tencent.com/document/api/214/1526.
func sign(method, host, path string, params map[string]string, secretKey string) string {
	keys := make([]string, 0, len(params))
	for k := range params {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var src strings.Builder
	src.WriteString(method + host + path)
	sep := "?"
	for _, k := range keys {
		src.WriteString(sep + strings.ReplaceAll(k, "_", ".") + "=" + params[k])
		sep = "&"
	}
	newHash := sha1.New
	if params["SignatureMethod"] == "HmacSHA256" {
		newHash = sha256.New
	}
	mac := hmac.New(newHash, []byte(secretKey))
	mac.Write([]byte(src.String()))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
