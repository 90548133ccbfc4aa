package oci

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		details, goos string
		want          Reference
		printed       string // empty: as details
	}{
		{"dir", "linux", Reference{Path: "dir"}, ""},
		{"/a/b", "linux", Reference{Path: "/a/b"}, ""},
		{"dir:", "linux", Reference{Path: "dir"}, "dir"},
		{"dir:latest", "linux", Reference{Path: "dir", Name: "latest"}, ""},
		{"/d:notlatest:image", "linux", Reference{Path: "/d", Name: "notlatest:image"}, ""},
		{"dir:docker.io/library/busybox:1.36", "linux", Reference{Path: "dir", Name: "docker.io/library/busybox:1.36"}, ""},
		{"dir:a--b@c+d", "linux", Reference{Path: "dir", Name: "a--b@c+d"}, ""},
		{"dir:@0", "linux", Reference{Path: "dir"}.At(0), ""},
		{"dir:@12", "linux", Reference{Path: "dir"}.At(12), ""},
		{"dir:@007", "linux", Reference{Path: "dir"}.At(7), "dir:@7"},
		{"a b/ü", "linux", Reference{Path: "a b/ü"}, ""},
		{`C:\dir`, "windows", Reference{Path: `C:\dir`}, ""},
		{`C:\dir:ref`, "windows", Reference{Path: `C:\dir`, Name: "ref"}, ""},
		{`c:/dir:@3`, "windows", Reference{Path: `c:/dir`}.At(3), ""},
		{`dir:ref`, "windows", Reference{Path: "dir", Name: "ref"}, ""},
		{`C:ref`, "windows", Reference{Path: "C", Name: "ref"}, ""},
	} {
		got, err := parse(tc.details, tc.goos)
		if err != nil || got != tc.want {
			t.Errorf("parse(%q, %s) = %+v, %v; want %+v", tc.details, tc.goos, got, err, tc.want)
			continue
		}
		printed := tc.printed
		if printed == "" {
			printed = tc.details
		}
		if got.String() != printed {
			t.Errorf("parse(%q).String() = %q, want %q", tc.details, got, printed)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, details := range []string{
		"", ":", ":latest", "dir:@", "dir:@-1", "dir:@+1", "dir:@x", "dir:@1x", "dir:@1:latest", "dir:@0x1", "dir:@1_0",
		"dir:@1073741824", "dir:@99999999999999999999",
		"dir:-a", "dir:a-", "dir:a..b", "dir:a//b", "dir:/a", "dir:a/", "dir:a b", "dir:ä", "dir:a\n", "dir:latest@0 ",
		`C:\dir:ref`, "di\x00r", "dir:" + strings.Repeat("x", 2000),
	} {
		if got, err := parse(details, "linux"); !errdefs.IsInvalidArgument(err) {
			t.Errorf("parse(%q) = %+v, %v; want an invalid argument", details, got, err)
		} else if strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 1000 {
			t.Errorf("parse(%q): the message has what was to be escaped or cut: %q", details, err)
		}
	}
}

func TestPosition(t *testing.T) {
	t.Parallel()
	if n, ok := (Reference{Path: "dir", Name: "latest"}).Position(); ok {
		t.Errorf("Position of a reference by name = %d, true", n)
	}
	if n, ok := (Reference{Path: "dir"}).At(3).Position(); n != 3 || !ok {
		t.Errorf("Position = %d, %v; want 3, true", n, ok)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"dir", "dir:latest", "dir:@3", "/a:b:c", `C:\d:x`, ":", "dir:@", "a:b--c/d@e+f"} {
		f.Add(seed, "linux")
		f.Add(seed, "windows")
	}
	f.Fuzz(func(t *testing.T, details, goos string) {
		r, err := parse(details, goos)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) || r != (Reference{}) {
				t.Fatalf("parse(%q) = %+v, %v", details, r, err)
			}
			return
		}
		again, err := parse(r.String(), goos)
		if err != nil || again != r {
			t.Errorf("parse(%q) = %+v, which prints as %q and parses as %+v, %v", details, r, r, again, err)
		}
	})
}
