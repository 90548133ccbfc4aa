package hosts

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPrecedence shows what counts where several files speak of one registry.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	const certsD = "etc/containerd/certs.d/"
	for name, test := range map[string]struct {
		files tree
		rows  []asked
	}{
		"mirrors of registries.conf, then of hosts.toml, then the registry": {
			files: tree{
				system:       "[[registry]]\nlocation = \"example.com\"\n[[registry.mirror]]\nlocation = \"first.test\"",
				exampleHosts: "[host.\"https://second.test\"]",
			},
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://first.test/v2 a:v1 mirror", "https://second.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1"}},
				{name: "example.com/a:v1", use: Push, want: []string{"https://example.com/v2 a:v1"}},
			},
		},
		"registries.conf blocks": {
			files: tree{system: "[[registry]]\nlocation = \"example.com\"\nblocked = true", exampleHosts: "server = \"https://a.test\""},
			rows:  []asked{{name: "example.com/a", err: "is blocked"}},
		},
		"the hosts.toml of where a name was moved to": {
			files: tree{
				system:                               "[[registry]]\nprefix = \"example.com\"\nlocation = \"internal.local/x\"",
				exampleHosts:                         "server = \"https://a.test\"",
				certsD + "internal.local/hosts.toml": "ca = \"/ca.pem\"\n[host.\"https://b.test\"]",
			},
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://b.test/v2 x/a:v1 mirror ns=internal.local", "https://internal.local/v2 x/a:v1 ca=/ca.pem"}},
				{name: "example.com/a:v1", use: Push, want: []string{"https://internal.local/v2 x/a:v1 ca=/ca.pem"}},
			},
		},
		"the hosts.toml of a mirror": {
			files: tree{
				system:                            "[[registry]]\nlocation = \"example.com\"\n[[registry.mirror]]\nlocation = \"mirror.test/x\"",
				certsD + "mirror.test/hosts.toml": "server = \"https://behind.test\"\ncapabilities = [\"pull\"]",
			},
			rows: []asked{
				{name: "example.com/a@" + digest1, want: []string{"https://behind.test/v2 x/a mirror ns=mirror.test", "https://example.com/v2 a"}},
				{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1"}},
			},
		},
		"insecure is for the registry itself": {
			files: tree{
				system:       "[[registry]]\nlocation = \"example.com\"\ninsecure = true",
				exampleHosts: "[host.\"https://second.test\"]",
			},
			rows: []asked{{name: "example.com/a:v1", want: []string{"https://second.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1 unverified or-http"}}},
		},
		"a scheme in hosts.toml rules http out": {
			files: tree{
				system:       "[[registry]]\nlocation = \"example.com\"\ninsecure = true",
				exampleHosts: "server = \"https://example.com\"",
			},
			rows: []asked{{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1 unverified"}}},
		},
		"skip_verify in hosts.toml counts": {
			files: tree{
				system:       "[[registry]]\nlocation = \"example.com\"\ninsecure = true",
				exampleHosts: "skip_verify = false\nserver = \"https://example.com\"",
			},
			rows: []asked{{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1"}}},
		},
		"the default directory": {
			files: tree{
				system:                         "[[registry]]\nlocation = \"listed.test\"\n[[registry.mirror]]\nlocation = \"mirror.test\"",
				certsD + "_default/hosts.toml": "[host.\"https://cache.test\"]",
				exampleHosts:                   "",
				"etc/docker/certs.d/certified.test/ca.crt": "",
			},
			rows: []asked{
				{name: "any.test/a:v1", want: []string{"https://cache.test/v2 a:v1 mirror ns=any.test", "https://any.test/v2 a:v1"}},
				{name: "any.test/*", use: List, want: []string{"https://any.test/v2 "}},
				{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1"}},
				{name: "certified.test/a:v1", want: []string{"https://certified.test/v2 a:v1 ca=etc/docker/certs.d/certified.test/ca.crt"}},
				{name: "listed.test/a:v1", want: []string{"https://mirror.test/v2 a:v1 mirror", "https://listed.test/v2 a:v1"}},
			},
		},
		"Docker Hub in hosts.toml": {
			files: tree{
				system:                          "[[registry]]\nlocation = \"docker.io\"\ninsecure = true",
				certsD + "docker.io/hosts.toml": "server = \"https://docker.io\"\n[host.\"https://registry-1.docker.io\"]\n[host.\"https://mirror.gcr.test\"]",
			},
			rows: []asked{{name: "busybox", want: []string{
				"https://registry-1.docker.io/v2 library/busybox:latest unverified mirror",
				"https://mirror.gcr.test/v2 library/busybox:latest mirror ns=docker.io",
				"https://registry-1.docker.io/v2 library/busybox:latest unverified",
			}}},
		},
		"the directory of a port": {
			files: tree{
				certsD + "example.com_5000_/hosts.toml": "[host.\"https://under.test\"]",
				certsD + "example.com:5000/hosts.toml":  "[host.\"https://colon.test\"]",
				certsD + "example.com/hosts.toml":       "[host.\"https://none.test\"]",
				certsD + "colon.test:5000/hosts.toml":   "[host.\"https://x.test\"]",
			},
			rows: []asked{
				{name: "example.com:5000/a:v1", want: []string{"https://under.test/v2 a:v1 mirror ns=example.com:5000", "https://example.com:5000/v2 a:v1"}},
				{name: "colon.test:5000/a:v1", want: []string{"https://x.test/v2 a:v1 mirror ns=colon.test:5000", "https://colon.test:5000/v2 a:v1"}},
			},
		},
		"one tool's hosts.toml before another's": {
			files: tree{
				"etc/docker/certs.d/example.com/hosts.toml": "server = \"https://docker.test\"",
				exampleHosts: "server = \"https://containerd.test\"",
				"home/.config/containerd/certs.d/other.com/hosts.toml": "server = \"https://user.test\"",
				certsD + "other.com/hosts.toml":                        "server = \"https://system.test\"",
			},
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://containerd.test/v2 a:v1 ns=example.com"}},
				{name: "other.com/a:v1", want: []string{"https://user.test/v2 a:v1 ns=other.com"}},
			},
		},
		"certificates of the first directory that has some": {
			files: tree{
				"etc/containers/certs.d/example.com/README":       "",
				"etc/containers/certs.d/example.com/sub.crt/x":    "",
				"etc/containers/certs.d/other.com/a.crt":          "",
				"etc/docker/certs.d/example.com/b.crt":            "",
				"etc/docker/certs.d/example.com/me.cert":          "",
				"etc/docker/certs.d/example.com/me.key":           "",
				"etc/docker/certs.d/other.com/b.crt":              "",
				"home/.config/containers/certs.d/third.com/c.crt": "",
				"etc/containers/certs.d/third.com/d.crt":          "",
			},
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1 ca=etc/docker/certs.d/example.com/b.crt client=etc/docker/certs.d/example.com/me.cert+etc/docker/certs.d/example.com/me.key"}},
				{name: "other.com/a:v1", want: []string{"https://other.com/v2 a:v1 ca=etc/containers/certs.d/other.com/a.crt"}},
				{name: "third.com/a:v1", want: []string{"https://third.com/v2 a:v1 ca=home/.config/containers/certs.d/third.com/c.crt"}},
				{name: "example.com:443/a:v1", want: []string{"https://example.com:443/v2 a:v1"}},
			},
		},
		"certificates in hosts.toml, or else beside it": {
			files: tree{
				exampleHosts: "ca = \"stated.pem\"\n[host.\"https://mirror.test\"]",
				"etc/docker/certs.d/example.com/found.crt": "",
				"etc/docker/certs.d/example.com/me.cert":   "",
				"etc/docker/certs.d/example.com/me.key":    "",
				"etc/docker/certs.d/mirror.test/m.crt":     "",
			},
			rows: []asked{{name: "example.com/a:v1", want: []string{
				"https://mirror.test/v2 a:v1 ca=etc/docker/certs.d/mirror.test/m.crt mirror ns=example.com",
				"https://example.com/v2 a:v1 ca=etc/containerd/certs.d/example.com/stated.pem client=etc/docker/certs.d/example.com/me.cert+etc/docker/certs.d/example.com/me.key",
			}}},
		},
		"Docker Hub's certificates": {
			files: tree{"etc/docker/certs.d/docker.io/hub.crt": ""},
			rows:  []asked{{name: "busybox", want: []string{"https://registry-1.docker.io/v2 library/busybox:latest ca=etc/docker/certs.d/docker.io/hub.crt"}}},
		},
		"a certificate without its key": {
			files: tree{"etc/docker/certs.d/example.com/me.cert": ""},
			rows:  []asked{{name: "example.com/a", err: "me.cert has no key: me.key is missing"}},
		},
		"a key without its certificate": {
			files: tree{"etc/docker/certs.d/example.com/me.key": ""},
			rows:  []asked{{name: "example.com/a", err: "me.key has no certificate: me.cert is missing"}},
		},
		"a file in the place of a directory": {
			files: tree{"etc/docker/certs.d/example.com": ""},
			rows:  []asked{{name: "example.com/a", want: []string{"https://example.com/v2 a:latest"}}},
		},
		"a directory in the place of a file": {
			files: tree{exampleHosts + "/x": ""},
			rows:  []asked{{name: "example.com/a", err: "hosts.toml is not a file"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := test.files.Write(t)
			opts := options(root, nil)
			opts.LookupEnv = env{"HOME": filepath.Join(root, "home")}.Lookup
			check(t, opts, test.rows...)
		})
	}
}

// TestOptions shows that flags go before files.
func TestOptions(t *testing.T) {
	t.Parallel()
	root := tree{
		system:                                 "[[registry]]\nlocation = \"example.com\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"mirror.test\"",
		exampleHosts:                           "[host.\"http://plain.test\"]",
		"etc/docker/certs.d/example.com/a.crt": "",
		"mine/b.crt":                           "",
		"mine/b.cert":                          "",
		"mine/b.key":                           "",
		"dirs/one/example.com/hosts.toml":      "[host.\"https://one.test\"]",
	}.Write(t)
	const ca = " ca=etc/docker/certs.d/example.com/a.crt"
	const mine = " ca=mine/b.crt client=mine/b.cert+mine/b.key"
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"none": {want: []string{"https://mirror.test/v2 a:v1 mirror", "http://plain.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1" + ca + " unverified or-http"}},
		"verify always": {
			change: func(o *Options) { o.Verify = VerifyAlways },
			want:   []string{"https://mirror.test/v2 a:v1 mirror", "https://plain.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1" + ca},
		},
		"verify never": {
			change: func(o *Options) { o.Verify = VerifyNever },
			want:   []string{"https://mirror.test/v2 a:v1 unverified or-http mirror", "http://plain.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1" + ca + " unverified or-http"},
		},
		"a directory of certificates": {
			change: func(o *Options) { o.CertDir = filepath.Join(root, "mine") },
			want:   []string{"https://mirror.test/v2 a:v1" + mine + " mirror", "http://plain.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1" + mine + " unverified or-http"},
		},
		"other directories of hosts": {
			change: func(o *Options) { o.CertsDirs = []string{filepath.Join(root, "dirs/one")} },
			want:   []string{"https://mirror.test/v2 a:v1 mirror", "https://one.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1 unverified or-http"},
		},
		"no directories of hosts": {
			change: func(o *Options) { o.CertsDirs = []string{} },
			want:   []string{"https://mirror.test/v2 a:v1 mirror", "https://example.com/v2 a:v1 unverified or-http"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := options(root, nil)
			if test.change != nil {
				test.change(&opts)
			}
			check(t, opts, asked{name: "example.com/a:v1", want: test.want})
		})
	}
	opts := options(root, nil)
	opts.CertDir = filepath.Join(root, "missing")
	check(t, opts, asked{name: "example.com/a:v1", err: "missing"})
}

// TestReadOnce shows that a host's directory is read when the host is first asked
// for, and that what is ignored is logged once.
func TestReadOnce(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	root := tree{exampleHosts: "colour = 1", "etc/containerd/certs.d/bad.test/hosts.toml": "]"}.Write(t)
	c := mustLoad(t, options(root, &log))
	for range 3 {
		if _, err := c.Endpoints(mustParse(t, "example.com/a"), Pull); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "key=colour"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

func TestDirNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, goos string
		want       []string
	}{
		{host: "example.com", goos: "linux", want: []string{"example.com"}},
		{host: "example.com:5000", goos: "linux", want: []string{"example.com_5000_", "example.com:5000"}},
		{host: "example.com:5000", goos: "windows", want: []string{"example.com_5000_", "example.com5000"}},
		{host: "[::1]", goos: "linux", want: []string{"[::1]"}},
		{host: "[::1]:5000", goos: "linux", want: []string{"[::1]_5000_", "[::1]:5000"}},
	} {
		if got := dirNames(test.host, test.goos); !cmp.Equal(got, test.want) {
			t.Errorf("%s on %s: %q, want %q", test.host, test.goos, got, test.want)
		}
	}
}
