package hosts

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

// searching returns a registries.conf that shows that it was read.
func searching(host string) string {
	return `unqualified-search-registries = ["` + host + `"]` + "\n"
}

// TestPlaces shows which of the files count that a machine has.
func TestPlaces(t *testing.T) {
	t.Parallel()
	const user, share = "home/.config/containers/registries.conf", "usr/share/containers/registries.conf"
	one := func(file string) tree { return tree{file: searching("found.test")} }
	for name, test := range map[string]struct {
		files tree
		env   env
		uid   int
		named string
		want  string // the first of unqualified-search-registries
	}{
		"none":                             {},
		"of a package":                     {files: one(share), want: "found.test"},
		"of the administrator":             {files: tree{share: searching("a.test"), system: searching("found.test")}, want: "found.test"},
		"of the user":                      {files: tree{system: searching("a.test"), user: searching("found.test")}, want: "found.test"},
		"of XDG_CONFIG_HOME":               {files: tree{user: searching("a.test"), "xdg/containers/registries.conf": searching("found.test")}, env: env{"XDG_CONFIG_HOME": "xdg"}, want: "found.test"},
		"the user's may say nothing":       {files: tree{system: searching("a.test"), user: ""}},
		"named in the environment":         {files: tree{user: searching("a.test"), "e.conf": searching("found.test")}, env: env{"CONTAINERS_REGISTRIES_CONF": "e.conf"}, want: "found.test"},
		"named, and no drop-ins":           {files: tree{"etc/containers/registries.conf.d/1.conf": searching("a.test"), "e.conf": searching("found.test")}, env: env{"CONTAINERS_REGISTRIES_CONF": "e.conf"}, want: "found.test"},
		"named by an option":               {files: tree{"e.conf": searching("a.test"), "o.conf": searching("found.test")}, env: env{"CONTAINERS_REGISTRIES_CONF": "e.conf"}, named: "o.conf", want: "found.test"},
		"overridden":                       {files: tree{system: searching("a.test"), "e.conf": searching("found.test")}, env: env{"CONTAINERS_REGISTRIES_CONF_OVERRIDE": "e.conf"}, want: "found.test"},
		"named and overridden":             {files: tree{"n.conf": searching("a.test"), "e.conf": searching("found.test")}, env: env{"CONTAINERS_REGISTRIES_CONF": "n.conf", "CONTAINERS_REGISTRIES_CONF_OVERRIDE": "e.conf"}, want: "found.test"},
		"overridden by one with no search": {files: tree{system: searching("found.test"), "e.conf": ""}, env: env{"CONTAINERS_REGISTRIES_CONF_OVERRIDE": "e.conf"}, want: "found.test"},
		"a drop-in":                        {files: tree{system: searching("a.test"), "etc/containers/registries.conf.d/1.conf": searching("found.test")}, want: "found.test"},
		"a drop-in without a main file":    {files: one("usr/share/containers/registries.conf.d/1.conf"), want: "found.test"},
		"a drop-in beside the user's":      {files: tree{user: searching("a.test"), "etc/containers/registries.conf.d/1.conf": searching("found.test")}, want: "found.test"},
		"drop-ins by base name":            {files: tree{"usr/share/containers/registries.conf.d/9.conf": searching("found.test"), "home/.config/containers/registries.conf.d/1.conf": searching("a.test")}, want: "found.test"},
		"of two drop-ins of one name":      {files: tree{"usr/share/containers/registries.conf.d/1.conf": searching("a.test"), "etc/containers/registries.conf.d/1.conf": searching("found.test")}, want: "found.test"},
		"other files are no drop-ins":      {files: tree{system: searching("found.test"), "etc/containers/registries.conf.d/1.conf.bak": "]", "etc/containers/registries.conf.d/2.conf/x.conf": "]"}, want: "found.test"},
		"a drop-in for root":               {files: one("etc/containers/registries.rootful.conf.d/1.conf"), want: "found.test"},
		"for root, but another one asks":   {files: one("etc/containers/registries.rootful.conf.d/1.conf"), uid: 1000},
		"the user has no such place":       {files: one("home/.config/containers/registries.rootful.conf.d/1.conf")},
		"for others":                       {files: one("etc/containers/registries.rootless.conf.d/1.conf"), uid: 1000, want: "found.test"},
		"for others, but root asks":        {files: one("etc/containers/registries.rootless.conf.d/1.conf")},
		"for one user":                     {files: one("usr/share/containers/registries.rootless.conf.d/1000/1.conf"), uid: 1000, want: "found.test"},
		"for another user":                 {files: one("usr/share/containers/registries.rootless.conf.d/1001/1.conf"), uid: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := test.files.Write(t)
			opts := options(root, nil)
			opts.UID = &test.uid
			vars := env{"HOME": filepath.Join(root, "home")}
			for key, file := range test.env {
				vars[key] = filepath.Join(root, file)
			}
			opts.LookupEnv = vars.Lookup
			if test.named != "" {
				opts.RegistriesConf = filepath.Join(root, test.named)
			}
			c := mustLoad(t, opts)
			got := ""
			if len(c.conf.search) > 0 {
				got = c.conf.search[0]
			}
			if got != test.want {
				t.Errorf("got %q from %q, want %q", got, c.conf.searchFrom, test.want)
			}
		})
	}
}

