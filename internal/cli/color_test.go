package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestColor takes the null device for a terminal: it is a character device as well.
func TestColor(t *testing.T) {
	t.Parallel()
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tt := range []struct {
		name    string
		out     io.Writer
		noColor string
		want    bool
	}{
		{"terminal", device, "", true},
		{"terminal and NO_COLOR", device, "1", false},
		{"file", file, "", false},
		{"no file at all", &bytes.Buffer{}, "", false},
	} {
		p := Program{Stdout: tt.out, Environ: map[string]string{"NO_COLOR": tt.noColor}}
		if got := p.color(); got != tt.want {
			t.Errorf("%s: color() = %v, want %v", tt.name, got, tt.want)
		}
	}
}
