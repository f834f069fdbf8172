// Package sandbox has what the parts of a cloud on the laptop share: the credential of a role, the
// signature of API 3.0, and the ways in which a server hangs, resets or answers with somebody else's page.
// It refuses to know any of those parts, or to import what they test.
package sandbox

import (
	"crypto/rand"
	"encoding/hex"
)

// Credential is what a function gets from its role. Without a Token it is a long-term key.
type Credential struct {
	SecretID, SecretKey, Token string
}

// RandomHex returns n random bytes in hex, for ids and secrets.
func RandomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
