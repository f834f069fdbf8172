package page_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/page"
	"clbwatch/internal/report"
)

// element is an element of a page.
type element struct {
	name   string
	attr   map[string]string
	parent *element
	all    strings.Builder // the text of this element and all in it
}

func (e *element) text() string { return e.all.String() }

func (e *element) has(class string) bool {
	return slices.Contains(strings.Fields(e.attr["class"]), class)
}

// within is the element around it that has a name; nil if there is none.
func (e *element) within(name string) *element {
	for e = e.parent; e != nil && e.name != name; e = e.parent {
	}
	return e
}

// write writes a report as a page.
func write(t testing.TB, r report.Report) string {
	t.Helper()
	var b strings.Builder
	if err := page.Write(&b, r, china); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Elements that a page may have, and attributes. None of them loads or runs anything.
var (
	elements = strings.Fields(`html head meta title style body header h1 h2 h3 p nav ul li a main section strong
		span dl div dt dd article small svg path rect text table caption thead tbody tr th td time footer`)
	attributes = strings.Fields(`lang charset http-equiv content name class id href tabindex role aria-labelledby
		aria-label aria-hidden scope datetime data-name viewBox d x y width height stroke-dasharray`)
	inline = strings.Fields("a span strong time")
	drawn  = regexp.MustCompile(`^[MLHVZ0-9 .\n]*$`)
)

// parse reads a page as strictly as XML is read, so that it means the same to every reader, and holds that it
// has only elements and attributes that are harmless.
func parse(t testing.TB, html string) (all []*element) {
	t.Helper()
	ids, links := make(map[string]bool), make(map[string]bool)
	var at *element
	for d := xml.NewDecoder(strings.NewReader(html)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the page is not well-formed: %v\n%s", err, around(html, d.InputOffset()))
		}
		switch token := token.(type) {
		case xml.StartElement:
			at = &element{name: token.Name.Local, attr: make(map[string]string), parent: at}
			all = append(all, at)
			if !slices.Contains(elements, at.name) {
				t.Errorf("the page has an element %s", at.name)
			}
			for _, a := range token.Attr {
				at.attr[a.Name.Local] = a.Value
				if !slices.Contains(attributes, a.Name.Local) {
					t.Errorf("%s has an attribute %s=%q", at.name, a.Name.Local, a.Value)
				}
			}
			if id := at.attr["id"]; id != "" && ids[id] {
				t.Errorf("two elements have the id %s", id)
			} else if id != "" {
				ids[id] = true
			}
			if link, ok := at.attr["href"]; ok {
				links[link] = true
			}
			if !drawn.MatchString(at.attr["d"]) {
				t.Errorf("a path is %q", at.attr["d"])
			}
		case xml.EndElement:
			if !slices.Contains(inline, at.name) {
				for e := at; e != nil; e = e.parent {
					e.all.WriteByte(' ')
				}
			}
			at = at.parent
		case xml.CharData:
			for e := at; e != nil; e = e.parent {
				e.all.Write(token)
			}
		case xml.Directive:
			if string(token) != "doctype html" {
				t.Errorf("the page has <!%s>", token)
			}
		default:
			t.Errorf("the page has %T %q", token, token)
		}
	}
	for link := range links {
		if !ids[strings.TrimPrefix(link, "#")] || !strings.HasPrefix(link, "#") {
			t.Errorf("a link leads to %q, want an element of the page", link)
		}
	}
	return all
}

func around(html string, at int64) string { return html[max(0, at-200):min(int64(len(html)), at+100)] }

// reports are what pages are made of.
var reports = map[string]func() report.Report{
	"sample": sample, "single": single, "well": well, "unknown": unknown, "none": none,
	"minute":  func() report.Report { return long(time.Minute) },
	"quarter": func() report.Report { return long(90 * day) },
	"many":    func() report.Report { return many(70) }, "worst": func() report.Report { return worst(70) },
}

func TestPageIsWellFormedAndHarmless(t *testing.T) {
	t.Parallel()
	for name, r := range reports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := make(map[string]int)
			for _, e := range parse(t, write(t, r())) {
				count[e.name]++
				switch {
				case e.name == "html" && e.attr["lang"] != "en", e.name == "title" && e.text() == "",
					e.name == "th" && e.attr["scope"] == "", e.has("chart") && (e.attr["role"] != "img" ||
						e.attr["aria-label"] == ""), e.name == "section" && e.attr["aria-labelledby"] == "" &&
						!strings.Contains(e.text(), "not known"):
					t.Errorf("%s %v says not what it is", e.name, e.attr)
				case e.attr["http-equiv"] != "" && e.attr["content"] != "default-src 'none'; style-src 'unsafe-inline'":
					t.Errorf("the policy is %q", e.attr["content"])
				}
			}
			if count["table"] != count["caption"] || count["h1"] != 1 || count["meta"] != 5 {
				t.Errorf("%d tables, %d captions, %d h1, %d meta", count["table"], count["caption"], count["h1"],
					count["meta"])
			}
		})
	}
}

