package strictjson

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestInt64(t *testing.T) {
	t.Parallel()
	for in, test := range map[string]struct {
		want int64
		err  string
	}{
		`0`:                        {want: 0},
		"\t5\n":                    {want: 5},
		`9223372036854775807`:      {want: 1<<63 - 1},
		`9223372036854775808`:      {err: "more than 2^63-1"},
		`18446744073709551617`:     {err: "more than 2^63-1"},
		strings.Repeat("9", 1<<20): {err: "more than 2^63-1"},
		`-1`:                       {err: `is "-1", which is not a whole number of 0 or more`},
		`-0`:                       {err: "not a whole number"},
		`1e3`:                      {err: "not a whole number"},
		`1E3`:                      {err: "not a whole number"},
		`1.5`:                      {err: "not a whole number"},
		`1.0`:                      {err: "not a whole number"},
		`"5"`:                      {err: "is a string where a number is wanted"},
		`null`:                     {err: "is null where a number is wanted"},
		`true`:                     {err: "is a boolean where a number is wanted"},
		`[5]`:                      {err: "is an array where a number is wanted"},
		`{}`:                       {err: "is an object where a number is wanted"},
		``:                         {err: "ends too early"},
	} {
		var got int64
		err := Read([]byte(in), Limits{}, func(r *Reader) (err error) {
			got, err = r.Int64()
			return err
		})
		checkError(t, in[:min(len(in), 30)], err, errdefs.ErrInvalidArgument, test.err)
		if err == nil && got != test.want {
			t.Errorf("%s: read %d, want %d", in, got, test.want)
		}
	}
}

// TestValues shows what each method reads and what it refuses.
func TestValues(t *testing.T) {
	t.Parallel()
	reads := map[string]func(r *Reader) (any, error){
		"string": func(r *Reader) (any, error) { return r.String() },
		"bool":   func(r *Reader) (any, error) { return r.Bool() },
		"null":   func(r *Reader) (any, error) { return r.Null(), nil },
		"kind":   func(r *Reader) (any, error) { return r.Kind(), nil },
		"raw": func(r *Reader) (any, error) {
			raw, err := r.Raw()
			return string(raw), err
		},
		"map": func(r *Reader) (any, error) {
			m, err := r.StringMap()
			return fmt.Sprint(m), err
		},
		"array": func(r *Reader) (any, error) {
			var seen []int
			err := r.Array(func(i int) error { seen = append(seen, i); return nil })
			return fmt.Sprint(seen), err
		},
		"record": func(r *Reader) (any, error) {
			var seen []string
			err := r.Record(testFields, func(name string) error { seen = append(seen, name); return nil })
			return fmt.Sprint(seen), err
		},
	}
	for _, test := range []struct {
		read, in string
		want     any
		err      string
	}{
		{read: "string", in: `"a\nbé\u00e9"`, want: "a\nbéé"},
		{read: "string", in: `""`, want: ""},
		{read: "string", in: `1`, err: "is a number where a string is wanted"},
		{read: "string", in: `null`, err: "is null where a string is wanted"},
		{read: "bool", in: `true`, want: true},
		{read: "bool", in: `false`, want: false},
		{read: "bool", in: `"true"`, err: "is a string where a boolean is wanted"},
		{read: "null", in: `null`, want: true},
		{read: "null", in: `0`, want: false},
		{read: "kind", in: `-1`, want: Number},
		{read: "kind", in: `x`, err: "is not JSON"},
		{read: "raw", in: ` [1, {"a":2}] `, want: `[1, {"a":2}]`},
		{read: "map", in: `{"a":"1","b":""}`, want: "map[a:1 b:]"},
		{read: "map", in: `{}`, want: "map[]"},
		{read: "map", in: `{"a":"","b":"","a":""}`, err: `document: has the key "a" twice`},
		{read: "map", in: `{"a":1}`, err: "a: is a number where a string is wanted"},
		{read: "map", in: `{"a":null}`, err: "a: is null where a string is wanted"},
		{read: "map", in: `[]`, err: "is an array where an object is wanted"},
		{read: "array", in: `[null,{},[1]]`, want: "[0 1 2]"},
		{read: "array", in: `[]`, want: "[]"},
		{read: "array", in: `{}`, err: "is an object where an array is wanted"},
		{read: "record", in: `{"size":1,"layers":null,"x":2,"y":null}`, want: "[size x]"},
	} {
		var got any
		err := Read([]byte(test.in), Limits{}, func(r *Reader) (err error) {
			got, err = reads[test.read](r)
			return err
		})
		checkError(t, test.read+" "+test.in, err, errdefs.ErrInvalidArgument, test.err)
		if err == nil && got != test.want {
			t.Errorf("%s of %s: %v, want %v", test.read, test.in, got, test.want)
		}
	}
}

