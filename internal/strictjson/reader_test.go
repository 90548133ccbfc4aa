package strictjson

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// testFields are those of the objects in this file's tests.
var testFields = NewFields("layers", "size", "os.version")

// TestGrammar shows what is not JSON in the sense of this package, and that the
// rest is, each both where it is skipped and where it is read.
func TestGrammar(t *testing.T) {
	t.Parallel()
	const syntax = "is not JSON"
	for name, test := range map[string]struct{ in, err string }{
		"object":                      {in: ` {"a" : [1, -2.5e3, "x", true, false, null, {}, []] } `},
		"scalar":                      {in: `"x"`},
		"surrogate pair":              {in: `"\ud83d\ude00"`},
		"names of other objects":      {in: `{"a":{"b":1},"b":{"b":1},"c":[{"b":1},{"b":1}]}`},
		"empty name":                  {in: `{"":1}`},
		"names that differ in case":   {in: `{"a":1,"A":2}`},
		"B30 nothing":                 {in: ``, err: "ends too early"},
		"B30 space":                   {in: ` `, err: "ends too early"},
		"B30 cut short":               {in: `{"a":[1`, err: "ends too early"},
		"B30 byte order mark":         {in: "\xef\xbb\xbf{}", err: "byte order mark"},
		"B30 invalid UTF-8":           {in: "{\"a\":\"\xff\"}", err: syntax},
		"B30 invalid UTF-8 in name":   {in: "{\"\xff\":1}", err: syntax},
		"B30 overlong UTF-8":          {in: "\"\xc0\x80\"", err: syntax},
		"B30 surrogate in UTF-8":      {in: "\"\xed\xa0\x80\"", err: syntax},
		"B30 lone surrogate":          {in: `"\ud83d"`, err: syntax},
		"B30 surrogates swapped":      {in: `"\ude00\ud83d"`, err: syntax},
		"B30 trailing data":           {in: `{} x`, err: "data after its end"},
		"B30 NUL at the end":          {in: "{}\x00", err: "data after its end"},
		"B30 NUL in a string":         {in: "\"\x00\"", err: syntax},
		"B30 two documents":           {in: `{}{}`, err: "data after its end"},
		"B30 comma at the end":        {in: `{},`, err: "data after its end"},
		"B30 bracket at the end":      {in: `{}]`, err: "data after its end"},
		"comma before the end":        {in: `[1,]`, err: syntax},
		"comma before the brace":      {in: `{"a":1,}`, err: syntax},
		"no comma":                    {in: `[1 2]`, err: syntax},
		"no colon":                    {in: `{"a" 1}`, err: syntax},
		"no value":                    {in: `{"a":}`, err: syntax},
		"number as name":              {in: `{1:1}`, err: syntax},
		"wrong bracket":               {in: `{"a":[}`, err: syntax},
		"only a bracket":              {in: `]`, err: syntax},
		"comment":                     {in: `{} // x`, err: "data after its end"},
		"single quotes":               {in: `{'a':1}`, err: syntax},
		"NaN":                         {in: `NaN`, err: syntax},
		"leading zero":                {in: `01`, err: "data after its end"},
		"plus":                        {in: `+1`, err: syntax},
		"dot":                         {in: `1.`, err: syntax},
		"upper-case literal":          {in: `TRUE`, err: syntax},
		"B26 name twice":              {in: `{"a":1,"b":2,"a":3}`, err: `document: has the key "a" twice`},
		"B26 name twice by an escape": {in: `{"a":1,"\u0061":3}`, err: `has the key "a" twice`},
		"B26 name twice far below":    {in: `{"x":[{"a":1,"a":1}]}`, err: `x[0]: has the key "a" twice`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, read := range map[string]func(*Reader) error{
				"skip": (*Reader).Skip,
				"walk": func(r *Reader) error { _, err := walk(r); return err },
				"none": func(*Reader) error { return nil },
				"raw":  func(r *Reader) error { _, err := r.Raw(); return err },
			} {
				checkError(t, how, Read([]byte(test.in), Limits{}, read), errdefs.ErrInvalidArgument, test.err)
			}
		})
	}
}

