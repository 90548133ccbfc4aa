package credentials

import (
	"context"
	"errors"
	"testing"
)

// TestStatic shows that a credential from a flag is for its registry alone, and
// never for a mirror.
func TestStatic(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		registry, host string
		want           bool
	}{
		"itself":              {registry: "quay.io", host: "quay.io", want: true},
		"in another case":     {registry: "Quay.io", host: "quay.io", want: true},
		"a mirror":            {registry: "quay.io", host: "mirror.test"},
		"a subdomain":         {registry: "quay.io", host: "cdn.quay.io"},
		"another port":        {registry: "quay.io", host: "quay.io:5000"},
		"a port of its own":   {registry: "quay.io:5000", host: "quay.io:5000", want: true},
		"Docker Hub's server": {registry: "docker.io", host: "registry-1.docker.io", want: true},
		"Docker Hub's mirror": {registry: "docker.io", host: "mirror.gcr.io"},
		"a mirror of the Hub": {registry: "mirror.gcr.io", host: "registry-1.docker.io"},
	} {
		c := Credential{Username: "me", Password: NewSecret("pw")}
		s, err := Static(test.registry, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), test.host, "a/b")
		if err != nil || got.IsEmpty() == test.want || test.want && got != c {
			t.Errorf("%s: %q, %v", name, shown(got), err)
		}
	}
}

// storeFunc is a Store.
type storeFunc func() (Credential, error)

func (f storeFunc) Get(context.Context, string, string) (Credential, error) { return f() }

func TestChain(t *testing.T) {
	t.Parallel()
	failure := errors.New("failure")
	none := storeFunc(func() (Credential, error) { return Credential{}, nil })
	first := storeFunc(func() (Credential, error) { return Credential{Username: "first"}, nil })
	second := storeFunc(func() (Credential, error) { return Credential{Username: "second"}, nil })
	fails := storeFunc(func() (Credential, error) { return Credential{}, failure })
	for name, test := range map[string]struct {
		chain Chain
		want  string
		err   error
	}{
		"no store":               {},
		"none has one":           {chain: Chain{none, none}},
		"the first":              {chain: Chain{first, second}, want: "first"},
		"the second":             {chain: Chain{none, second}, want: "second"},
		"a failure ends it":      {chain: Chain{none, fails, second}, err: failure},
		"a failure after it":     {chain: Chain{first, fails}, want: "first"},
		"a chain in a chain":     {chain: Chain{Chain{none}, Chain{second}}, want: "second"},
		"a failure in one of it": {chain: Chain{Chain{fails}, second}, err: failure},
	} {
		c, err := test.chain.Get(t.Context(), "quay.io", "a")
		if c.Username != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v", name, c.Username, err)
		}
	}
}
