package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
)

// moveRow is a row of the table of moves, with b, a and d for names and A, B and C for
// images. In before and after, b=A is a name that points at A, and @A is a dangling
// record. In moves, b=A moves a name, b= removes it, @A=A makes a dangling record and
// @A= removes it; behind these, ?- wants the name to be absent, ?B wants it to point
// at B, and ! forgets what it pointed at. In moved there is for each move what there
// was before, - for nothing, and behind it @ if that has become dangling.
type moveRow struct{ before, moves, after, moved string }

// moveTable has what becomes of names.
func moveTable() map[string]moveRow {
	return map[string]moveRow{
		"a new name":                           {"", "b=A", "b=A", "-"},
		"a new name for what has one":          {"a=A", "b=A", "a=A b=A", "-"},
		"a name to what it points at":          {"b=A", "b=A", "b=A", "A"},
		"a name to another image":              {"b=A", "b=B", "@A b=B", "A@"},
		"a name away from what has another":    {"a=A b=A", "b=B", "a=A b=B", "A"},
		"a name away from what is remembered":  {"b=A @B", "b=C", "@A @B b=C", "A@"},
		"a name to what dangles":               {"b=A @B", "b=B", "@A b=B", "A@"},
		"a new name for what dangles":          {"@A", "b=A", "b=A", "-"},
		"a name forgets":                       {"b=A", "b=B!", "b=B", "A"},
		"a name forgets what has another":      {"a=A b=A", "b=B!", "a=A b=B", "A"},
		"removed":                              {"b=A", "b=", "@A", "A@"},
		"removed, with another name":           {"a=A b=A", "b=", "a=A", "A"},
		"removed and forgotten":                {"b=A", "b=!", "", "A"},
		"what is absent is removed":            {"b=A", "a=", "b=A", "-"},
		"both names removed":                   {"a=A b=A", "a= b=", "@A", "A@,A@"},
		"both names removed and forgotten":     {"a=A b=A", "a=! b=!", "", "A,A"},
		"both removed, one forgotten":          {"a=A b=A", "a=! b=", "@A", "A@,A@"},
		"dangling is removed":                  {"@A b=B", "@A=", "b=B", "A"},
		"dangling is made":                     {"b=B", "@A=A", "@A b=B", "-"},
		"dangling is made again":               {"@A", "@A=A", "@A", "A"},
		"absent dangling is removed":           {"b=B", "@A=", "b=B", "-"},
		"swapped":                              {"a=A b=B", "a=B b=A", "a=B b=A", "A,B"},
		"renamed":                              {"b=A", "a=A b=", "a=A", "-,A"},
		"renamed, the other way":               {"b=A", "b= a=A", "a=A", "A,-"},
		"renamed over another":                 {"a=B b=A", "a=A b=", "@B a=A", "B@,A"},
		"three at once":                        {"b=A", "b=B a=B d=C", "@A a=B b=B d=C", "A@,-,-"},
		"if absent, and it is":                 {"", "b=A?-", "b=A", "-"},
		"if it points there, and it does":      {"b=A", "b=B?A", "@A b=B", "A@"},
		"removed if it points there":           {"b=A", "b=?A!", "", "A"},
		"to the same if it points there":       {"b=A", "b=A?A", "b=A", "A"},
		"dangling is removed if it is there":   {"@A", "@A=?A", "", "A"},
		"dangling is made if it is not there":  {"", "@A=A?-", "@A", "-"},
		"if absent, and it is not":             {"b=A", "b=B?-", "b=A", "refused"},
		"if absent, and it is the same":        {"b=A", "b=A?-", "b=A", "refused"},
		"if it points there, and it does not":  {"b=A", "b=C?B", "b=A", "refused"},
		"if it points there, and it is absent": {"", "b=A?A", "", "refused"},
		"removed if, and it does not":          {"b=A", "b=?B", "b=A", "refused"},
		"removed if, and it is absent":         {"b=A", "a=?A", "b=A", "refused"},
		"the last of three is refused":         {"b=A @C", "b=B a=C d=A?A", "b=A @C", "refused"},
		"the first of three is refused":        {"b=A", "d=A?A b=B a=C", "b=A", "refused"},
		"a removal is refused with the rest":   {"a=A b=B", "a= b=?A", "a=A b=B", "refused"},
		"dangling if, and it is absent":        {"b=A", "b=B @C=?C", "b=A", "refused"},
		"dangling made if absent, and it is":   {"@A", "@A=A?-", "@A", "refused"},
		"dangling of another digest":           {"b=A", "b=B @A=B", "b=A", "invalid"},
		"a name twice":                         {"b=A", "b=B b=A", "b=A", "invalid"},
		"a name twice, removed":                {"b=A", "b= b=!", "b=A", "invalid"},
	}
}

