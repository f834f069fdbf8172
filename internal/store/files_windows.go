package store

import (
	"os"
	"syscall"
)

// links is how many names a file has.
func links(file *os.File) uint64 {
	var info syscall.ByHandleFileInformation
	if err := syscall.GetFileInformationByHandle(syscall.Handle(file.Fd()), &info); err != nil {
		return 0
	}
	return uint64(info.NumberOfLinks)
}

// syncFolder does nothing: Windows has no call for it, and NTFS keeps a journal of its names.
func syncFolder(string) error { return nil }