// TestPath shows the place that an error names, at any value of a document.
func TestPath(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	in := `{"a":{"os.version":[[0],{"":1}],"b c":2,"\n":[3],"` + long + `":4},"d":[5,{"_e9":6}]}`
	want := map[string]string{
		"0": "a[\"os.version\"][0][0]",
		"1": `a["os.version"][1][""]`,
		"2": `a["b c"]`,
		"3": `a["\n"][0]`,
		"4": `a["` + long[:maxQuoted-3] + "…",
		"5": "d[0]",
		"6": "d[1]._e9",
	}
	got := map[string]string{}
	err := Read([]byte(in), Limits{}, func(r *Reader) error {
		if r.Path() != "document" {
			t.Errorf("path at the top is %s", r.Path())
		}
		return eachNumber(r, func() error {
			path := r.Path()
			raw, err := r.Raw()
			got[string(raw)] = path
			return err
		})
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("paths %q, error %v; want %q", got, err, want)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	own := errors.New("own")
	err := Read([]byte(`{"a":[{"b":1}]}`), Limits{}, func(r *Reader) error {
		return eachNumber(r, func() error {
			missing := r.Missing("c")
			if want := "a[0].b.c: is missing or null: invalid argument"; missing.Error() != want {
				t.Errorf("missing: %q, want %q", missing, want)
			}
			return r.Errorf(own, "is %s", Quote("\x1b[31m"))
		})
	})
	if !errors.Is(err, own) || err.Error() != `a[0].b: is "\x1b[31m": own` {
		t.Errorf("error %q", err)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                          `"plain"`,
		"\x00\u202e\"":                   `"\x00\u202e\""`,
		strings.Repeat("a", 256):         `"` + strings.Repeat("a", 256) + `"`,
		strings.Repeat("a", 257):         `"` + strings.Repeat("a", 256) + `"…`,
		strings.Repeat("a", 255) + "é":   `"` + strings.Repeat("a", 255) + `"…`,
		strings.Repeat("\xa9", 300)[:10]: `"` + strings.Repeat(`\xa9`, 10) + `"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
		if got := Quote([]byte(in)); got != want {
			t.Errorf("Quote of bytes %q = %s, want %s", in, got, want)
		}
	}
}

// TestCapture shows that captured bytes are those of the document itself, whatever
// stands around them, and that Consumed ends with them.
func TestCapture(t *testing.T) {
	t.Parallel()
	data := []byte("{\"a\" :\n [1 ,2] \t, \"b\":{ } , \"c\" : \"x\" }")
	var got []string
	err := Read(data, Limits{}, func(r *Reader) error {
		return r.Map(func(string) error {
			raw, err := r.Capture(func() error { return nil })
			if !slices.Equal(data[r.Consumed()-int64(len(raw)):r.Consumed()], raw) {
				t.Errorf("%s does not end at %d", raw, r.Consumed())
			}
			if cap(raw) != len(raw) {
				t.Errorf("appending to %s would write into the document", raw)
			}
			got = append(got, string(raw))
			return err
		})
	})
	if want := []string{"[1 ,2]", "{ }", `"x"`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("captured %q, error %v; want %q", got, err, want)
	}
}

// eachNumber calls visit for the numbers in a value.
func eachNumber(r *Reader, visit func() error) error {
	switch r.Kind() {
	case Object:
		return r.Map(func(string) error { return eachNumber(r, visit) })
	case Array:
		return r.Array(func(int) error { return eachNumber(r, visit) })
	case Number:
		return visit()
	}
	return r.Skip()
}
