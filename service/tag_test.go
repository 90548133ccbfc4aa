package service_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

func TestTag(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		before, ref, name string
		after, target     string
		dangling          bool
		err               error
		text              string
	}{
		"a new name":                        {before: "x:1=A", ref: "x:1", name: "y", after: "x:1=A y:latest=A", target: "A"},
		"another host":                      {before: "x:1=A", ref: "x:1", name: "LOCALHOST:5000/a/b:2", after: "x:1=A localhost:5000/a/b:2=A", target: "A"},
		"a name that there is":              {before: "x:1=A y:1=B", ref: "x:1", name: "y:1", after: "x:1=A y:1=A @B", target: "A", dangling: true},
		"one of two names":                  {before: "x:1=A y:1=B y:2=B", ref: "x:1", name: "y:1", after: "x:1=A y:1=A y:2=B", target: "A"},
		"the same":                          {before: "x:1=A", ref: "x:1", name: "x:1", after: "x:1=A", target: "A"},
		"another name of the same":          {before: "x:1=A y:1=A", ref: "x:1", name: "y:1", after: "x:1=A y:1=A", target: "A"},
		"a dangling image":                  {before: "@A", ref: "{A:12}", name: "x:1", after: "x:1=A", target: "A"},
		"an ID":                             {before: "x:1=A", ref: "{A}", name: "y:1", after: "x:1=A y:1=A", target: "A"},
		"a manifest in a list":              {before: "l:1=L", ref: "{A}", name: "y:1", after: "l:1=L y:1=A", target: "A"},
		"a config in a list":                {before: "l:1=L", ref: "{A.config}", name: "y:1", after: "l:1=L y:1=A", target: "A"},
		"the config of a manifest":          {before: "x:1=A", ref: "{A.config:16}", name: "y:1", after: "x:1=A y:1=A", target: "A"},
		"a tag and another digest":          {before: "x:1=A x:2=B", ref: "x:1@{B}", name: "y:1", after: "x:1=A x:2=B y:1=B", target: "B"},
		"no such image":                     {before: "x:1=A", ref: "x:2", name: "y:1", after: "x:1=A", err: errdefs.ErrNotFound, text: "No such image: x:2"},
		"to a digest":                       {before: "x:1=A", ref: "x:1", name: "y@{A}", after: "x:1=A", err: errdefs.ErrInvalidArgument, text: "refusing to create a tag with a digest reference"},
		"to the name of an algorithm":       {before: "x:1=A", ref: "x:1", name: "sha256:1", after: "x:1=A", err: errdefs.ErrInvalidArgument, text: "refusing to create an ambiguous tag using digest algorithm as name"},
		"to the name of another algorithm":  {before: "x:1=A", ref: "x:1", name: "docker.io/library/sha512", after: "x:1=A", err: errdefs.ErrInvalidArgument, text: "refusing to create an ambiguous tag"},
		"to such a name on another host":    {before: "x:1=A", ref: "x:1", name: "example.com/sha256:1", after: "x:1=A example.com/sha256:1=A", target: "A"},
		"to upper case":                     {before: "x:1=A", ref: "x:1", name: "Y", after: "x:1=A", err: errdefs.ErrInvalidArgument},
		"to nothing":                        {before: "x:1=A", ref: "x:1", name: "", after: "x:1=A", err: errdefs.ErrInvalidArgument},
		"of nothing":                        {before: "x:1=A", ref: "", name: "y:1", after: "x:1=A", err: errdefs.ErrInvalidArgument, text: "image name cannot be blank"},
		"to what reads as an ID of another": {before: "x:1=A", ref: "x:1", name: "{A:8}", after: "x:1=A {A:8}:latest=A", target: "A"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRemoveWorld(t)
			w.before(t, row.before)
			events, err := w.Events(t.Context(), service.EventOptions{})
			if err != nil {
				t.Fatal(err)
			}
			done, err := w.Tag(t.Context(), w.fill(t, row.ref), w.fill(t, row.name))
			w.wantRecords(t, row.after)
			if row.err != nil {
				if !errors.Is(err, row.err) || !strings.Contains(err.Error(), w.fill(t, row.text)) {
					t.Errorf("error %v; want %v with %q", err, row.err, row.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if w.called(done.Target.Digest) != row.target || done.Dangling != row.dangling {
				t.Errorf("%+v; want target %s, dangling %t", done, row.target, row.dangling)
			}
			for e := range events {
				if e.Action != service.ActionTag || e.ID != string(done.Target.Digest) || e.Name != service.Familiar(store.Record{Name: done.Name}) {
					t.Errorf("event %+v", e)
				}
				break
			}
		})
	}
}

func TestTagOfAbsent(t *testing.T) {
	t.Parallel()
	w := newResolveWorld(t)
	if _, err := w.Tag(t.Context(), string(w.digests["P.arm"]), "y:1"); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "is not in the store") {
		t.Errorf("error %v; want that the manifest is not there", err)
	}
}