func (f Factory) moves() map[string]func(*testing.T) {
	tests := map[string]func(*testing.T){}
	for name, row := range moveTable() {
		tests[name] = func(t *testing.T) { f.moveRow(t, row) }
	}
	return tests
}

// table reads a moveTable.
type table map[string]ocispec.Descriptor

// key returns a name, or the key of a dangling record.
func (im table) key(s string) string {
	if dangling, ok := strings.CutPrefix(s, "@"); ok {
		return "@" + im[dangling].Digest.String()
	}
	return map[string]string{"a": alpine, "b": busybox, "d": debian}[s]
}

// move reads one move.
func (im table) move(s string) store.Move {
	s, forget := strings.CutSuffix(s, "!")
	s, condition, _ := strings.Cut(s, "?")
	name, to, _ := strings.Cut(s, "=")
	m := store.Move{Name: im.key(name), To: im[to], Forget: forget}
	if condition == "-" {
		m.If.Absent = true
	} else {
		m.If.Digest = im[condition].Digest
	}
	return m
}

// state reads what names there are.
func (im table) state(s string) map[string]digest.Digest {
	names := map[string]digest.Digest{}
	for field := range strings.FieldsSeq(s) {
		name, to, named := strings.Cut(field, "=")
		if !named {
			to = name[1:]
		}
		names[im.key(name)] = im[to].Digest
	}
	return names
}

// moved writes what became of moves.
func (im table) moved(all []store.Moved) string {
	var fields []string
	for _, m := range all {
		field := "-"
		for name, desc := range im {
			if m.Before.Target.Digest == desc.Digest {
				field = name
			}
		}
		if m.Dangling {
			field += "@"
		}
		fields = append(fields, field)
	}
	return strings.Join(fields, ",")
}

func (f Factory) moveRow(t *testing.T, row moveRow) {
	w := f.world(t)
	im := table{}
	for i, desc := range w.images(t, "A", "B", "C") {
		im[string(rune('A'+i))] = desc
	}
	for field := range strings.FieldsSeq(row.before) {
		if !strings.Contains(field, "=") {
			field = fmt.Sprintf("%s=%s", field, field[1:])
		}
		w.move(t, im.move(field))
	}
	w.wantNames(t, im.state(row.before))
	before := w.records(t)
	var moves []store.Move
	for field := range strings.FieldsSeq(row.moves) {
		moves = append(moves, im.move(field))
	}
	moved, err := w.Move(t.Context(), moves...)
	switch {
	case row.moved == "refused" && !errdefs.IsFailedPrecondition(err):
		t.Errorf("Move: %v; want %v", err, errdefs.ErrFailedPrecondition)
	case row.moved == "invalid" && !errdefs.IsInvalidArgument(err):
		t.Errorf("Move: %v; want %v", err, errdefs.ErrInvalidArgument)
	case slices.Contains([]string{"refused", "invalid"}, row.moved):
		if diff := cmp.Diff(before, w.records(t)); diff != "" {
			t.Errorf("a refused Move has changed records:\n%s", diff)
		}
	case err != nil:
		t.Error("Move:", err)
	case im.moved(moved) != row.moved:
		t.Errorf("moved %q, want %q", im.moved(moved), row.moved)
	}
	w.wantNames(t, im.state(row.after))
	w.reopen(t)
	w.wantNames(t, im.state(row.after))
}
