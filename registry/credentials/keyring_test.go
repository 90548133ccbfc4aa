package credentials

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

// TestOrder shows which of the places of a machine counts.
func TestOrder(t *testing.T) {
	t.Parallel()
	const (
		runtimeFile = "runtime/containers/auth.json"
		configFile  = "home/.config/containers/auth.json"
		dockerHome  = "home/.docker/config.json"
		oldFile     = "home/.dockercfg"
	)
	has := func(user string) string { return `{"auths":{"quay.io":{"auth":"` + basic(user) + `"}}}` }
	old := func(user string) string { return `{"quay.io":{"auth":"` + basic(user) + `","email":"x"}}` }
	for name, test := range map[string]struct {
		files   tree
		env     env
		named   string
		want    string
		missing bool
	}{
		"none":                            {},
		"below XDG_RUNTIME_DIR":           {files: tree{runtimeFile: has("it"), configFile: has("a"), dockerHome: has("b"), oldFile: old("c")}, want: "it"},
		"in the user's configuration":     {files: tree{configFile: has("it"), dockerHome: has("b"), oldFile: old("c")}, want: "it"},
		"below XDG_CONFIG_HOME":           {files: tree{"xdg/containers/auth.json": has("it"), configFile: has("a")}, env: env{"XDG_CONFIG_HOME": "xdg"}, want: "it"},
		"Docker's":                        {files: tree{dockerHome: has("it"), oldFile: old("c")}, want: "it"},
		"below DOCKER_CONFIG":             {files: tree{"docker/config.json": has("it"), dockerHome: has("b")}, env: env{"DOCKER_CONFIG": "docker"}, want: "it"},
		"DOCKER_CONFIG, and not there":    {files: tree{dockerHome: has("b")}, env: env{"DOCKER_CONFIG": "docker"}},
		"Docker's old one":                {files: tree{oldFile: old("it")}, want: "it"},
		"a file without it, and another":  {files: tree{runtimeFile: `{"auths":{"other.io":{"auth":"eDp5"}}}`, configFile: `{"auths":{"quay.io":{}}}`, dockerHome: has("it")}, want: "it"},
		"a wider scope in an earlier one": {files: tree{configFile: has("it"), dockerHome: `{"auths":{"quay.io/a":{"auth":"` + basic("b") + `"}}}`}, want: "it"},
		"named in the environment":        {files: tree{"mine.json": has("it"), runtimeFile: has("a")}, env: env{"REGISTRY_AUTH_FILE": "mine.json"}, want: "it"},
		"named, and then no other":        {files: tree{"mine.json": "", runtimeFile: has("a")}, env: env{"REGISTRY_AUTH_FILE": "mine.json"}},
		"named, and not there":            {files: tree{runtimeFile: has("a")}, env: env{"REGISTRY_AUTH_FILE": "mine.json"}, missing: true},
		"named by a flag":                 {files: tree{"flag.json": has("it"), "mine.json": has("a")}, env: env{"REGISTRY_AUTH_FILE": "mine.json"}, named: "flag.json", want: "it"},
		"named by a flag, and not there":  {files: tree{"mine.json": has("a")}, env: env{"REGISTRY_AUTH_FILE": "mine.json"}, named: "flag.json", missing: true},
		"in a variable":                   {files: tree{runtimeFile: has("a")}, env: env{"=DHOW_AUTH_CONFIG": has("it"), "=DOCKER_AUTH_CONFIG": has("b")}, want: "it"},
		"in Docker's variable":            {files: tree{runtimeFile: has("a")}, env: env{"=DOCKER_AUTH_CONFIG": has("it")}, want: "it"},
		"in a variable, of another one":   {files: tree{runtimeFile: has("it")}, env: env{"=DHOW_AUTH_CONFIG": `{"auths":{"other.io":{"auth":"eDp5"}}}`}, want: "it"},
		"in a variable, for the narrow":   {env: env{"=DHOW_AUTH_CONFIG": `{"auths":{"quay.io":{"auth":"` + basic("b") + `"},"quay.io/a":{"auth":"` + basic("it") + `"}}}`}, want: "it"},
		"an empty variable":               {files: tree{runtimeFile: has("it")}, env: env{"=DHOW_AUTH_CONFIG": ""}, want: "it"},
		"a flag goes before a variable":   {files: tree{"flag.json": has("it")}, env: env{"=DHOW_AUTH_CONFIG": has("a")}, named: "flag.json", want: "it"},
		"a variable before a named file":  {files: tree{"mine.json": has("a")}, env: env{"REGISTRY_AUTH_FILE": "mine.json", "=DHOW_AUTH_CONFIG": has("it")}, want: "it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := test.files.Write(t)
			opts := Options{Root: root}
			vars := env{"HOME": filepath.Join(root, "home"), "XDG_RUNTIME_DIR": filepath.Join(root, "runtime")}
			for key, value := range test.env {
				if text, ok := strings.CutPrefix(key, "="); ok {
					vars[text] = value
				} else {
					vars[key] = filepath.Join(root, value)
				}
			}
			opts.LookupEnv = vars.Lookup
			if test.named != "" {
				opts.AuthFile = filepath.Join(root, test.named)
			}
			c, err := New(opts).Get(t.Context(), "quay.io", "a/b")
			if test.missing != errdefs.IsNotFound(err) || err != nil && !test.missing || c.Username != test.want {
				t.Errorf("got %q, %v, want %q", c.Username, err, test.want)
			}
		})
	}
}

