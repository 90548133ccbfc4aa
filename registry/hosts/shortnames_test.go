package hosts

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	const conf = `
		unqualified-search-registries = ["one.test", "two.test:5000/"]
		[aliases]
		app = "three.test/team/app"
		"team/app" = "four.test/app"
		hub = "docker.io/hub"`
	const d = "@" + digest1
	for name, test := range map[string]struct {
		conf, short string
		want        []string
	}{
		"nothing configured":          {short: "app:v1", want: []string{"docker.io/library/app:v1"}},
		"an alias":                    {conf: conf, short: "app", want: []string{"three.test/team/app"}},
		"an alias with tag":           {conf: conf, short: "app:v1", want: []string{"three.test/team/app:v1"}},
		"an alias with digest":        {conf: conf, short: "app" + d, want: []string{"three.test/team/app" + d}},
		"an alias with both":          {conf: conf, short: "app:v1" + d, want: []string{"three.test/team/app:v1" + d}},
		"an alias of two components":  {conf: conf, short: "team/app", want: []string{"four.test/app"}},
		"an alias in Docker Hub":      {conf: conf, short: "hub:v1", want: []string{"docker.io/library/hub:v1"}},
		"the registries in order":     {conf: conf, short: "other:v1", want: []string{"one.test/other:v1", "two.test:5000/other:v1"}},
		"the registries, with digest": {conf: conf, short: "a/b" + d, want: []string{"one.test/a/b" + d, "two.test:5000/a/b" + d}},
		"a dot without a slash":       {conf: conf, short: "a.b", want: []string{"one.test/a.b", "two.test:5000/a.b"}},
		"a name with a host":          {conf: conf, short: "a.b/app", want: []string{"a.b/app"}},
		"localhost":                   {conf: conf, short: "localhost/app", want: []string{"localhost/app"}},
		"Docker Hub by name":          {conf: conf, short: "docker.io/app", want: []string{"docker.io/library/app"}},
		"library is no host":          {conf: conf, short: "library/app", want: []string{"one.test/library/app", "two.test:5000/library/app"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := mustLoad(t, options(tree{system: test.conf}.Write(t), nil)).Resolve(test.short)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]string, 0, len(all))
			for _, r := range all {
				got = append(got, r.String())
			}
			if !cmp.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	c := mustLoad(t, options(tree{system: conf}.Write(t), nil))
	if _, err := c.Resolve("UPPER"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a bad name: %v", err)
	}
	if got := c.ShortNameMode(); got != Permissive {
		t.Errorf("mode %q", got)
	}
}
