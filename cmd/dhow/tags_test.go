package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// What had come before an error is printed, and no part of a name.
func TestNamesBeforeAnError(t *testing.T) {
	t.Parallel()
	failed := errors.New("no second page")
	names := []string{strings.Repeat("long", 700), strings.Repeat("name", 700), "last"}
	for _, tc := range []struct {
		json bool
		err  error
		want string
	}{
		{false, nil, strings.Join(names, "\n") + "\n"},
		{false, failed, strings.Join(names, "\n") + "\n"},
		{true, nil, `["` + strings.Join(names, "\",\n \"") + "\"]\n"},
		{true, failed, `["` + strings.Join(names, "\",\n \"") + `"`},
	} {
		var out strings.Builder
		a := newApp(strings.NewReader(""), &out, os.Stderr, "")
		err := a.writeNames(listFlags{json: tc.json}, func(yield func(string) bool) error {
			for _, name := range names {
				if !yield(name) {
					t.Error("it has had enough")
				}
			}
			return tc.err
		})
		if !errors.Is(err, tc.err) || out.String() != tc.want {
			t.Errorf("JSON %v: %v, %q", tc.json, err, out.String())
		}
	}
}
