package pathname_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/pathname"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]pathname.Parts{
		"":                 {},
		"a/b":              {Path: "a/b"},
		"a/b:":             {Path: "a/b", Named: true},
		"a/b:c":            {Path: "a/b", Name: "c", Named: true},
		"a/b:c:1":          {Path: "a/b", Name: "c:1", Named: true},
		"a/b:@0":           {Path: "a/b", Position: 1},
		"a/b:@007":         {Path: "a/b", Position: 8},
		"a/b:@1073741823":  {Path: "a/b", Position: 1 << 30},
		`C:\a`:             {Path: "C", Name: `\a`, Named: true},
		`windows|C:\a`:     {Path: `C:\a`},
		`windows|c:/a:b`:   {Path: `c:/a`, Name: "b", Named: true},
		`windows|C:a`:      {Path: "C", Name: "a", Named: true},
		`windows|1:\a`:     {Path: "1", Name: `\a`, Named: true},
		`windows|C:\a:@12`: {Path: `C:\a`, Position: 13},
	} {
		goos := "linux"
		if rest, ok := strings.CutPrefix(text, "windows|"); ok {
			text, goos = rest, "windows"
		}
		if got, err := pathname.Split(text, goos); err != nil || got != want {
			t.Errorf("Split(%q, %s): %+v, %v; want %+v", text, goos, got, err, want)
		}
	}
	for _, text := range []string{"a:@", "a:@x", "a:@-1", "a:@+1", "a:@1073741824", "a:@99999999999999999999", "a:@1:b"} {
		if got, err := pathname.Split(text, "linux"); !errdefs.IsInvalidArgument(err) || got != (pathname.Parts{Path: "a"}) {
			t.Errorf("Split(%q): %+v, %v; want the path, and ErrInvalidArgument", text, got, err)
		}
	}
}
