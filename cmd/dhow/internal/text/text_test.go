package text

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		-1:            "?",
		0:             "0 B",
		999:           "999 B",
		1000:          "1.0 kB",
		1049:          "1.0 kB",
		999_949:       "999.9 kB",
		999_950:       "1.0 MB",
		12_345_678:    "12.3 MB",
		1_600_000_000: "1.6 GB",
		math.MaxInt64: "9.2 EB",
	} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	d := digest.Digest("sha512:" + strings.Repeat("0123456789abcdef", 8))
	if got, want := Short(d), "sha512:0123456789ab"; got != want {
		t.Errorf("Short = %q, want %q", got, want)
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"plain", `linux/arm64 "x" \ é`, `linux/arm64 "x" \ é`},
		{"escape sequence", "\x1b[31mred", `\x1b[31mred`},
		{"newline", "a\nb", `a\nb`},
		{"one-byte control", "\u009b2J", `\u009b2J`},
		{"right-to-left override", "a\u202eb", `a\u202eb`},
		{"not UTF-8", "a\xffb", `a\xffb`},
		{"a quote beside a control", "\"\x07", `"\a`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := Escape(tc.in); got != tc.want {
				t.Errorf("Escape(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestQuoteCuts(t *testing.T) {
	t.Parallel()
	if got, want := Quote("abc", 3), `"abc"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The third byte is in the middle of a character, which is not torn apart.
	if got, want := Quote("aéé", 4), `"aé"… (5 bytes)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a\x1b": `a\x1b`, "abé": "ab… (4 bytes)", "\x1bbcd": `\x1bbc… (4 bytes)`} {
		if got := Cut(in, 3); got != want {
			t.Errorf("Cut(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := Table(&b, [][]string{{"action", "digest"}, {"copied", ""}, {"x", "y"}}); err != nil {
		t.Fatal(err)
	}
	if want := "action  digest\ncopied\nx       y\n"; b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestJSONEscapesAndKeepsTheValue(t *testing.T) {
	t.Parallel()
	in := map[string]string{"k\u009b": "\x1b\x7f\u202e\U000e0001é<>&\"\\"}
	var b bytes.Buffer
	if err := JSON(&b, in); err != nil {
		t.Fatal(err)
	}
	for _, c := range b.String() {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Errorf("character %U in %q", c, b.String())
		}
	}
	var out map[string]string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 || out["k\u009b"] != in["k\u009b"] {
		t.Errorf("got %q, want %q", out, in)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a", "\x1b]0;x\x07", "\xff\xfe", "\u202e\u2028", "é", `\"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range Escape(s) {
			if !unicode.IsPrint(c) {
				t.Fatalf("Escape(%q) has %U", s, c)
			}
		}
	})
}
