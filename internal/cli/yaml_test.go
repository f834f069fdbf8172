package cli

import "testing"

func TestYAML(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, document, want string }{
		{"order of keys", `{"b":"x","a":"v"}`, "b: x\na: v\n"},
		{"nested", `{"a":{"b":{"c":true}},"d":"x"}`, "a:\n  b:\n    c: true\nd: x\n"},
		{"list", `{"a":["x","v"],"b":"z"}`, "a:\n  - x\n  - v\nb: z\n"},
		{"list of objects", `{"a":[{"b":"x","c":["v"]},{"d":"z"}]}`,
			"a:\n  - b: x\n    c:\n      - v\n  - d: z\n"},
		{"list of lists", `[["x","v"],["z"]]`, "- - x\n  - v\n- - z\n"},
		{"empty", `{"a":[],"b":{},"c":""}`, "a: []\nb: {}\nc: \"\"\n"},
		{"not text", `{"a":false,"b":null,"c":1.50}`, "a: false\nb: null\nc: 1.50\n"},
		{"text that looks like something else", `["false","Null","on","N","1","0x1f","~","-","",".inf"]`,
			"- \"false\"\n- \"Null\"\n- \"on\"\n- \"N\"\n- \"1\"\n- \"0x1f\"\n- \"~\"\n- \"-\"\n- \"\"\n- \".inf\"\n"},
		{"plain text", `["chat:write","/clb","https://a.example:443/b","a - b"]`,
			"- chat:write\n- /clb\n- https://a.example:443/b\n- a - b\n"},
		{"text that needs quotes", `["a: b","a:","a #b","a ","a  b","*a","a|b","负载","a\nb","\"","<&>"]`,
			"- \"a: b\"\n- \"a:\"\n- \"a #b\"\n- \"a \"\n- \"a  b\"\n- \"*a\"\n- \"a|b\"\n- \"负载\"\n" +
				"- \"a\\nb\"\n- \"\\\"\"\n- \"<&>\"\n"},
		{"keys that need quotes", `{"yes":"x","a: b":"v"}`, "\"yes\": x\n\"a: b\": v\n"},
		{"one word", `"x"`, "x\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := yamlOf([]byte(tt.document))
			if err != nil || got != tt.want {
				t.Errorf("yamlOf(%s) = %q, %v, want %q", tt.document, got, err, tt.want)
			}
		})
	}
	for _, cut := range []string{``, `{"a"`, `{"a":`, `["x"`, `{"a":{`} {
		if got, err := yamlOf([]byte(cut)); err == nil {
			t.Errorf("yamlOf(%s) = %q, want an error", cut, got)
		}
	}
}
