package hosts

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/ref"
)

func FuzzRegistriesConf(f *testing.F) {
	for _, seed := range []string{
		"", "]", "[registries.search]\nregistries = ['a.b']",
		"unqualified-search-registries = ['a.b']\ncredential-helpers = ['pass']\nshort-name-mode = 'enforcing'\n[aliases]\na = 'b.c/d'",
		"[[registry]]\nprefix = 'example.com/a:v1'\nlocation = 'b.c/d:v2'\ninsecure = true\n[[registry.mirror]]\nlocation = 'e.f:5000'\npull-from-mirror = 'tag-only'",
		"[[registry]]\nprefix = '*.com'\nmirror = [{location = '[::1]:5000', insecure = true}]",
		"[[registry]]\nlocation = 'example.com/a@" + digest1 + "'\nblocked = true",
	} {
		f.Add(seed, "example.com/a:v1")
	}
	f.Fuzz(func(t *testing.T, conf, image string) {
		parsed, err := parseRegistries("registries.conf", []byte(conf), slog.New(slog.DiscardHandler))
		if err != nil {
			if !strings.Contains(err.Error(), "registries.conf") {
				t.Errorf("the error names no file: %v", err)
			}
			return
		}
		for _, r := range parsed.registries {
			for _, n := range []name{r.prefix, r.location} {
				n.host = strings.TrimPrefix(n.host, wildcard)
				if n.host == "" {
					continue
				}
				if again, err := parseLocation(n.String()); err != nil || again != n {
					t.Errorf("%q is read as %v, and then as %v, %v", conf, n, again, err)
				}
			}
		}
		c := &Config{conf: parsed, opts: Options{Logger: slog.New(slog.DiscardHandler)}, dirs: map[string]hostDir{}}
		checkEndpoints(t, c, image)
	})
}

func FuzzHostsTOML(f *testing.F) {
	for _, seed := range []string{
		"", "]", "server = 'https://a.b'", "capabilities = ['pull']\n[host.'http://a.b:5000/c']\nskip_verify = true\noverride_path = true",
		"ca = 'a'\nclient = [['a', 'b'], 'c']\ndial_timeout = '1s'\nproxy = 'http://a.b'\n[header]\na = ['b']\n[host.'a.b'.header]\nc = 'd'",
	} {
		f.Add(seed, "example.com/a:v1")
	}
	log := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, conf, image string) {
		h, err := parseHosts("hosts.toml", []byte(conf), log)
		if err != nil {
			if !strings.Contains(err.Error(), "hosts.toml") {
				t.Errorf("the error names no file: %v", err)
			}
			return
		}
		dirs := map[string]hostDir{"example.com": {exists: true, hosts: &h}}
		checkEndpoints(t, &Config{opts: Options{Logger: log}, dirs: dirs}, image)
	})
}

// checkEndpoints checks what holds for all endpoints of a name.
func checkEndpoints(t *testing.T, c *Config, image string) {
	t.Helper()
	r, err := ref.Parse(image)
	if err != nil {
		return
	}
	for _, use := range []Use{Pull, Push, List, Delete} {
		endpoints, err := c.Endpoints(r, use)
		if err != nil {
			continue
		}
		if len(endpoints) == 0 || use != Pull && len(endpoints) != 1 {
			t.Errorf("%d endpoints to %s", len(endpoints), use)
		}
		for _, e := range endpoints {
			switch {
			case e.Scheme != "https" && (e.Scheme != "http" || e.PlainHTTP):
				t.Errorf("scheme %q", e.Scheme)
			case e.Prefix != "" && (e.Prefix[0] != '/' || strings.HasSuffix(e.Prefix, "/") || strings.ContainsAny(e.Prefix, "?#\r\n ")):
				t.Errorf("prefix %q", e.Prefix)
			}
			if _, err := parseHost(e.Host); err != nil {
				t.Errorf("host %q: %v", e.Host, err)
			}
			if err := ref.ValidName(e.Path); err != nil {
				t.Error(err)
			}
			if e.Tag != "" && ref.ValidTag(e.Tag) != nil {
				t.Errorf("tag %q", e.Tag)
			}
		}
	}
}