// TestPlaces shows where files are looked for, on which system.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  env
		goos string
		want []string
	}{
		"Linux": {goos: "linux", env: env{"HOME": "/h"}, want: []string{
			"/r/run/containers/7/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg",
		}},
		"Linux with a session": {goos: "linux", env: env{"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "/x", "DOCKER_CONFIG": "/d"}, want: []string{
			"/run/user/7/containers/auth.json", "/x/containers/auth.json", "/d/config.json", "/h/.dockercfg",
		}},
		"macOS": {goos: "darwin", env: env{"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"}, want: []string{
			"/h/.config/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg",
		}},
		"Windows":          {goos: "windows", env: env{"USERPROFILE": "/u"}, want: []string{"/u/.config/containers/auth.json", "/u/.docker/config.json", "/u/.dockercfg"}},
		"Linux, no home":   {goos: "linux", want: []string{"/r/run/containers/7/auth.json"}},
		"Windows, no home": {goos: "windows"},
		"a relative XDG":   {goos: "windows", env: env{"HOME": "/h", "XDG_CONFIG_HOME": "x"}, want: []string{"/h/.config/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg"}},
	} {
		uid := 7
		e := environmentOf(Options{LookupEnv: test.env.Lookup, Root: "/r", UID: &uid})
		e.goos = test.goos
		var got []string
		for _, p := range e.places("") {
			got = append(got, filepath.ToSlash(p.path))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// TestReading shows what is done about files that cannot or should not be read.
func TestReading(t *testing.T) {
	t.Parallel()
	root := tree{"dir/x": "", "open.json": `{"auths":{"quay.io":{"auth":"` + basic(canary) + `"}}}`}.Write(t)
	if _, err := New(Options{AuthFile: filepath.Join(root, "dir")}).Get(t.Context(), "quay.io", ""); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a directory: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(Options{AuthFile: filepath.Join(root, "open.json")}).Get(cancelled, "quay.io", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	open := filepath.Join(root, "open.json")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	k := New(Options{AuthFile: open, Logger: logTo(&log)})
	for range 2 {
		if c, err := k.Get(t.Context(), "quay.io", ""); err != nil || c.Username != canary {
			t.Errorf("%q, %v", shown(c), err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "mode=-rw-r--r--") || leaks(log.String()) {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	if os.Getuid() == 0 {
		return // who may read everything
	}
	if err := os.Chmod(open, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), "quay.io", ""); !errdefs.IsPermissionDenied(err) {
		t.Errorf("forbidden: %v", err)
	}
}
