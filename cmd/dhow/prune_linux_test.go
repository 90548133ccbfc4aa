package main

import (
	"strings"
	"testing"
)

// Nothing is removed before it was asked about, and only if the answer is yes.
func TestPruneAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "--root", "images", "pull", "-q", "oci:layout:single", "app:1")
	const all = "Remove all images, those with names too? [y/N] "
	for _, step := range []struct{ args, prompt, answer, says string }{
		{"prune", "Remove all images that have no name? [y/N] ", "y", "freed 0 B"},
		{"prune --all", all, "n", ""},
		{"prune --all", all, "", ""},
		{"prune --all --filter until=1h", "Remove all images, those with names too, that the filters hold for? [y/N] ", "no", ""},
		{"prune --all", all, "YES", "Untagged: app:1"},
	} {
		shown, code := w.converse(t, map[string]string{step.prompt: step.answer}, append([]string{"--root", "images"}, strings.Fields(step.args)...)...)
		if code != 0 || !strings.Contains(shown, step.prompt) || !strings.Contains(shown, step.says) || step.says == "" && strings.Contains(shown, "Untagged") {
			t.Errorf("%s answered %q: exit code %d\n%s", step.args, step.answer, code, shown)
		}
	}
}
