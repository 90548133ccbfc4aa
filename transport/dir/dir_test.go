package dir

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, path := range []string{".", "/", "a", "a/b", "/a/../b/", "a:b", "C:\\a", " ", "%s%n", "名前"} {
		ref, err := Parse(path)
		if err != nil || ref.String() != path {
			t.Errorf("Parse(%q) = %q, %v", path, ref, err)
		}
	}
	for _, path := range []string{"", "a\x00b"} {
		_, err := Parse(path)
		wantError(t, err, errdefs.ErrInvalidArgument, "path")
	}
	_, err := OpenSource(t.Context(), Reference{}, Options{})
	wantError(t, err, errdefs.ErrInvalidArgument, "path")
	_, err = OpenDestination(t.Context(), Reference{}, Options{})
	wantError(t, err, errdefs.ErrInvalidArgument, "path")
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", ".", "/a/b", "a:b:c", "C:\\x", "\x00", "%s", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := Parse(s)
		if (err == nil) != (s != "" && !strings.Contains(s, "\x00")) {
			t.Fatalf("Parse(%q): %v", s, err)
		}
		if err != nil {
			return
		}
		again, err := Parse(ref.String())
		if err != nil || again != ref || ref.String() != s {
			t.Errorf("Parse(%q) = %q, and that is %q, %v", s, ref, again, err)
		}
	})
}
