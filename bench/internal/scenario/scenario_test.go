package scenario

import (
	"slices"
	"testing"

	"github.com/dhowhq/dhow/bench/internal/tools"
)

func TestAll(t *testing.T) {
	t.Parallel()
	known := []string{"dhow", "dhow-dest", "dhow-bare", "dhow-store"}
	for _, tool := range tools.Peers() {
		known = append(known, tool.ID)
	}
	names := map[string]bool{}
	for _, s := range All() {
		if names[s.Name] {
			t.Errorf("two scenarios are named %s", s.Name)
		}
		names[s.Name] = true
		for i, id := range s.Tools {
			if !slices.Contains(known, id) || slices.Contains(s.Tools[:i], id) {
				t.Errorf("%s: %s is no tool, or is there twice", s.Name, id)
			}
		}
		if s.Image.Name == "" || s.Route == "" {
			t.Errorf("%s lacks an image or a route", s.Name)
		}
	}
}
