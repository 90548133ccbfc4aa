package store

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// hexDigits is the hex of a digest.
var hexDigits = digest.FromString("x").Encoded()

func TestParse(t *testing.T) {
	t.Parallel()
	at := "@sha256:" + hexDigits
	for details, want := range map[string]struct{ name, id, text string }{
		"busybox":                          {"docker.io/library/busybox:latest", "", "docker.io/library/busybox:latest"},
		"busybox:1":                        {"docker.io/library/busybox:1", "", "docker.io/library/busybox:1"},
		"example.org:5000/a/b:c":           {"example.org:5000/a/b:c", "", "example.org:5000/a/b:c"},
		"busybox" + at:                     {"docker.io/library/busybox" + at, "", "docker.io/library/busybox" + at},
		"busybox:1" + at:                   {"docker.io/library/busybox:1" + at, "", "docker.io/library/busybox:1" + at},
		"cafe":                             {"docker.io/library/cafe:latest", "cafe", "docker.io/library/cafe:latest"},
		"caf":                              {"docker.io/library/caf:latest", "", "docker.io/library/caf:latest"},
		"sha256:cafe":                      {"docker.io/library/sha256:cafe", "sha256:cafe", "docker.io/library/sha256:cafe"},
		"sha256:" + hexDigits:              {"", "sha256:" + hexDigits, "sha256:" + hexDigits},
		hexDigits:                          {"", "sha256:" + hexDigits, "sha256:" + hexDigits},
		hexDigits[:63]:                     {"docker.io/library/" + hexDigits[:63] + ":latest", hexDigits[:63], "docker.io/library/" + hexDigits[:63] + ":latest"},
		"docker.io/library/busybox:1":      {"docker.io/library/busybox:1", "", "docker.io/library/busybox:1"},
		"sha512:" + strings.Repeat("0", 9): {"docker.io/library/sha512:000000000", "", "docker.io/library/sha512:000000000"},
	} {
		r, err := Parse(details)
		if err != nil || r.Name.String() != want.name || r.ID != want.id || r.String() != want.text {
			t.Errorf("Parse(%q): name %q, ID %q, text %q, %v; want %q", details, r.Name, r.ID, r, err, want)
		}
	}
	for _, details := range []string{"", " ", "A", "a:", "a@", "a@sha256:0", "//a", "a b", "a:b:c", strings.Repeat("a", 300)} {
		if r, err := Parse(details); !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) {
			t.Errorf("Parse(%q): %+v, %v", details, r, err)
		}
	}
}

// FuzzParse checks that what is parsed is parsed again as the same, and only as what it
// can be.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"busybox", "a:1", "cafe", hexDigits, "sha256:" + hexDigits, "sha256:cafe", "a@sha256:" + hexDigits, "[::1]:5000/a:b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, details string) {
		r, err := Parse(details)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() || again.Name != r.Name {
			t.Errorf("%q is %+v, and %q of it %+v, %v", details, r, r, again, err)
		}
		if r.isZero() && r.ID == "" {
			t.Errorf("%q means nothing", details)
		}
	})
}
