package hosts

import (
	"log/slog"
	"testing"
)

// TestLocate shows that lines are found for all ways of writing a key.
func TestLocate(t *testing.T) {
	t.Parallel()
	const file = `
a.b.c = 1
[d."e.f"]
g = {h = 1, i = [{j = 1}]}
[[k]]
l = 1
[[k]]
l = 2
[[k.m]]
n = 1
[k.o]
p = 1
`
	top := parse("x", []byte(file), slog.New(slog.DiscardHandler))
	if top.doc.err != nil {
		t.Fatal(top.doc.err)
	}
	for path, want := range map[string]int{
		"a.b.c": 2, "a": 2, `d."e.f"`: 3, `d."e.f".g.h`: 4, `d."e.f".g.i[0].j`: 4, "k[0]": 5, "k[0].l": 6, "k[1]": 7, "k[1].l": 8,
		"k[1].m[0].n": 10, "k[1].o.p": 12, "k[1].missing": 7, "missing": 1, "": 1,
	} {
		if got := top.doc.line(path); got != want {
			t.Errorf("%s: line %d, want %d", path, got, want)
		}
	}
}
