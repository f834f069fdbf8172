package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"time"
)

// A stored head is a line of JSON and a line with its checksum. It is written down here once more, so that
// what reads and writes heads in the function is tested by something else.

// Seal returns the stored form of a head that has this line of JSON.
func Seal(line []byte) []byte {
	line = append(bytes.TrimSpace(line), '\n')
	sum := sha256.Sum256(line)
	return append(line, "sha256 "+hex.EncodeToString(sum[:])+"\n"...)
}

var storedTime = regexp.MustCompile(`"[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`)

// Earlier returns a stored head in which every time is earlier by d. To a function that reads it next it is
// as if d had passed.
func Earlier(head []byte, d time.Duration) []byte {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return Seal(storedTime.ReplaceAllFunc(line, func(quoted []byte) []byte {
		at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(quoted))
		if err != nil {
			return quoted // it only looks like a time
		}
		return []byte(at.Add(-d).Format(`"` + time.RFC3339Nano + `"`))
	}))
}
