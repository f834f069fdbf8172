package scf

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
)

// output is what a process writes. It goes to a file and not through a pipe, so that what a function wrote
// before it answered is there when the answer is.
type output struct {
	mu   sync.Mutex
	file *os.File // without a name; nil once the process is gone
	text string   // all of it, then
}

func newOutput() (*output, error) {
	file, err := os.CreateTemp("", "sandbox-output-")
	if err != nil {
		return nil, fmt.Errorf("make a file for the output: %w", err)
	}
	return &output{file: file}, os.Remove(file.Name())
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return o.text
	}
	text, _ := io.ReadAll(io.NewSectionReader(o.file, 0, math.MaxInt64)) // what can be read of it
	return string(text)
}

// end keeps the text and closes the file.
func (o *output) end() {
	text := o.String()
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.file.Close() // everything was read
	o.file, o.text = nil, text
}