// TestPageNamesNothingOutside looks for what could make a browser load something, whatever a parser makes of
// it. Names of the sample are harmless, so that each find is the page's.
func TestPageNamesNothingOutside(t *testing.T) {
	t.Parallel()
	for _, r := range []report.Report{sample(), many(60), unknown(), none()} {
		html := strings.ToLower(write(t, r))
		for _, s := range []string{"http:", "https:", "//", "url(", "@import", "@font-face", "<script", "<link",
			"<img",
			"<iframe", "<object", "<embed", "<base", "<form", "src=", "srcset", "xlink", "xmlns", "javascript:",
			"data:",
			" on", "<!--", "<foreignobject", "<use", "<image", "<animate", "<set"} {
			if at := strings.Index(html, s); at >= 0 && (s != " on" ||
				regexp.MustCompile(` on\w+=`).MatchString(html)) {
				t.Errorf("the page has %q: %s", s, around(html, int64(at)))
			}
		}
	}
}

// hostile are texts that would be markup, or lead readers astray, if they were written as they are.
var hostile = []string{
	`<script>document.title='owned'</script>`, `"><img src=x onerror="document.title='owned'">`,
	`' onload='document.title="owned"`, `</style><style>*{background:url(http://evil.example/)}`,
	`</title></svg></table><h1>all well</h1>`, `]]><!-- --><![CDATA[`, `{{.Title}}{{template "card"}}`,
	"a\u202egnp.exe\u2066\u200b\ufeff", "\x00\x1b[2J\x07a\r\n\tb\x85\u2028c", "\xff\xfe\xc3(",
	`javascript:alert(1)`, `&lt;b&gt;&#60;b&#62;&amp;`, strings.Repeat("x", 10_000), strings.Repeat("界", 10_000),
	"\ufffex\uffff\U0001fffe", "🔥 data:text/html,<b>", "`${alert(1)}`", "--><x",
}

// named is a report in which each text from outside is one of some texts.
func named(texts ...string) report.Report {
	w := newWorld(3 * day)
	text := func(n int) string { return texts[n%len(texts)] }
	for n := range texts {
		c := w.add(text(n), 4)
		w.outage(c, w.from.Add(5*time.Hour), time.Hour, 1, 2)
		for k := range 4 {
			w.outage(c, w.from.Add(20*time.Hour+time.Duration(10*k)*time.Minute), 2*time.Minute, 3)
		}
		w.outage(c, w.from.Add(30*time.Hour), 99*day, 1)
		if n%3 == 0 {
			delete(w.names, c.Key())
			c.Title, c.Label, c.ID = c.Label, "", text(n+1)
			w.names[c.Key()], w.stands[c.Key()] = c, capacity(3, 4)
		}
		if n%4 == 1 {
			w.errs[c.Key()] = errors.New(text(n))
		}
		w.silence(silenceOf(fmt.Sprint(n), text(n), text(n+1), text(n+2), w.from.Add(time.Hour)))
	}
	r := w.report()
	r.Note = text(0)
	for n := range r.Pools {
		r.Pools[n].Odd, r.Pools[n].Do = []string{text(n)}, text(n+1)
	}
	for n := range r.Timeline.Lines {
		for k := range r.Timeline.Lines[n].Marks {
			r.Timeline.Lines[n].Marks[k].ID = text(k)
		}
		for k := range r.Timeline.Lines[n].Flapping {
			r.Timeline.Lines[n].Flapping[k].Name = text(k)
		}
	}
	for n := range r.Open {
		r.Open[n].ID, r.Open[n].By, r.Open[n].Acknowledged = text(n), text(n), true
	}
	return r
}

// TestHostileNamesAreTextOnThePage holds that a page has the same elements and attributes whatever names are.
func TestHostileNamesAreTextOnThePage(t *testing.T) {
	t.Parallel()
	for _, name := range hostile {
		got, want := parse(t, write(t, named(name, name, name))), parse(t, write(t, named("abc", "abc", "abc")))
		if g, w := shape(got), shape(want); !maps.Equal(g, w) {
			t.Errorf("with the name %.60q, the page has the elements %v, want %v", name, g, w)
		}
		for _, e := range got {
			for _, bad := range []string{"\u202e", "\u2066", "\u200b", "\ufeff", "\x1b", "\x00", "\x07", "\ufffd"} {
				if strings.Contains(e.text(), bad) || strings.Contains(fmt.Sprint(e.attr), bad) {
					t.Fatalf("with the name %.60q, %s has %q: %.200q", name, e.name, bad, e.text())
				}
			}
			if runes := []rune(e.text()); (e.name == "th" || e.name == "h3" || e.name == "small") && len(runes) > 100 {
				t.Fatalf("%s has %d characters: %.200q", e.name, len(runes), e.text())
			}
		}
	}
}

// shape is how often a page has which elements, with which attributes.
func shape(all []*element) map[string]int {
	shape := make(map[string]int)
	for _, e := range all {
		shape[fmt.Sprint(e.name, slices.Sorted(maps.Keys(e.attr)))]++
	}
	return shape
}

func FuzzWrite(f *testing.F) {
	for n := range hostile {
		f.Add(hostile[n], hostile[(n+1)%len(hostile)], "ap-guangzhou", int64(n))
	}
	f.Fuzz(func(t *testing.T, one, two, three string, minutes int64) {
		r := named(one, two, three, one)
		at := r.At.Add(time.Duration(minutes%1e6) * time.Minute)
		for n, l := range r.Timeline.Lines {
			for k := range l.Marks {
				l.Marks[k].Began = at.Add(time.Duration(n*k) * time.Hour)
			}
		}
		for n := range r.Timeline.Silences {
			r.Timeline.Silences[n].From = at
		}
		parse(t, write(t, r))
	})
}
