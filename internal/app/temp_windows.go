package app

import (
	"crypto/rand"
	"os"
	"path/filepath"
)

// deleteOnClose is FILE_FLAG_DELETE_ON_CLOSE: a file that is open cannot be removed.
const deleteOnClose = 0x04000000

// tempFile makes a temporary file that goes when it is closed.
func tempFile() (*os.File, error) {
	name := filepath.Join(os.TempDir(), "clbwatch-"+rand.Text())
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|deleteOnClose, 0o600)
}
