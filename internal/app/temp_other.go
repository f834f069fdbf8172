//go:build !windows

package app

import "os"

// tempFile makes a temporary file that has no name, and goes when it is closed.
func tempFile() (*os.File, error) {
	f, err := os.CreateTemp("", "clbwatch-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
