package cli

import (
	"os"

	"golang.org/x/term"
)

// Columns is how many columns a file has that is a terminal; 0 if it is none.
func Columns(f *os.File) int {
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return max(columns, 0)
}

// color reports whether colours are welcome: on a terminal, unless NO_COLOR is set (https://no-color.org).
func (p *Program) color() bool {
	f, ok := p.Stdout.(*os.File)
	if !ok || p.Environ["NO_COLOR"] != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