// TestManyNames shows that a name is found again in an object of any size.
func TestManyNames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 8, 9, 15, 16, 17, 100, 5000} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"n%d":{"n%d":0},`, i, i)
		}
		unique := "{" + strings.TrimSuffix(b.String(), ",") + "}"
		checkError(t, fmt.Sprint(n, " names"), Read([]byte(unique), Limits{}, (*Reader).Skip), nil, "")
		for _, again := range []int{0, n / 2, n - 1} {
			in := fmt.Sprintf(`{%s"n%d":1}`, b.String(), again)
			want := fmt.Sprintf(`document: has the key "n%d" twice`, again)
			checkError(t, fmt.Sprint(n, " names"), Read([]byte(in), Limits{}, (*Reader).Skip), errdefs.ErrInvalidArgument, want)
		}
	}
}

// TestAmbiguousNames shows the names that an object with known fields cannot have.
func TestAmbiguousNames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, err string }{
		"fields":                 {in: `{"layers":1,"size":2,"os.version":3}`},
		"unknown names":          {in: `{"layer":1,"sizes":2,"osXversion":3,"":4}`},
		"B26 twice":              {in: `{"layers":1,"layers":2}`, err: `has the key "layers" twice`},
		"B26 upper case":         {in: `{"LAYERS":1}`, err: `has the ambiguous key "LAYERS", which can be taken for "layers"`},
		"B26 both cases":         {in: `{"layers":1,"Layers":1}`, err: `ambiguous key "Layers"`},
		"B26 long s":             {in: `{"layerſ":1}`, err: `ambiguous key "layer\u017f", which can be taken for "layers"`},
		"B26 long s, escaped":    {in: `{"\u017fize":1}`, err: `ambiguous key "\u017fize", which can be taken for "size"`},
		"B26 os.verſion":         {in: `{"os.verſion":1}`, err: `which can be taken for "os.version"`},
		"B26 unknown, two cases": {in: `{"x":1,"X":2}`, err: `ambiguous key "X" twice, or once more in another case`},
		"B26 unknown, twice":     {in: `{"x":1,"x":2}`, err: `ambiguous key "x" twice`},
		"B26 unknown, Kelvin":    {in: "{\"disk\":1,\"dis\u212a\":2}", err: `ambiguous key "dis\u212a" twice`},
		"B26 unknown, sigmas":    {in: `{"σ":1,"ς":2}`, err: "ambiguous key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Read([]byte(test.in), Limits{}, func(r *Reader) error {
				return r.Object(testFields, func(string) error { return nil })
			})
			checkError(t, test.in, err, errdefs.ErrInvalidArgument, test.err)
		})
	}
}

func TestUnknownNamesAreBounded(t *testing.T) {
	t.Parallel()
	object := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"n%d":0,`, i)
		}
		return []byte("{" + b.String() + `"size":1}`)
	}
	read := func(r *Reader) error { return r.Object(testFields, func(string) error { return nil }) }
	checkError(t, "1000", Read(object(1000), Limits{}, read), nil, "")
	checkError(t, "1001", Read(object(1001), Limits{}, read), errdefs.ErrResourceExhausted, "more than the 1000 unknown keys")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, test := range map[string]struct {
		in   string
		lim  Limits
		kind error
		err  string
	}{
		"bytes, just enough":        {in: `[1]`, lim: Limits{Bytes: 3}},
		"bytes, one too many":       {in: `[1]`, lim: Limits{Bytes: 2}, kind: errdefs.ErrResourceExhausted, err: "is 3 bytes, at most 2 are allowed"},
		"depth, just enough":        {in: nested(3), lim: Limits{Depth: 3}},
		"depth, one too many":       {in: nested(4), lim: Limits{Depth: 3}, kind: errdefs.ErrInvalidArgument, err: "nests deeper than 3 levels"},
		"B24 default depth":         {in: nested(64)},
		"B24 65":                    {in: nested(65), kind: errdefs.ErrInvalidArgument, err: "nests deeper than 64 levels"},
		"B24 9,999":                 {in: nested(9999), kind: errdefs.ErrInvalidArgument, err: "nests deeper than 64 levels"},
		"B24 10,001":                {in: nested(10_001), kind: errdefs.ErrInvalidArgument, err: "nests deeper than 64 levels"},
		"B24 a million":             {in: strings.Repeat("[", 1e6), kind: errdefs.ErrInvalidArgument, err: "nests deeper than 64 levels"},
		"B24 a million objects":     {in: strings.Repeat(`{"":`, 1e6), kind: errdefs.ErrInvalidArgument, err: `[""][""][""]`},
		"names twice where allowed": {in: `{"a":1,"a":{"b":1,"b":2}}`, lim: Limits{Loose: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkError(t, name, Read([]byte(test.in), test.lim, (*Reader).Skip), test.kind, test.err)
		})
	}
}

// checkError checks an error's kind and that its text has what it should and is
// not long. An empty text means that there is no error.
func checkError(t *testing.T, what string, err, kind error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("%s: error %q, want none", what, err)
	case text == "":
	case err == nil:
		t.Errorf("%s: no error, want %q", what, text)
	case !errors.Is(err, kind) || !strings.Contains(err.Error(), text):
		t.Errorf("%s: error %q, want %q of the kind %v", what, err, text, kind)
	case len(err.Error()) > 1000:
		t.Errorf("%s: error of %d bytes", what, len(err.Error()))
	}
}
