package kdl

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// write makes a document of nodes, in one way only.
func write(nodes []*Node) string {
	var b strings.Builder
	value := func(v Value) string {
		text := v.Text
		switch v.Kind {
		case String:
			text = quote(text)
		case Bool, Null:
			text = "#" + text
		}
		if v.Type != "" {
			text = "(" + quote(v.Type) + ")" + text
		}
		return text
	}
	for _, n := range nodes {
		if n.Type != "" {
			fmt.Fprintf(&b, "(%s)", quote(n.Type))
		}
		b.WriteString(quote(n.Name))
		for _, a := range n.Args {
			b.WriteString(" " + value(a))
		}
		for _, key := range slices.Sorted(maps.Keys(n.Props)) {
			b.WriteString(" " + quote(key) + "=" + value(n.Props[key]))
		}
		if len(n.Children) > 0 {
			b.WriteString(" { " + write(n.Children) + "}")
		}
		b.WriteString("; ")
	}
	return b.String()
}

// quote leaves plain words alone, so that the tables below can be read.
func quote(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz") == "" && !slices.Contains([]string{"true", "false", "null", "inf", "nan"}, text) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case isNewline(c) || isForbidden(c):
			fmt.Fprintf(&b, `\u{%x}`, c)
		default:
			b.WriteRune(c)
		}
	}
	return `"` + b.String() + `"`
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"only space", "\ufeff \n\t// no node\n/* nor /* here */ */\r\n", ""},
		{"nodes", "a\nb;c\r\nd", "a; b; c; d; "},
		{"arguments and properties", `a 1 "two" k=v (u8)3 k=w`, `a 1 two ("u8")3 k=w; `},
		{"space around =", `a k = "v" l /* */ =1`, `a k=v l=1; `},
		{"children", "a {\n b 1\n c { d; }\n}\ne {}", "a { b 1; c { d; }; }; e; "},
		{"children on one line", "a { b; c }; d{e}", "a { b; c; }; d { e; }; "},
		{"keywords", "a #true #false #null #inf #-inf #nan", "a #true #false #null #inf #-inf #nan; "},
		{"version 1's keywords", "a true false null k=true", "a #true #false #null k=#true; "},
		{"types", "(node)a (t)1 k=(u)v", "(node)a (t)1 k=(u)v; "},
		{"integers", "a 0 -1 +2 1_000 0xFF_ff -0o17 0b1_01", "a 0 -1 +2 1000 0xFFff -0o17 0b101; "},
		{"fractions", "a 1.5 -2.0e10 1E-3 1_0.0_1", "a 1.5 -2.0e10 1E-3 10.01; "},
		{"words", "a-b <c> - --x +y .z -.q ä$ r", `"a-b" "<c>" "-" "--x" "+y" ".z" "-.q" "ä$" r; `},
		{"escapes", `a "\"\\\b\f\n\r\t\s\u{e4}\u{10FFFF}"`, "a \"\\\"\\\\\\u{8}\\u{c}\\u{a}\\u{d}\t ä\U0010FFFF\"; "},
		{"space escape", "a \"one \\   \n\n   two\"", `a "one two"; `},
		{"raw", `a #"C:\n"# ##"a"#b"## #""#`, `a "C:\\n" "a\"#b" ""; `},
		{"empty string", `a "" ""`, `a "" ""; `},
		{"long", "a \"\"\"\n    one\n      two\\n\\u{78}\n\n    \"three\"\n    \"\"\" 1", `a "one\u{a}  two\u{a}x\u{a}\u{a}\"three\"" 1; `},
		{"long of nothing", "a \"\"\"\n  \"\"\"", `a ""; `},
		{"long with CR LF", "a \"\"\"\r\n  x\r\n  y\r\n  \"\"\"\r\nb", `a "x\u{a}y"; b; `},
		{"long with an escaped line end", "a \"\"\"\n  x \\\n     y\n  \"\"\"", `a "x y"; `},
		{"long raw", "a #\"\"\"\n  \\x\"\n  \"\"\"#", `a "\\x\""; `},
		{"continued lines", "a 1 \\ // why\n  2 \\\n3\nb", "a 1 2 3; b; "},
		{"comments", "a /* x */ 1 // y\n/* z */ b", "a 1; b; "},
		{"dropped node", "/-a { b }\n/- c 1\nd", "d; "},
		{"dropped parts", "a /-1 2 /-k=v /-{ x } { y } /-{ z }", "a 2 { y; }; "},
		{"dropped without a space before", "a \"b\"/-1 c/-k=v", "a b c; "},
		{"dropped over lines", "a /-\n1 2", "a 2; "},
		{"quoted names", `"a b" "k l"=1`, `"a b" "k l"=1; `},
		{"Unicode's line ends", "a\u2028b\u0085c\vd\ff", "a; b; c; d; f; "},

		{"unclosed block", "a\nb { c", "error line 2, column 3: this { is never closed"},
		{"closed twice", "a { }\n }", "error line 2, column 2: this } closes nothing"},
		{"unclosed comment", "a\n /* x /* y */", "error line 2, column 2: this comment has no end"},
		{"unclosed string", `a "x`, "error line 1, column 3: this string has no end on its line"},
		{"string over lines", "a \"x\ny\"", "error line 1, column 3: this string has no end on its line"},
		{"unclosed raw", "a #\"x\"", "error line 1, column 3: this string has no end"},
		{"unclosed long", "a \"\"\"\nx", "error line 1, column 3: this string has no end"},
		{"unknown escape", `a "x\q"`, `error line 1, column 5: an unknown escape`},
		{"bad code point", `a "\u{110000}"`, `error line 1, column 4: want \u{...}`},
		{"surrogate", `a "\u{d800}"`, `error line 1, column 4: want \u{...}`},
		{"long on one line", `a """x"""`, `error line 1, column 3: behind """ the string begins on the next line`},
		{"long closed behind text", "a \"\"\"\nx\"\"\"", `error line 1, column 3: the closing """`},
		{"long with too little indent", "a \"\"\"\n  x\n y\n  \"\"\"", `error line 1, column 3: line 2 of this string`},
		{"no space", `a "b""c"`, `error line 1, column 6: want a space before "\""`},
		{"word and string", `a b"c"`, `error line 1, column 4: want a space`},
		{"no number", "a 12ab", "error line 1, column 3: this begins like a number"},
		{"underscore first", "a 0x_1", "error line 1, column 3: this begins like a number"},
		{"a sign within", "a 0x-5", "error line 1, column 3: this begins like a number"},
		{"two points", "a 1.2.3", "error line 1, column 3: this begins like a number"},
		{"no digit after the point", "a 1.", "error line 1, column 3: this begins like a number"},
		{"no digit before the point", "a -.5", "error line 1, column 3: a number begins with a digit"},
		{"unknown keyword", "a #yes", `error line 1, column 3: "#yes" is none of`},
		{"bare nan", "a nan", "error line 1, column 3: write #nan"},
		{"number for a name", "a\n  1 b", "error line 2, column 3: a node begins with its name, and this is a number"},
		{"boolean for a name", "true", "error line 1, column 1: a node begins with its name, and this is a boolean"},
		{"no value", "a k=\n", "error line 1, column 5: the line ends where a value is due"},
		{"no value at all", "a k=", "error line 1, column 5: the text ends where"},
		{"no key", "a =1", `error line 1, column 3: "=" cannot stand here`},
		{"bracket", "a [1]", `error line 1, column 3: "[" cannot stand here`},
		{"lone ;", "a\n;", `error line 2, column 1: ";" cannot stand here`},
		{"two blocks", "a { } { }", "error line 1, column 7: a has a second block"},
		{"argument behind a block", "a { } 1", "error line 1, column 7: behind its block"},
		{"backslash within a line", `a \ b`, `error line 1, column 3: a \ goes on in the next line`},
		{"empty type", "a ()1", `error line 1, column 4: ")" cannot stand here`},
		{"open type", "a (t 1", "error line 1, column 3: want a type in parentheses"},
		{"dropped nothing", "a\n/-", "error line 2, column 3: the text ends where"},
		{"not UTF-8", "a\n b \xff", "error line 2, column 4: this is not UTF-8"},
		{"control character", "a \x01", "error line 1, column 3: the character U+0001"},
		{"direction override", "a \"ä\u202e\"", "error line 1, column 5: the character U+202E"},
		{"too deep", strings.Repeat("a{", MaxDepth+1), fmt.Sprintf("error line 1, column %d: more than %d blocks", 2*MaxDepth+2, MaxDepth)},
		{"too long", strings.Repeat(" ", MaxSize+1), "error line 1, column 1: 1048577 bytes"},
	} {
		nodes, err := Parse([]byte(c.text))
		got := write(nodes)
		if err != nil {
			got = "error " + err.Error()
		}
		if got != c.want && (err == nil || !strings.HasPrefix(got, c.want) || c.want == "") {
			t.Errorf("%s: got  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// As deep as may be is read, and a child is found where it stands.
func TestDepthAndPlaces(t *testing.T) {
	nodes, err := Parse([]byte(strings.Repeat("a{", MaxDepth) + "b" + strings.Repeat("}", MaxDepth)))
	if err != nil {
		t.Fatal(err)
	}
	for range MaxDepth - 1 {
		nodes = nodes[0].Children
	}
	if b := nodes[0].Child("b"); b == nil || b.Pos != (Pos{1, 2*MaxDepth + 1}) {
		t.Errorf("%+v", b)
	}
	if nodes[0].Child("c") != nil {
		t.Error("a child that is not there")
	}
	nodes, err = Parse([]byte("a\r\n\tb ä k=(t)1"))
	if err != nil {
		t.Fatal(err)
	}
	if n := nodes[1]; n.Pos != (Pos{2, 2}) || n.Args[0].Pos != (Pos{2, 4}) || n.Props["k"].Pos != (Pos{2, 8}) {
		t.Errorf("%+v", n)
	}
}

func TestInt(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-1": "-1", "+7": "7", "010": "10", "1_000": "1000", "0xff": "255", "-0x10": "-16", "0o17": "15", "0b101": "5", "9223372036854775807": "9223372036854775807",
		"9223372036854775808": "9223372036854775808 is out of range", "1.5": "1.5 is not a whole number", "1e3": "1e3 is not a whole number",
		"#inf": "#inf is not a whole number", `"1"`: "a string, not a number", "#true": "a boolean, not a number", "null": "null, not a number",
	} {
		nodes, err := Parse([]byte("a " + text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		n, err := nodes[0].Args[0].Int()
		got := strconv.FormatInt(n, 10)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// FuzzParse reads anything. What is wrong is at a place of the text; what is
// right, written anew, reads the same.
func FuzzParse(f *testing.F) {
	f.Add("vm \"web\" {\n image \"a.qcow2\"\n memory 2_048\n network \"tap\" bridge=\"br0\"\n network \"tap\" { bridge \"br1\" }\n}")
	f.Add("(t)a 0x1F -1.5e3 #true null k = #\"x\"# /- b { c; d }; e \\ // z\n \"\"\"\n  l\\n\n  m\n  \"\"\" /* /* */ */")
	f.Add("a \"\\u{e4}\\s\\   \n x\" /-{ } { } // \n}")
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := Parse([]byte(text))
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) || bad.Line < 1 || bad.Column < 1 || bad.Line > len(text)+1 || bad.Column > len(text)+1 || bad.What == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		once := write(nodes)
		if len(once) > MaxSize {
			return
		}
		again, err := Parse([]byte(once))
		if err != nil || write(again) != once {
			t.Fatalf("%q was read as %q, and that as %q, %v", text, once, write(again), err)
		}
	})
}
