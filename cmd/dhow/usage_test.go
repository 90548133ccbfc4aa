package main

import (
	"slices"
	"strings"
	"testing"
)

// The help has every flag, in groups and in the order in which they belong together.
func TestHelpHasFlagsInGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct {
		command string
		lines   []string // in this order
	}{
		{"copy", []string{
			"  dhow copy SOURCE DESTINATION [flags]", "Flags:", "  -h, --help", "Which part of a list:", "      --platform PLATFORM", "      --all",
			"What becomes of it:", "      --format FORMAT", sourceGroup + ":", "      --src-creds USER:PASSWORD", "      --include-foreign",
			destGroup + ":", "      --dest-creds USER:PASSWORD", registriesGroup + ":", "      --authfile FILE", "      --verify WHERE",
			"How, and what is said of it:", "  -q, --quiet", "Global flags:", "      --log-level LEVEL",
		}},
		{"tags", []string{"Flags:", "      --json", registryGroup + ":", "      --creds USER:PASSWORD", "      --retry-times N", "Global flags:"}},
		{"version", []string{"Flags:", "      --json", "Global flags:"}},
	} {
		help := strings.Split(w.must(t, "help", tc.command), "\n")
		at := 0
		for _, line := range tc.lines {
			next := slices.IndexFunc(help[at:], func(l string) bool { return strings.HasPrefix(l, line) })
			if next < 0 {
				t.Errorf("help %s has no line %q after line %d:\n%s", tc.command, line, at, strings.Join(help, "\n"))
				break
			}
			at += next + 1
		}
	}
}
