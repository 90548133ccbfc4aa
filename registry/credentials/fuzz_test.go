package credentials

import (
	"bytes"
	"slices"
	"testing"

	"github.com/dhowhq/dhow/internal/strictjson"
)

var fileSeeds = []string{
	"", "{}", "[]", `{"auths":{}}`, `{"auths":null,"x":{"y":[1.0]}}`, entries("quay.io", "quay.io/a", "https://index.docker.io/v1/"),
	`{"auths":{"quay.io":{"auth":"x","identitytoken":"y","username":"a","password":"b","registrytoken":"c"}},"credHelpers":{"a.io":"b"},"credsStore":"c"}`,
	"{\"HttpHeaders\":{ }, \"\\u0061uths\" :\r\n{\"a.io\":{ }}} ",
}

func FuzzAuthFile(f *testing.F) {
	for _, seed := range fileSeeds {
		f.Add([]byte(seed), "quay.io", "a/b")
	}
	f.Fuzz(func(t *testing.T, data []byte, host, path string) {
		asked, err := parseScope(host, path)
		if err != nil {
			return
		}
		for _, parse := range []func(string, []byte) (authFile, error){parseFile, parseOldFile} {
			file, err := parse("auth.json", data)
			if err != nil {
				continue
			}
			c, err := file.find(asked)
			if err != nil && !c.IsEmpty() {
				t.Error("both a credential and an error")
			}
			for _, a := range file.auths {
				if again, ok := parseKey(a.scope.String()); !ok || again != a.scope {
					t.Errorf("the key %q is read as %v, and then as %v", a.key, a.scope, again)
				}
			}
		}
	})
}

// FuzzEdit checks that a login changes nothing but its entry, and that a logout
// takes it out again.
func FuzzEdit(f *testing.F) {
	for _, seed := range fileSeeds {
		f.Add([]byte(seed), "quay.io/a", "me", "pw")
	}
	f.Fuzz(func(t *testing.T, data []byte, registry, user, pass string) {
		s, err := parseTarget(registry)
		c := Credential{Username: user, Password: NewSecret(pass)}
		if err != nil || c.check() != nil {
			return
		}
		login := func(all []member) ([]member, error) { return set(all, s, "auth.json", c) }
		saved, err := editAuths("auth.json", data, login)
		if err != nil {
			return
		}
		if again, err := editAuths("auth.json", saved, login); err != nil || len(again) != len(saved) {
			t.Errorf("a second login: %q, %v", again, err)
		}
		if before, after := outside(t, data), outside(t, saved); !bytes.Equal(before, after) {
			t.Errorf("outside of auths %q became %q", before, after)
		}
		if before, after := others(t, data, s), others(t, saved, s); !slices.EqualFunc(before, after, member.equal) {
			t.Errorf("other auths %q became %q", before, after)
		}
		erased, err := editAuths("auth.json", saved, func(all []member) ([]member, error) { return without(all, s), nil })
		if err != nil || !slices.EqualFunc(others(t, erased, s), others(t, data, s), member.equal) {
			t.Errorf("a logout: %q, %v", erased, err)
		}
	})
}

// outside returns the members of a file but its auths, one after the other.
func outside(t *testing.T, data []byte) []byte {
	t.Helper()
	var all []byte
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	err := strictjson.Read(data, limits, func(r *strictjson.Reader) error {
		return r.Map(func(name string) error {
			value, err := r.Raw()
			if name != "auths" {
				all = append(append(append(all, name...), ':'), value...)
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// others returns the entries of a file for other scopes.
func others(t *testing.T, data []byte, s scope) []member {
	t.Helper()
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	all, _, _, err := auths(data)
	if err != nil {
		t.Fatal(err)
	}
	return without(all, s)
}

func FuzzHelperAnswer(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"ServerURL":"a","Username":"b","Secret":"c"}`, `{"Username":"<token>","Secret":"c"}`, `{"username":"b"}`, notInKeychain} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, ok := parseAnswer(data)
		if ok && (c.Username == tokenUser || !c.AccessToken.IsEmpty() || !c.Password.IsEmpty() && !c.RefreshToken.IsEmpty()) {
			t.Errorf("%q is read as %q", data, shown(c))
		}
	})
}