func TestTagLabels(t *testing.T) {
	t.Parallel()
	w := newRemoveWorld(t)
	w.before(t, "x:1=L y:1=B")
	for name, labels := range map[string]map[string]string{"x:1": {"a": "b"}, "y:1": {"old": "one"}} {
		full := normalName(t, name)
		if _, err := w.store.Move(t.Context(), store.Move{Name: full, To: w.records(t)[full].Target, Labels: labels}); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]map[string]string{"x:1": {"a": "b"}, string(w.digests["A"]): {}} {
		if _, err := w.Tag(t.Context(), ref, "y:1"); err != nil {
			t.Fatal(err)
		}
		got := w.records(t)[normalName(t, "y:1")].Labels
		if len(got) != len(want) || len(want) > 0 && !cmp.Equal(got, want) {
			t.Errorf("labels of what is tagged as %s: %v; want %v", ref, got, want)
		}
	}
}

// TestTagAll gives several names, or none.
func TestTagAll(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		names    string
		after    string
		dangling string // for each name + or -
		text     string // in the error
	}{
		"new ones":                {"a b:2", "x:1=A y:1=B z:1=B z:2=C a:latest=A b:2=A", "--", ""},
		"of others":               {"y:1 z:1 z:2", "x:1=A y:1=A z:1=A z:2=A @B @C", "+++", ""},
		"one twice":               {"z:2 docker.io/library/z:2", "x:1=A y:1=B z:1=B z:2=A @C", "+-", ""},
		"its own":                 {"x:1 a:1", "x:1=A y:1=B z:1=B z:2=C a:1=A", "--", ""},
		"a bad one after others":  {"a:1 z:2 bad!name b:1", "x:1=A y:1=B z:1=B z:2=C", "", `tag "x:1" as "bad!name": reference `},
		"a digest after a name":   {"a:1 z@{A}", "x:1=A y:1=B z:1=B z:2=C", "", "refusing to create a tag with a digest reference"},
		"an algorithm after that": {"a:1 sha512:1", "x:1=A y:1=B z:1=B z:2=C", "", `tag "x:1" as "sha512:1": refusing to create an ambiguous tag`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRemoveWorld(t)
			w.before(t, "x:1=A y:1=B z:1=B z:2=C")
			done, err := w.TagAll(t.Context(), "x:1", strings.Fields(w.fill(t, row.names))...)
			w.wantRecords(t, row.after)
			if row.text != "" {
				if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), row.text) || len(done) > 0 {
					t.Errorf("%+v, error %v; want one with %q", done, err, row.text)
				}
				return
			}
			dangling := ""
			for _, one := range done {
				dangling += map[bool]string{true: "+", false: "-"}[one.Dangling]
			}
			if err != nil || dangling != row.dangling {
				t.Errorf("dangling %s, %v; want %s", dangling, err, row.dangling)
			}
		})
	}
}
