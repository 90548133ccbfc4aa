package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/transport/registry"
)

const some = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	t.Parallel()
	for details, want := range map[string]string{
		"//busybox":                      "//docker.io/library/busybox:latest",
		"//example.com:5000/a/b:1":       "//example.com:5000/a/b:1",
		"//example.com/a@" + some:        "//example.com/a@" + some,
		"//example.com/a:1@" + some:      "//example.com/a:1@" + some,
		"busybox":                        "",
		"/busybox":                       "",
		"//":                             "",
		"//UPPER":                        "",
		"//user:secret@example.com/a":    "",
		"//example.com/a@sha256:../../x": "",
	} {
		r, err := registry.Parse(details)
		switch {
		case want == "" && !errdefs.IsInvalidArgument(err):
			t.Errorf("%q: error %v, want an invalid argument", details, err)
		case want == "" && strings.Contains(err.Error(), "secret"):
			t.Errorf("%q: the error tells the secret: %v", details, err)
		case want != "" && (err != nil || r.String() != want):
			t.Errorf("%q: %s (%v), want %s", details, r, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("//busybox")
	f.Add("//example.com:5000/a/b:1@" + some)
	f.Add("//[::1]:5000/a")
	f.Fuzz(func(t *testing.T, details string) {
		r, err := registry.Parse(details)
		if err != nil {
			return
		}
		if again, err := registry.Parse(r.String()); err != nil || again != r {
			t.Errorf("%q is %s, which is %s (%v)", details, r, again, err)
		}
	})
}

func ExampleParse() {
	r, err := registry.Parse("//busybox")
	fmt.Println(r, err)
	// Output: //docker.io/library/busybox:latest <nil>
}
