package envfile_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"clbwatch/internal/envfile"
)

func TestParse(t *testing.T) {
	t.Parallel()
	type m = map[string]string
	for _, tt := range []struct {
		name, in string
		want     m
	}{
		{"empty", "", m{}},
		{"plain", "A=1\nB_2=x y\n", m{"A": "1", "B_2": "x y"}},
		{"no newline at the end", "A=1", m{"A": "1"}},
		{"empty value", "A=\nB= \nC=''\nD=\"\"", m{"A": "", "B": "", "C": "", "D": ""}},
		{"spaces around =", "A = 1\n\tB\t=\t2 \n", m{"A": "1", "B": "2"}},
		{"export", "export A=1\nexport\tB = 2\n  export  C='3'\nexport=4",
			m{"A": "1", "B": "2", "C": "3", "export": "4"}},
		{"comments and empty lines", "# A=0\n\n   \n  # x\nA=1 # one\nB='2'\t# two", m{"A": "1", "B": "2"}},
		{"only a comment behind =", "A= # none\nB=1", m{"A": "", "B": "1"}},
		{"equals signs", "A=lb-1=shop,lb-2=b=\n", m{"A": "lb-1=shop,lb-2=b="}},
		{"CRLF", "A=1\r\nB='2'\r\nC=\"x\r\ny\"\r\n", m{"A": "1", "B": "2", "C": "x\ny"}},
		{"byte order mark", "\ufeffA=1", m{"A": "1"}},
		{"single quotes", `A='$x \n "q" # no comment'`, m{"A": `$x \n "q" # no comment`}},
		{"double quotes", `A="a\nb\tc\rd \"q\" \\ \$x ' # no comment"`,
			m{"A": "a\nb\tc\rd \"q\" \\ $x ' # no comment"}},
		{"several lines", "A=\"x\n y=1\n# z\"\nB='1\n2' # end\nC=3", m{"A": "x\n y=1\n# z", "B": "1\n2", "C": "3"}},
		{"nothing is expanded", "A=$B ${C} `d`\nB=\"$A ${A}\"", m{"A": "$B ${C} `d`", "B": "$A ${A}"}},
		{"quotes in the middle", `A=it's "so"`, m{"A": `it's "so"`}},
		{"not ASCII", "A=灰度\n", m{"A": "灰度"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := envfile.Parse([]byte(tt.in))
			if err != nil || !maps.Equal(got, tt.want) {
				t.Errorf("Parse(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestErrorsNameTheLineAndNotTheValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"no equals sign", "A=1\nhunter2\n", "line 2: expected NAME=VALUE, and there is no ="},
		{"no name", "=hunter2", "line 1: expected NAME=VALUE with a name"},
		{"name with a dash", "hunter2-x=1", "line 1: expected NAME=VALUE with a name"},
		{"name with a digit first", "2hunter2=1", "line 1: expected NAME=VALUE with a name"},
		{"two words", "set A=hunter2", "line 1: expected NAME=VALUE with a name"},
		{"# in a value", "\n\nA=hunter2#x", "line 3: A: a # in a value needs quotes"},
		{"# first in a value", "A=#hunter2", "line 1: A: a # in a value needs quotes"},
		{"behind the quote", "A='hunter2'x", "line 1: A: there is something behind the closing quote"},
		{"comment without a space", "A='hunter2'#x", "line 1: A: there is something behind the closing quote"},
		{"quote not closed", "B=1\nA='hunter2\nC=1\n", "line 2: A: the quote ' is not closed"},
		{"escaped and not closed", `A="hunter2\"`, `line 1: A: the quote " is not closed`},
		{"backslash at the end", `A="hunter2\`, `line 1: A: the quote " is not closed`},
		{"backslash before a single quote", `A='hunter2\' x'`,
			"line 1: A: \\ before a single quote; use double quotes"},
		{"unknown escape", `A="hunter2\d"`, `line 1: A: in double quotes \ is for`},
		{"twice", "A=\"1\n2\"\nB=2\nA=hunter2", "line 4: A is set in line 1 already"},
		{"NUL", "A=hunter2\x00", "line 1: A: the value has a NUL in it"},
		{"broken UTF-8", "A=hunter2\xff", "line 1: A: the value is not UTF-8"},
		{"UTF-16", "\xff\xfeA\x00", "it is UTF-16"},
		{"too large", "A=" + strings.Repeat("hunter2", 1<<18), "it has more than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := envfile.Parse([]byte(tt.in))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Parse = %q, %v, want an error that begins with %q", got, err, tt.want)
			}
		})
	}
}

func TestReadNamesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, ".env")
	if err := os.WriteFile(name, []byte("A=1\nB"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		name:                     name + ": line 2: ",
		filepath.Join(dir, "no"): filepath.Join(dir, "no"),
		dir:                      dir,
	} {
		if _, err := envfile.Read(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q) = %v, want an error with %q", file, err, want)
		}
	}
}

func ExampleParse() {
	settings, err := envfile.Parse([]byte("# where\nexport CLB_IDS = 'lb-1, lb-2'\nCLB_REGION=ap-a # home\n"))
	fmt.Println(settings, err)
	// Output: map[CLB_IDS:lb-1, lb-2 CLB_REGION:ap-a] <nil>
}

// FuzzParse holds that nothing breaks the parser, that errors show no value, and that what was read can be
// written in double quotes and read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"A=1\n", "export A = 'x' # y", "A=\"a\\n\nb\"\r\nB=2", "\ufeffA=#", "A='", "A\n=1", "A=\\",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := envfile.Parse(content)
		if err != nil {
			if got != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("Parse(%q) = %q, %q", content, got, err)
			}
			return
		}
		var b strings.Builder
		escape := strings.NewReplacer("\\", `\\`, `"`, `\"`, "\r", `\r`, "$", `\$`)
		for k, v := range got {
			fmt.Fprintf(&b, "%s=\"%s\"\n", k, escape.Replace(v))
		}
		again, err := envfile.Parse([]byte(b.String()))
		if err != nil || !maps.Equal(again, got) {
			t.Errorf("Parse(%q) = %q, and written again %q, %v", content, got, again, err)
		}
	})
}
