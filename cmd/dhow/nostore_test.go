package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoStoreHasNoImages: where nothing was ever kept there is nothing to list, measure or
// remove, which is no error, and no store is made.
func TestNoStoreHasNoImages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for command, want := range map[string]string{
		"images": "", "images --json": "[]", "images -q": "", "df": "images", "df --json": "{", "prune --force": "freed 0 B",
	} {
		r := w.run(t, append([]string{"--root", "nowhere"}, strings.Fields(command)...)...)
		if r.code != 0 || !strings.Contains(r.stdout, want) || !strings.HasPrefix(r.stderr, "note: there is no store in ") {
			t.Errorf("%s: %+v", command, r)
		}
	}
	if r := w.run(t, "--root", "nowhere", "inspect", "busybox"); r.code != 2 {
		t.Errorf("inspect: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "nowhere")); err == nil {
		t.Error("something was made")
	}
}
