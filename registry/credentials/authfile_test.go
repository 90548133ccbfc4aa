package credentials

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// basic returns the auth of a user whose password is user-pw.
func basic(user string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + user + "-pw"))
}

// entries returns a file with an entry for each key, whose user is the key's place
// in it: u0, u1, …
func entries(keys ...string) string {
	all := make([]string, 0, len(keys))
	for i, key := range keys {
		all = append(all, fmt.Sprintf(`%q:{"auth":%q}`, key, basic(fmt.Sprint("u", i))))
	}
	return `{"auths":{` + strings.Join(all, ",") + `}}`
}

// TestKeys shows which key of a file is for which repository.
func TestKeys(t *testing.T) {
	t.Parallel()
	const u0, u1, u2 = "u0:u0-pw", "u1:u1-pw", "u2:u2-pw"
	for name, test := range map[string]struct {
		keys       []string
		host, path string
		want       string
	}{
		"nothing":                       {host: "quay.io", path: "a"},
		"a host":                        {keys: []string{"quay.io"}, host: "quay.io", path: "a/b", want: u0},
		"a host as such":                {keys: []string{"quay.io"}, host: "quay.io", want: u0},
		"another host":                  {keys: []string{"quay.io"}, host: "quay.test", path: "a"},
		"a subdomain":                   {keys: []string{"quay.io"}, host: "a.quay.io", path: "a"},
		"a domain above":                {keys: []string{"a.quay.io"}, host: "quay.io", path: "a"},
		"a port":                        {keys: []string{"quay.io:5000"}, host: "quay.io:5000", path: "a", want: u0},
		"another port":                  {keys: []string{"quay.io:5000"}, host: "quay.io:5001", path: "a"},
		"a port more":                   {keys: []string{"quay.io"}, host: "quay.io:443", path: "a"},
		"a host in upper case":          {keys: []string{"Quay.IO"}, host: "quay.io", path: "a", want: u0},
		"localhost":                     {keys: []string{"localhost:5000"}, host: "localhost:5000", path: "a", want: u0},
		"a host without a dot":          {keys: []string{"registry"}, host: "registry", path: "a", want: u0},
		"IPv6":                          {keys: []string{"[::1]:5000"}, host: "[0::1]:5000", path: "a", want: u0},
		"the narrowest, from below":     {keys: []string{"quay.io", "quay.io/a", "quay.io/a/b"}, host: "quay.io", path: "a/b", want: u2},
		"the narrowest, in between":     {keys: []string{"quay.io", "quay.io/a", "quay.io/a/b"}, host: "quay.io", path: "a/c", want: u1},
		"the narrowest, at the top":     {keys: []string{"quay.io", "quay.io/a", "quay.io/a/b"}, host: "quay.io", path: "c", want: u0},
		"a namespace is no prefix":      {keys: []string{"quay.io/a"}, host: "quay.io", path: "ab/c"},
		"a namespace, not the host":     {keys: []string{"quay.io/a"}, host: "quay.io"},
		"a namespace far above":         {keys: []string{"quay.io/a"}, host: "quay.io", path: "a/b/c/d", want: u0},
		"a namespace with a slash":      {keys: []string{"quay.io/a/"}, host: "quay.io", path: "a/b", want: u0},
		"https":                         {keys: []string{"https://quay.io"}, host: "quay.io", path: "a", want: u0},
		"http":                          {keys: []string{"http://quay.io:5000/"}, host: "quay.io:5000", path: "a", want: u0},
		"an API of version 1":           {keys: []string{"https://quay.io/v1/"}, host: "quay.io", path: "a", want: u0},
		"an API of version 2":           {keys: []string{"https://quay.io/v2/"}, host: "quay.io", path: "a", want: u0},
		"an API without a scheme":       {keys: []string{"quay.io/v1/"}, host: "quay.io", path: "a", want: u0},
		"a namespace that is called v1": {keys: []string{"quay.io/v1"}, host: "quay.io", path: "a"},
		"a URL with a path":             {keys: []string{"https://quay.io/a/b"}, host: "quay.io", path: "c", want: u0},
		"the plain key first":           {keys: []string{"https://quay.io/v1/", "quay.io"}, host: "quay.io", path: "a", want: u1},
		"of two others the first":       {keys: []string{"https://quay.io/v2/", "https://quay.io/v1/"}, host: "quay.io", path: "a", want: u0},
		"a URL below a namespace":       {keys: []string{"https://quay.io", "quay.io/a"}, host: "quay.io", path: "a/b", want: u1},
		"Docker Hub":                    {keys: []string{"docker.io"}, host: "docker.io", path: "library/a", want: u0},
		"Docker Hub as Docker has it":   {keys: []string{"https://index.docker.io/v1/"}, host: "docker.io", path: "library/a", want: u0},
		"Docker Hub by its server":      {keys: []string{"https://index.docker.io/v1/"}, host: "registry-1.docker.io", path: "library/a", want: u0},
		"Docker Hub by an old name":     {keys: []string{"index.docker.io"}, host: "docker.io", path: "a/b", want: u0},
		"Docker Hub without a scheme":   {keys: []string{"index.docker.io/v1/"}, host: "index.docker.io", path: "a/b", want: u0},
		"Docker Hub's server as key":    {keys: []string{"registry-1.docker.io"}, host: "docker.io", path: "a/b", want: u0},
		"a namespace of Docker Hub":     {keys: []string{"https://index.docker.io/v1/", "docker.io/team"}, host: "docker.io", path: "team/a", want: u1},
		"what no host can be":           {keys: []string{"", "/", "a_b", "me:pw@quay.io", "quay.io:x", "quay.io//a", "quay.io/A", "https://", "ftp://quay.io"}, host: "quay.io", path: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := New(one(t, entries(test.keys...))).Get(t.Context(), test.host, test.path)
			if err != nil || shown(c) != test.want {
				t.Errorf("got %q, %v, want %q", shown(c), err, test.want)
			}
		})
	}
}

