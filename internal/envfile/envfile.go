// Package envfile reads a file of settings, such as .env. It expands nothing and guesses at nothing: a quote
// or # that readers of such files take in different ways is an error, which names the line and never the
// value.
//
// A line is empty, a comment that begins with #, or NAME=VALUE, with export before it or not:
//
//	CLB_REGION=ap-guangzhou         # a comment needs a space before it
//	CLB_IDS = 'lb-1=shop, lb-2'     as it is, without a quote in it
//	export RUNBOOK_URL="https://…"  \n, \r, \t, \", \\ and \$ are one character each
//
// A value in quotes may go on in the next line. One without ends at the end of its line or before a comment,
// without the spaces around it. $ is nothing special, and no name may be set twice.
package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxSize is how many bytes a file may have. Settings are a few kilobytes.
const maxSize = 1 << 20

// Read reads a file. Its errors name the file and the line, and no value.
func Read(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	settings, err := Parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return settings, nil
}

// Parse reads the content of a file. Its errors name the line, and no value.
func Parse(content []byte) (map[string]string, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // which Windows puts before UTF-8
	switch {
	case len(content) > maxSize:
		return nil, fmt.Errorf("it has more than %d bytes, which is too much for settings", maxSize)
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return nil, errors.New("it is UTF-16; save it as UTF-8")
	}
	s := scanner{rest: strings.ReplaceAll(string(content), "\r\n", "\n"), line: 1}
	settings, first := make(map[string]string), make(map[string]int) // the line of each
	for s.rest != "" {
		at := s.line
		name, value, err := s.next()
		if err == nil && first[name] > 0 {
			err = fmt.Errorf("%s is set in line %d already", name, first[name])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
		if name != "" {
			settings[name], first[name] = value, at
		}
	}
	return settings, nil
}

// scanner is what of a file is still to be read.
type scanner struct {
	rest string
	line int // the number of its first line
}

// next reads one setting, in one line or several; name is "" if there is none in the line.
func (s *scanner) next() (name, value string, err error) {
	start := strings.TrimLeft(s.rest, blanks)
	line, _, _ := strings.Cut(start, "\n")
	if line == "" || line[0] == '#' {
		s.skip(line, start)
		return "", "", nil
	}
	name, after, ok := strings.Cut(line, "=")
	if word, rest, _ := strings.Cut(strings.ReplaceAll(name, "\t", " "), " "); word == "export" && rest != "" {
		name = strings.Trim(rest, blanks)
	}
	name = strings.Trim(name, blanks)
	switch {
	case !ok:
		return "", "", errors.New("expected NAME=VALUE, and there is no =")
	case !isName(name):
		return "", "", errors.New("expected NAME=VALUE with a name of letters, digits and _, not first a digit")
	}
	from := start[len(line)-len(after):]
	if text := strings.TrimLeft(from, blanks); text != "" && (text[0] == '\'' || text[0] == '"') {
		value, from, err = quoted(text)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", name, err)
		}
		line, _, _ = strings.Cut(from, "\n")
		if left := strings.Trim(line, blanks); left != "" && (left[0] != '#' || left == line) {
			return "", "", fmt.Errorf("%s: there is something behind the closing quote", name)
		}
	} else {
		line, _, _ = strings.Cut(from, "\n")
		value, err = bare(line)
	}
	if err == nil {
		err = check(value)
	}
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	s.skip(line, from)
	return name, value, nil
}

// skip goes behind the end of a line, with which from begins.
func (s *scanner) skip(line, from string) {
	rest := strings.TrimPrefix(from[len(line):], "\n")
	s.line += strings.Count(s.rest[:len(s.rest)-len(rest)], "\n")
	s.rest = rest
}

// blanks are what may be between the parts of a line.
const blanks = " \t"

func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// bare is a value without quotes: what is before a comment.
func bare(line string) (string, error) {
	for i := range len(line) {
		if line[i] != '#' {
			continue
		}
		if i > 0 && strings.IndexByte(blanks, line[i-1]) >= 0 {
			line = line[:i]
			break
		}
		return "", errors.New("a # in a value needs quotes around it, and before a comment there must be a space")
	}
	return strings.Trim(line, blanks), nil
}

// quoted is a value in quotes, with which s begins, and what comes behind it.
func quoted(s string) (value, rest string, err error) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote && quote == '\'' && s[i-1] == '\\':
			// a quote, says Docker; the end, says a shell
			return "", "", errors.New(`\ before a single quote; use double quotes`)
		case s[i] == quote:
			return b.String(), s[i+1:], nil
		case s[i] != '\\' || quote == '\'':
			b.WriteByte(s[i])
		case i+1 < len(s):
			i++
			c, ok := escapes[s[i]]
			if !ok {
				return "", "", errors.New(`in double quotes \ is for \n, \r, \t, \", \\ and \$; ` +
					`write \\ for one of its own, or use single quotes`)
			}
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("the quote %c is not closed", quote)
}

// escapes are the characters after \ in double quotes.
var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '"': '"', '\\': '\\', '$': '$'}

// check says what no environment could hold.
func check(value string) error {
	switch {
	case !utf8.ValidString(value):
		return errors.New("the value is not UTF-8")
	case strings.ContainsRune(value, 0):
		return errors.New("the value has a NUL in it")
	}
	return nil
}
