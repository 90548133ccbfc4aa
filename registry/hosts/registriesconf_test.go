package hosts

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// TestRegistriesConf shows the rules of registries.conf, one after the other.
func TestRegistriesConf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		conf string
		rows []asked
	}{
		"location moves a host": {
			conf: `[[registry]]
				prefix = "example.com"
				location = "internal.local/mirror"`,
			rows: []asked{
				{name: "example.com/a/b:v1", want: []string{"https://internal.local/v2 mirror/a/b:v1"}},
				{name: "other.com/a", want: []string{"https://other.com/v2 a:latest"}},
				{name: "sub.example.com/a", want: []string{"https://sub.example.com/v2 a:latest"}},
				{name: "example.com.evil.com/a", want: []string{"https://example.com.evil.com/v2 a:latest"}},
			},
		},
		"location holds for every use": {
			conf: `[[registry]]
				prefix = "example.com/foo"
				location = "internal.local/bar"`,
			rows: []asked{
				{name: "example.com/foo/a:v1", use: Pull, want: []string{"https://internal.local/v2 bar/a:v1"}},
				{name: "example.com/foo/a:v1", use: Push, want: []string{"https://internal.local/v2 bar/a:v1"}},
				{name: "example.com/foo/a:v1", use: Delete, want: []string{"https://internal.local/v2 bar/a:v1"}},
				{name: "example.com/foo/a:v1", use: List, want: []string{"https://internal.local/v2 bar/a"}},
				{name: "example.com/foo", use: List, want: []string{"https://internal.local/v2 bar"}},
				{name: "example.com/foobar", use: Push, want: []string{"https://example.com/v2 foobar:latest"}},
				{name: "example.com/*", use: List, want: []string{"https://example.com/v2 "}},
			},
		},
		"a host is listed where it was moved to": {
			conf: `[[registry]]
				prefix = "example.com"
				location = "internal.local/mirror"`,
			rows: []asked{{name: "example.com/*", use: List, want: []string{"https://internal.local/v2 mirror"}}},
		},
		"the longest prefix wins, in any order": {
			conf: `[[registry]]
				prefix = "example.com/foo/bar"
				location = "three.local"
				[[registry]]
				prefix = "example.com"
				location = "one.local"
				[[registry]]
				prefix = "example.com/foo"
				location = "two.local"`,
			rows: []asked{
				{name: "example.com/a", want: []string{"https://one.local/v2 a:latest"}},
				{name: "example.com/foo/a", want: []string{"https://two.local/v2 a:latest"}},
				{name: "example.com/foo/bar/a", want: []string{"https://three.local/v2 a:latest"}},
				{name: "example.com/foo/barrel", want: []string{"https://two.local/v2 barrel:latest"}},
			},
		},
		"nothing is left of the repository": {
			conf: `[[registry]]
				prefix = "example.com/foo"
				location = "two.local"`,
			rows: []asked{{name: "example.com/foo", err: "the repository is empty"}},
		},
		"a colon ends a prefix: a port": {
			conf: `[[registry]]
				location = "example.com"
				blocked = true
				[[registry]]
				prefix = "moved.com"
				location = "internal.local"
				[[registry]]
				prefix = "narrow.com"
				location = "internal.local/path"`,
			rows: []asked{
				{name: "example.com/a", err: "is blocked"},
				{name: "example.com:5000/a", err: "is blocked"},
				{name: "moved.com:5000/a", want: []string{"https://internal.local:5000/v2 a:latest"}},
				{name: "narrow.com:5000/a", err: "has a port that the prefix does not have"},
			},
		},
		"a prefix with a port": {
			conf: `[[registry]]
				location = "example.com:5000"
				blocked = true`,
			rows: []asked{
				{name: "example.com:5000/a", err: "is blocked"},
				{name: "example.com:5001/a", want: []string{"https://example.com:5001/v2 a:latest"}},
				{name: "example.com/a", want: []string{"https://example.com/v2 a:latest"}},
			},
		},
		"a prefix with a tag": {
			conf: `[[registry]]
				prefix = "example.com/a:v1"
				location = "internal.local/b:v2"
				[[registry]]
				prefix = "example.com/keep:v1"
				location = "internal.local/kept"`,
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://internal.local/v2 b:v2"}},
				{name: "example.com/a:v11", want: []string{"https://example.com/v2 a:v11"}},
				{name: "example.com/a/b:v1", want: []string{"https://example.com/v2 a/b:v1"}},
				{name: "example.com/keep:v1", want: []string{"https://internal.local/v2 kept:v1"}},
				{name: "example.com/a:v1", use: List, want: []string{"https://example.com/v2 a"}},
			},
		},
		"latest is a tag": {
			conf: `[[registry]]
				location = "example.com/a:latest"
				blocked = true`,
			rows: []asked{{name: "example.com/a", err: "is blocked"}},
		},
		"a prefix with a digest": {
			conf: `[[registry]]
				location = "example.com/a@` + digest1 + `"
				blocked = true`,
			rows: []asked{
				{name: "example.com/a@" + digest1, err: "is blocked"},
				{name: "example.com/a:v1@" + digest1, err: "is blocked"},
				{name: "example.com/a@" + digest2, want: []string{"https://example.com/v2 a"}},
				{name: "example.com/a", want: []string{"https://example.com/v2 a:latest"}},
			},
		},
		"a prefix of all domains below one": {
			conf: `[[registry]]
				prefix = "*.example.com"
				insecure = true
				[[registry]]
				prefix = "*.sub.example.com"
				location = "internal.local"
				[[registry]]
				prefix = "one.example.com"
				blocked = true
				location = "one.example.com"`,
			rows: []asked{
				{name: "a.example.com/x", want: []string{"https://a.example.com/v2 x:latest unverified or-http"}},
				{name: "a.b.example.com:5000/x", want: []string{"https://a.b.example.com:5000/v2 x:latest unverified or-http"}},
				{name: "a.sub.example.com/x", want: []string{"https://internal.local/v2 x:latest"}},
				{name: "example.com/x", want: []string{"https://example.com/v2 x:latest"}},
				{name: "badexample.com/x", want: []string{"https://badexample.com/v2 x:latest"}},
				{name: "a.example.com.evil.com/x", want: []string{"https://a.example.com.evil.com/v2 x:latest"}},
				{name: "a.example.com.example.com/x", want: []string{"https://a.example.com.example.com/v2 x:latest unverified or-http"}},
				{name: "evil.com/a.example.com", want: []string{"https://evil.com/v2 a.example.com:latest"}},
				{name: "one.example.com/x", err: "is blocked"},
			},
		},
		"mirrors come first, for pulls alone": {
			conf: `[[registry]]
				location = "example.com"
				insecure = true
				[[registry.mirror]]
				location = "one.local/m"
				[[registry.mirror]]
				location = "two.local:5000"
				insecure = true`,
			rows: []asked{
				{name: "example.com/a:v1", want: []string{
					"https://one.local/v2 m/a:v1 mirror",
					"https://two.local:5000/v2 a:v1 unverified or-http mirror",
					"https://example.com/v2 a:v1 unverified or-http",
				}},
				{name: "example.com/a:v1", use: Push, want: []string{"https://example.com/v2 a:v1 unverified or-http"}},
				{name: "example.com/a:v1", use: Delete, want: []string{"https://example.com/v2 a:v1 unverified or-http"}},
				{name: "example.com/a", use: List, want: []string{"https://example.com/v2 a unverified or-http"}},
			},
		},
		"mirrors as written inline": {
			conf: `registry = [{location = "example.com", mirror = [{location = "one.local"}]}]`,
			rows: []asked{{name: "example.com/a:v1", want: []string{"https://one.local/v2 a:v1 mirror", "https://example.com/v2 a:v1"}}},
		},
		"mirrors of a moved prefix": {
			conf: `[[registry]]
				prefix = "example.com/foo"
				location = "internal.local/bar"
				[[registry.mirror]]
				location = "one.local/foo"`,
			rows: []asked{{name: "example.com/foo/a@" + digest1, want: []string{"https://one.local/v2 foo/a mirror", "https://internal.local/v2 bar/a"}}},
		},
		"mirrors for digests or tags": {
			conf: `[[registry]]
				location = "example.com"
				[[registry.mirror]]
				location = "all.local"
				pull-from-mirror = "all"
				[[registry.mirror]]
				location = "digest.local"
				pull-from-mirror = "digest-only"
				[[registry.mirror]]
				location = "tag.local"
				pull-from-mirror = "tag-only"`,
			rows: []asked{
				{name: "example.com/a", want: []string{"https://all.local/v2 a:latest mirror", "https://tag.local/v2 a:latest mirror", "https://example.com/v2 a:latest"}},
				{name: "example.com/a@" + digest1, want: []string{"https://all.local/v2 a mirror", "https://digest.local/v2 a mirror", "https://example.com/v2 a"}},
				{name: "example.com/a:v1@" + digest1, want: []string{"https://all.local/v2 a:v1 mirror", "https://digest.local/v2 a:v1 mirror", "https://example.com/v2 a:v1"}},
			},
		},
		"all mirrors for digests": {
			conf: `[[registry]]
				location = "example.com"
				mirror-by-digest-only = true
				[[registry.mirror]]
				location = "one.local"`,
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1"}},
				{name: "example.com/a@" + digest1, want: []string{"https://one.local/v2 a mirror", "https://example.com/v2 a"}},
			},
		},
		"blocked for every use, and by the longest prefix": {
			conf: `[[registry]]
				location = "example.com"
				blocked = true
				[[registry]]
				location = "example.com/free"`,
			rows: []asked{
				{name: "example.com/a", use: Pull, err: "registries.conf, line 1, registry[0]"},
				{name: "example.com/a", use: Push, err: "example.com/a:latest is blocked"},
				{name: "example.com/a", use: List, err: "is blocked"},
				{name: "example.com/a", use: Delete, err: "is blocked"},
				{name: "example.com/*", use: List, err: "is blocked"},
				{name: "example.com/free/a", want: []string{"https://example.com/v2 free/a:latest"}},
			},
		},
		"Docker Hub": {
			conf: `[[registry]]
				prefix = "docker.io/library"
				location = "mirror.local/hub"
				[[registry]]
				prefix = "other.com"
				location = "index.docker.io/other"`,
			rows: []asked{
				{name: "busybox", want: []string{"https://mirror.local/v2 hub/busybox:latest"}},
				{name: "index.docker.io/library/busybox", want: []string{"https://mirror.local/v2 hub/busybox:latest"}},
				{name: "someone/busybox", want: []string{"https://registry-1.docker.io/v2 someone/busybox:latest"}},
				{name: "other.com/a", want: []string{"https://registry-1.docker.io/v2 other/a:latest"}},
			},
		},
		"spelling does not matter": {
			conf: `[[registry]]
				prefix = "EXAMPLE.com/foo///"
				location = "Internal.LOCAL/"
				[[registry]]
				location = "[0:0::1]:5000"
				insecure = true`,
			rows: []asked{
				{name: "example.com/foo/a", want: []string{"https://internal.local/v2 a:latest"}},
				{name: "[::1]:5000/a", want: []string{"https://[::1]:5000/v2 a:latest unverified or-http"}},
			},
		},
		"a location may have a host without a dot": {
			conf: `[[registry]]
				prefix = "example.com"
				location = "registry/team"`,
			rows: []asked{{name: "example.com/a", want: []string{"https://registry/v2 team/a:latest"}}},
		},
		"the same table twice": {
			conf: `[[registry]]
				location = "example.com"
				insecure = true
				[[registry]]
				prefix = "example.com/"
				location = "example.com"
				insecure = true`,
			rows: []asked{{name: "example.com/a", want: []string{"https://example.com/v2 a:latest unverified or-http"}}},
		},
		"the path gets too long": {
			conf: `[[registry]]
				prefix = "example.com"
				location = "internal.local/` + strings.Repeat("a", 250) + `"`,
			rows: []asked{{name: "example.com/abcdef", err: "255"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, options(tree{system: test.conf}.Write(t), nil), test.rows...)
		})
	}
}