func TestUserPlaces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  env
		home string
		want string
	}{
		"no environment":      {},
		"HOME":                {env: env{"HOME": "/h"}, want: "/h/.config/containers"},
		"USERPROFILE":         {env: env{"USERPROFILE": "/h"}, want: "/h/.config/containers"},
		"an option":           {env: env{"HOME": "/h"}, home: "/o", want: "/o/.config/containers"},
		"XDG_CONFIG_HOME":     {env: env{"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, want: "/x/containers"},
		"XDG, but not a root": {env: env{"HOME": "/h", "XDG_CONFIG_HOME": "x"}, want: "/h/.config/containers"},
	} {
		if got := placesOf(Options{LookupEnv: test.env.Lookup, Home: test.home}).user; filepath.ToSlash(got) != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	windows := places{env: func(key string) string { return map[string]string{"ProgramData": `C:\ProgramData`}[key] }}
	if etc, share := windows.system("windows", ""); etc != `C:\ProgramData` || share != "" {
		t.Errorf("Windows: %q, %q", etc, share)
	}
	if etc, share := windows.system("linux", ""); filepath.ToSlash(etc) != "/etc" || filepath.ToSlash(share) != "/usr/share" {
		t.Errorf("Linux: %q, %q", etc, share)
	}
}

// TestMerge shows what a drop-in does to what was there.
func TestMerge(t *testing.T) {
	t.Parallel()
	root := tree{
		system: `
			credential-helpers = ["pass"]
			short-name-mode = "enforcing"
			[aliases]
			kept = "a.test/kept"
			gone = "a.test/gone"
			moved = "a.test/moved"
			[[registry]]
			location = "example.com"
			blocked = true
			[[registry]]
			location = "other.com"
			blocked = true`,
		"etc/containers/registries.conf.d/1.conf": `
			[aliases]
			gone = ""
			moved = "b.test/moved"
			[[registry]]
			location = "example.com"
			[[registry.mirror]]
			location = "one.local"`,
		"etc/containers/registries.conf.d/2.conf": `credential-helpers = ["containers-auth.json", "ecr-login"]`,
	}.Write(t)
	opts := options(root, nil)
	check(t, opts,
		asked{name: "example.com/a", want: []string{"https://one.local/v2 a:latest mirror", "https://example.com/v2 a:latest"}},
		asked{name: "other.com/a", err: "is blocked"},
	)
	c := mustLoad(t, opts)
	if got, want := c.CredentialHelpers(), []string{"containers-auth.json", "ecr-login"}; !cmp.Equal(got, want) {
		t.Errorf("credential helpers %q, want %q", got, want)
	}
	if got := c.ShortNameMode(); got != Enforcing {
		t.Errorf("mode %q", got)
	}
	for short, want := range map[string]string{"kept": "a.test/kept", "gone": "docker.io/library/gone", "moved": "b.test/moved"} {
		got, err := c.Resolve(short)
		if err != nil || len(got) != 1 || got[0].String() != want {
			t.Errorf("%s: %v, %v, want %s", short, got, err, want)
		}
	}
}

// TestUnreadable shows that a file that should be there, or cannot be read, is an
// error and not an empty configuration.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	root := tree{"x": ""}.Write(t)
	missing := filepath.Join(root, "missing.conf")
	for name, opts := range map[string]Options{
		"a named file":       {RegistriesConf: missing},
		"the environment's":  {LookupEnv: env{"CONTAINERS_REGISTRIES_CONF": missing}.Lookup},
		"the override":       {LookupEnv: env{"CONTAINERS_REGISTRIES_CONF_OVERRIDE": missing}.Lookup},
		"relative, no less":  {RegistriesConf: "missing.conf"},
		"in a missing place": {RegistriesConf: filepath.Join(root, "a", "b")},
	} {
		opts.Root = root
		if _, err := Load(opts); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), opts.RegistriesConf) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(Options{Root: root, RegistriesConf: root}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a directory: %v", err)
	}
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		return // who may read everything
	}
	for _, name := range []string{system, "etc/containers/registries.conf.d/1.conf"} {
		root := tree{name: searching("a.test")}.Write(t)
		if err := os.Chmod(filepath.Join(root, name), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(options(root, nil)); !errdefs.IsPermissionDenied(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHiddenDropIn shows that a link to nothing hides the file of a package.
func TestHiddenDropIn(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a link to a device")
	}
	root := tree{"usr/share/containers/registries.conf.d/1.conf": searching("a.test"), "etc/containers/registries.conf.d/2.conf": ""}.Write(t)
	if err := os.Symlink(os.DevNull, filepath.Join(root, "etc/containers/registries.conf.d/1.conf")); err != nil {
		t.Fatal(err)
	}
	if c := mustLoad(t, options(root, nil)); c.conf.search != nil {
		t.Errorf("search is %q", c.conf.search)
	}
}
