package archive

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for details, tc := range map[string]struct {
		kind     Kind
		goos     string
		path     string
		name     string
		position int
	}{
		"a.tar":                       {OCI, "linux", "a.tar", "", -1},
		"a.tar:":                      {OCI, "linux", "a.tar", "", -1},
		"/d/a.tar:v1":                 {OCI, "linux", "/d/a.tar", "v1", -1},
		"a.tar:app:v1":                {OCI, "linux", "a.tar", "app:v1", -1},
		"a.tar:@0":                    {OCI, "linux", "a.tar", "", 0},
		`C:\d\a.tar:v1`:               {OCI, "windows", `C:\d\a.tar`, "v1", -1},
		"c:/a.tar":                    {Docker, "windows", "c:/a.tar", "", -1},
		"b.tar":                       {Docker, "linux", "b.tar", "", -1},
		"b.tar:busybox":               {Docker, "linux", "b.tar", "docker.io/library/busybox:latest", -1},
		"b.tar:busybox:1":             {Docker, "linux", "b.tar", "docker.io/library/busybox:1", -1},
		"b.tar:localhost:5000/a/b":    {Docker, "linux", "b.tar", "localhost:5000/a/b:latest", -1},
		"b.tar:localhost:5000/a/b:v2": {Docker, "linux", "b.tar", "localhost:5000/a/b:v2", -1},
		"b.tar:@17":                   {Docker, "linux", "b.tar", "", 17},
	} {
		r, err := parse(tc.kind, details, tc.goos)
		position, ok := r.Position()
		if err != nil || r.Path != tc.path || r.Name != tc.name || position != tc.position || ok != (tc.position >= 0) {
			t.Errorf("%q: %+v, %v", details, r, err)
			continue
		}
		again, err := parse(tc.kind, strings.TrimPrefix(r.String(), tc.kind.String()+":"), tc.goos)
		if err != nil || again != r {
			t.Errorf("%q is printed as %q, which is %+v, %v", details, r, again, err)
		}
	}
	if r, err := ParseOCI("a:b"); err != nil || r.Kind != OCI {
		t.Errorf("ParseOCI: %+v, %v", r, err)
	}
	if r, err := ParseDocker("a:b"); err != nil || r.At(3).String() != "docker-archive:a:@3" {
		t.Errorf("ParseDocker: %+v, %v", r, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0123456789abcdef", 4)
	for details, kind := range map[string]Kind{
		"":                              Docker,
		":busybox":                      Docker,
		"\x00":                          OCI,
		"b.tar:":                        Docker,
		"b.tar:UPPER":                   Docker,
		"b.tar:busybox@sha256:" + hex:   Docker,
		"b.tar:busybox:a@sha256:" + hex: Docker,
		"b.tar:" + hex:                  Docker,
		"b.tar:busybox:@1":              Docker,
		"b.tar:@":                       Docker,
		"b.tar:@-1":                     Docker,
		"b.tar:@+1":                     OCI,
		"b.tar:@1x":                     OCI,
		"b.tar:@99999999999":            OCI,
		"b.tar:a//b":                    OCI,
		"b.tar:-a":                      OCI,
	} {
		if r, err := parse(kind, details, "linux"); !errdefs.IsInvalidArgument(err) || r != (Reference{}) {
			t.Errorf("%s:%q: %+v, %v; want an invalid argument", kind, details, r, err)
		}
	}
	for _, r := range []Reference{{}, {Path: "a", Name: "busybox"}, {Path: "a", Name: "docker.io/library/busybox"}, {Kind: OCI, Path: "a", Name: "/"}} {
		if err := r.check(); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%+v, made up: %v", r, err)
		}
	}
}