// TestEntries shows what an entry of a file can hold.
func TestEntries(t *testing.T) {
	t.Parallel()
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, test := range map[string]struct {
		entry, want, err string
	}{
		"nothing":                         {entry: `{}`},
		"null":                            {entry: `null`},
		"nulls":                           {entry: `{"auth":null,"username":null,"identitytoken":null}`},
		"empty texts":                     {entry: `{"auth":"","identitytoken":""}`},
		"a password":                      {entry: `{"auth":"` + b64("me:pw") + `"}`, want: "me:pw"},
		"colons in a password":            {entry: `{"auth":"` + b64("me:p:w:") + `"}`, want: "me:p:w:"},
		"NULs after a password":           {entry: `{"auth":"` + b64("me:pw\x00\x00") + `"}`, want: "me:pw"},
		"line ends in base64":             {entry: `{"auth":"` + b64("me:pw")[:4] + `\n` + b64("me:pw")[4:] + `"}`, want: "me:pw"},
		"no user":                         {entry: `{"auth":"` + b64(":pw") + `"}`, want: ":pw"},
		"user and password by themselves": {entry: `{"username":"me","password":"pw"}`, want: "me:pw"},
		"auth goes before them":           {entry: `{"username":"x","password":"y","auth":"` + b64("me:pw") + `"}`, want: "me:pw"},
		"an identity token":               {entry: `{"identitytoken":"id"}`, want: " refresh=id"},
		"an identity token with a user":   {entry: `{"auth":"` + b64("me:") + `","identitytoken":"id"}`, want: "me refresh=id"},
		"an identity token as password":   {entry: `{"auth":"` + b64("<token>:id") + `"}`, want: " refresh=id"},
		"a marked identity token":         {entry: `{"auth":"` + b64("<token>:") + `","identitytoken":"id"}`, want: " refresh=id"},
		"a registry token":                {entry: `{"registrytoken":"tok"}`, want: " access=tok"},
		"unknown fields":                  {entry: `{"email":"a@b","auth":"` + b64("me:pw") + `","x":[1]}`, want: "me:pw"},
		"no base64":                       {entry: `{"auth":"` + canary + `"}`, err: `auths["quay.io"]: auth is not base64`},
		"no colon":                        {entry: `{"auth":"` + b64(canary) + `"}`, err: `auths["quay.io"]: auth has no colon`},
		"a number":                        {entry: `{"auth":5}`, err: `auths["quay.io"].auth: is a number where a string is wanted`},
		"a text":                          {entry: `"` + canary + `"`, err: `auths["quay.io"]: is a string where an object is wanted`},
		"another case":                    {entry: `{"Auth":"` + canary + `"}`, err: `has the ambiguous key "Auth"`},
		"twice":                           {entry: `{"auth":"` + canary + `","auth":""}`, err: `has the key "auth" twice`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := New(one(t, `{"auths":{"quay.io":`+test.entry+`,"other.io":{"auth":"`+b64("other:pw")+`"}}}`))
			c, err := k.Get(t.Context(), "quay.io", "a")
			checkError(t, err, test.err, errdefs.IsInvalidArgument)
			if shown(c) != test.want {
				t.Errorf("got %q, want %q", shown(c), test.want)
			}
			if strings.Contains(test.err, "auth ") {
				// What cannot be decoded is in the way of nothing else.
				if c, err := k.Get(t.Context(), "other.io", "a"); err != nil || shown(c) != "other:pw" {
					t.Errorf("another registry: %q, %v", shown(c), err)
				}
			}
		})
	}
}