// TestBadRegistriesConf shows what is refused, and that the error says where.
func TestBadRegistriesConf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		conf, err string
		kind      func(error) bool
	}{
		"not TOML":                     {conf: "a = 1\n[[registry]", err: "registries.conf, line 2: "},
		"a key twice":                  {conf: "[[registry]]\nlocation = \"a.b\"\nlocation = \"c.d\"", err: "line 3: key location is already defined"},
		"the first version":            {conf: "[registries.search]\nregistries = [\"a.b\"]", err: "line 1, registries: is the first version of the format"},
		"both versions":                {conf: "unqualified-search-registries = []\n[registries.block]\nregistries = []", err: "line 2, registries: is the first version"},
		"no prefix, no location":       {conf: "\n[[registry]]\ninsecure = true", err: "line 2, registry[0]: has neither a prefix nor a location"},
		"no location":                  {conf: "[[registry]]\nprefix = \"a.b\"", err: "registry[0].location: is missing"},
		"https":                        {conf: "[[registry]]\nlocation = \"https://a.b\"", err: "line 2, registry[0].location: is not a place in a registry: it is a URL"},
		"http in a prefix":             {conf: "[[registry]]\nlocation = \"a.b\"\nprefix = \"http://a.b\"", err: "line 3, registry[0].prefix: is not a place in a registry: it is a URL"},
		"http in a mirror":             {conf: "[[registry]]\nlocation = \"a.b\"\n[[registry.mirror]]\nlocation = \"http://c.d\"", err: "line 4, registry[0].mirror[0].location: is not"},
		"the second of several":        {conf: "[[registry]]\nlocation = \"a.b\"\n[[registry]]\nlocation = \"\"", err: "line 3, registry[1]: has neither"},
		"a mirror without location":    {conf: "[[registry]]\nlocation = \"a.b\"\n[[registry.mirror]]\ninsecure = true", err: "line 3, registry[0].mirror[0].location: is missing"},
		"a mirror for whatever":        {conf: "[[registry]]\nlocation = \"a.b\"\n[[registry.mirror]]\nlocation = \"c.d\"\npull-from-mirror = \"sometimes\"", err: `line 5, registry[0].mirror[0].pull-from-mirror: is "sometimes", none of`},
		"pull-from-mirror of none":     {conf: "[[registry]]\nlocation = \"a.b\"\npull-from-mirror = \"all\"", err: "line 3, registry[0].pull-from-mirror: belongs to"},
		"mirror settings that collide": {conf: "[[registry]]\nlocation = \"a.b\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"c.d\"\npull-from-mirror = \"all\"", err: "line 6, registry[0].mirror[0].pull-from-mirror: cannot be used with"},
		"insecure and not":             {conf: "[[registry]]\nlocation = \"a.b\"\ninsecure = true\n[[registry]]\nlocation = \"a.b\"", err: "line 4, registry[1]: the prefix a.b is there already, with other settings: "},
		"blocked and not":              {conf: "[[registry]]\nlocation = \"a.b\"\n[[registry]]\nprefix = \"a.b\"\nlocation = \"a.b\"\nblocked = true", err: "with other settings"},
		"moved to two places":          {conf: "[[registry]]\nprefix = \"a.b\"\nlocation = \"c.d\"\n[[registry]]\nprefix = \"a.b\"\nlocation = \"e.f\"", err: "with other settings"},
		"a wildcard inside":            {conf: "[[registry]]\nlocation = \"a.*.b\"", err: `"a.*.b" is not a DNS name`},
		"a wildcard with a path":       {conf: "[[registry]]\nprefix = \"*.a.b/c\"", err: "with *. it is a domain alone"},
		"a wildcard with a port":       {conf: "[[registry]]\nprefix = \"*.a.b:5000\"", err: "with *. it is a domain alone"},
		"two wildcards":                {conf: "[[registry]]\nprefix = \"*.*.a.b\"", err: "with *. it is a domain alone"},
		"a wildcard as location":       {conf: "[[registry]]\nprefix = \"a.b\"\nlocation = \"*.c.d\"", err: "is not a DNS name"},
		"B18 a password":               {conf: "[[registry]]\nlocation = \"me:secret@a.b/c\"", err: "before an @ does not belong"},
		"B18 a port too large":         {conf: "[[registry]]\nlocation = \"a.b:99999\"", err: "a port from 1 to 65535"},
		"B18 a zone":                   {conf: "[[registry]]\nlocation = \"[::1%eth0]\"", err: "is not a DNS name"},
		"a path that climbs":           {conf: "[[registry]]\nlocation = \"a.b/../c\"", err: "repository name"},
		"a path in upper case":         {conf: "[[registry]]\nlocation = \"a.b/C\"", err: "repository name"},
		"a bad tag":                    {conf: "[[registry]]\nlocation = \"a.b/c:-\"", err: "the tag begins with"},
		"a bad digest":                 {conf: "[[registry]]\nlocation = \"a.b/c@sha256:xyz\"", err: "is not a digest"},
		"a digest to move to":          {conf: "[[registry]]\nprefix = \"a.b/c@" + digest1 + "\"\nlocation = \"a.b/c@" + digest2 + "\"", err: "what a name is pinned to does not move"},
		"a tag for all tags":           {conf: "[[registry]]\nprefix = \"a.b/c\"\nlocation = \"a.b/c:v1\"", err: "has a tag, and the prefix has none"},
		"insecure as text":             {conf: "[[registry]]\nlocation = \"a.b\"\ninsecure = \"yes\"", err: "line 3, registry[0].insecure: is not true or false"},
		"a key in another case":        {conf: "[[registry]]\nlocation = \"a.b\"\nBlocked = true", err: `line 3, registry[0].Blocked: is not a key; it is written "blocked"`},
		"registry is no array":         {conf: "[registry]\nlocation = \"a.b\"", err: "line 1, registry: is not an array of tables"},
		"registry has no tables":       {conf: "registry = [1]", err: "line 1, registry[0]: is not a table"},
		"search with a path":           {conf: "unqualified-search-registries = [\"a.b\", \"c.d/e\"]", err: "line 1, unqualified-search-registries[1]: "},
		"search with a number":         {conf: "unqualified-search-registries = [1]", err: "unqualified-search-registries[0]: is not a string"},
		"search with nothing":          {conf: "unqualified-search-registries = [\"\"]", err: "is not a DNS name"},
		"helpers as text":              {conf: "credential-helpers = \"pass\"", err: "credential-helpers: is not an array of strings"},
		"an unknown mode":              {conf: "short-name-mode = \"prompt\"", err: `short-name-mode: is "prompt", none of`},
		"an alias with a host":         {conf: "[aliases]\n\"a.b/c\" = \"d.e/f\"", err: `line 2, aliases."a.b/c": is not a short name`},
		"an alias with a tag":          {conf: "[aliases]\n\"c:v1\" = \"d.e/f\"", err: "is not a short name"},
		"an alias for a tag":           {conf: "[aliases]\nc = \"d.e/f:v1\"", err: "is not a repository with its host"},
		"an alias for a short name":    {conf: "[aliases]\nc = \"d/f\"", err: "is not a repository with its host"},
		"an alias for a host":          {conf: "[aliases]\nc = \"d.e\"", err: "is not a repository with its host"},
		"too large":                    {conf: "# " + strings.Repeat("x", 1<<20), err: "more than 1048576 bytes", kind: errdefs.IsResourceExhausted},
		"too many keys":                {conf: "[aliases]\n" + numbered("a%d = \"b.c/d\"\n", 4097), err: "aliases: has 4097 keys of at most 4096", kind: errdefs.IsResourceExhausted},
		"deeply nested":                {conf: "x = " + strings.Repeat("[", 100_000), err: "nested"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := test.kind
			if kind == nil {
				kind = errdefs.IsInvalidArgument
			}
			_, err := Load(options(tree{system: test.conf}.Write(t), nil))
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), "registries.conf") {
				t.Fatalf("got %v, want %q", err, test.err)
			}
			if !kind(err) {
				t.Errorf("of another kind: %v", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("shows a password: %v", err)
			}
		})
	}
}

// TestIgnored shows what is logged and goes on.
func TestIgnored(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	root := tree{system: `
		future = 1
		additional-layer-store-auth-helper = "x"
		[[registry]]
		location = "example.com"
		colour = "blue"
		[[registry.mirror]]
		location = "one.local"
		[registry.mirror.extra]
		x = 1
		[[registry]]
		location = "nodots"
		[other]
		y = 1`}.Write(t)
	check(t, options(root, &log), asked{name: "example.com/a:v1", want: []string{"https://one.local/v2 a:v1 mirror", "https://example.com/v2 a:v1"}})
	for _, want := range []string{
		"line=2 key=future", "line=6 key=registry[0].colour", "line=9 key=registry[0].mirror[0].extra", "line=13 key=other", "prefix=nodots",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 5 {
		t.Errorf("%d lines are logged:\n%s", n, log.String())
	}
}