// checkError compares an error with a part of its text and its kind, and looks for
// what is secret in it.
func checkError(t *testing.T, err error, want string, kind func(error) bool) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want %q", err, want)
	case want != "" && !kind(err):
		t.Errorf("an error of another kind: %v", err)
	}
	if err != nil && leaks(err.Error()) {
		t.Errorf("the error shows what is secret: %v", err)
	}
}

// TestBadFiles shows what is refused as a whole.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, err string
		kind      func(error) bool
	}{
		"empty":               {file: ""},
		"space":               {file: " \n"},
		"an object":           {file: "{}"},
		"nulls":               {file: `{"auths":null,"credHelpers":null,"credsStore":null}`},
		"no JSON":             {file: canary, err: "auth.json: document: is not JSON"},
		"cut short":           {file: `{"auths":{"quay.io":{"auth":"` + canary, err: "is not JSON"},
		"more than JSON":      {file: `{} ` + canary, err: "has data after its end"},
		"a list":              {file: "[]", err: "is an array where an object is wanted"},
		"auths as a list":     {file: `{"auths":[]}`, err: "auths: is an array where"},
		"a key twice":         {file: `{"auths":{"quay.io":{},"quay.io":{}}}`, err: `auths: has the key "quay.io" twice`},
		"auths in upper case": {file: `{"AUTHS":{}}`, err: `has the ambiguous key "AUTHS"`},
		"a helper as number":  {file: `{"credHelpers":{"quay.io":1}}`, err: `credHelpers["quay.io"]: is a number`},
		"a store as object":   {file: `{"credsStore":{}}`, err: "credsStore: is an object"},
		"too large":           {file: strings.Repeat(" ", 1<<20+1), err: "has more than 1048576 bytes", kind: errdefs.IsResourceExhausted},
		"deep":                {file: `{"auths":{"quay.io":` + strings.Repeat("[", 1000), err: "is an array"},
		"deep, and unknown":   {file: `{"x":` + strings.Repeat("[", 1000), err: "nests deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := test.kind
			if kind == nil {
				kind = errdefs.IsInvalidArgument
			}
			_, err := New(one(t, test.file)).Get(t.Context(), "quay.io", "a")
			checkError(t, err, test.err, kind)
			if err != nil && !strings.Contains(err.Error(), "auth.json") {
				t.Errorf("names no file: %v", err)
			}
		})
	}
}

// TestBadNames shows that only what can be a registry and a repository is looked
// for: names go to other programs.
func TestBadNames(t *testing.T) {
	t.Parallel()
	k := New(Options{Helpers: []string{"test"}, LookPath: func(string) (string, error) {
		t.Error("a helper was looked for")
		return "", errdefs.ErrNotFound
	}})
	kept, err := Static("quay.io", Credential{})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"", "a b", "quay.io\n", "quay.io/", "-x", "a_b", "..", "https://quay.io", "me:" + canary + "@quay.io", "quay.io:0", "quay.io:99999", "[::1%eth0]", "ｑuay.io", "quay.io."} {
		for _, s := range []Store{k, kept} {
			_, err := s.Get(t.Context(), host, "a")
			if err == nil {
				t.Errorf("%q is a host for %T", host, s)
			}
			checkError(t, err, "registry", errdefs.IsInvalidArgument)
		}
		if _, err := Static(host, Credential{}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("static %q: %v", host, err)
		}
		if _, err := k.Save(t.Context(), host, Credential{Password: NewSecret("x")}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("saving %q: %v", host, err)
		}
	}
	for _, repository := range []string{"/a", "a/", "A", "..", "a:b", "a@b", "a\n"} {
		if _, err := k.Get(t.Context(), "quay.io", repository); !errdefs.IsInvalidArgument(err) {
			t.Errorf("repository %q: %v", repository, err)
		}
	}
}
