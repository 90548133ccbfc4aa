package tools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrepare(t *testing.T) {
	t.Parallel()
	source := Place{Host: "127.0.0.1:1", Repository: "from", Tag: "v1"}
	target := Place{Host: "127.0.0.1:2", Repository: "to", Tag: "v1"}
	layout := Place{Layout: "/l", Tag: "v1"}
	between := Copy{From: source, To: target}
	one := Copy{From: source, To: target, Platform: "linux/arm64"}
	tests := map[string]struct {
		id   string
		copy Copy
		want string
	}{
		"dhow between registries": {"dhow", between, "dhow copy --x --src-tls-verify=false --dest-tls-verify=false docker://127.0.0.1:1/from:v1 docker://127.0.0.1:2/to:v1"},
		"dhow to a layout":        {"dhow", Copy{From: source, To: layout}, "dhow copy --x --src-tls-verify=false docker://127.0.0.1:1/from:v1 oci:/l:v1"},
		"dhow from a layout":      {"dhow", Copy{From: layout, To: target}, "dhow copy --x --dest-tls-verify=false oci:/l:v1 docker://127.0.0.1:2/to:v1"},
		"dhow, one platform":      {"dhow", one, "dhow copy --x --src-tls-verify=false --dest-tls-verify=false --platform linux/arm64 docker://127.0.0.1:1/from:v1 docker://127.0.0.1:2/to:v1"},
		"dhow, all tags": {"dhow", Copy{From: source, To: target, Tags: []string{"a", "b"}},
			"/bin/sh -ec '/bin/dhow' 'copy' '--x' '--src-tls-verify=false' '--dest-tls-verify=false' 'docker://127.0.0.1:1/from:a' 'docker://127.0.0.1:2/to:a' \n" +
				"'/bin/dhow' 'copy' '--x' '--src-tls-verify=false' '--dest-tls-verify=false' 'docker://127.0.0.1:1/from:b' 'docker://127.0.0.1:2/to:b' \n"},
		"crane between registries":           {"crane", between, "crane copy 127.0.0.1:1/from:v1 127.0.0.1:2/to:v1"},
		"crane to a layout":                  {"crane", Copy{From: source, To: layout}, "crane pull --format=oci 127.0.0.1:1/from:v1 /l"},
		"crane from a layout":                {"crane", Copy{From: layout, To: target}, "crane push /l 127.0.0.1:2/to:v1"},
		"crane tuned":                        {"crane-16", between, "crane copy --jobs 16 127.0.0.1:1/from:v1 127.0.0.1:2/to:v1"},
		"crane tuned, from a layout as ever": {"crane-16", Copy{From: layout, To: target}, "crane push /l 127.0.0.1:2/to:v1"},
		"crane, one platform":                {"crane", one, "crane --platform linux/arm64 copy 127.0.0.1:1/from:v1 127.0.0.1:2/to:v1"},
		"crane, all tags":                    {"crane-16", Copy{From: source, To: target, Tags: []string{"a"}}, "crane copy --all-tags --jobs 16 127.0.0.1:1/from 127.0.0.1:2/to"},
		"regctl to a layout":                 {"regctl", Copy{From: source, To: layout}, "regctl image copy 127.0.0.1:1/from:v1 ocidir:///l:v1"},
		"regctl, all tags":                   {"regctl-16", Copy{From: source, To: target, Tags: []string{"a"}}, "regctl repo copy --concurrent 16 127.0.0.1:1/from 127.0.0.1:2/to"},
		"oras tuned":                         {"oras-16", between, "oras -concurrency 16 docker://127.0.0.1:1/from:v1 docker://127.0.0.1:2/to:v1"},
		"skopeo, one platform":               {"skopeo", one, "skopeo -platform linux/arm64 docker://127.0.0.1:1/from:v1 docker://127.0.0.1:2/to:v1"},
	}
	tools := map[string]Tool{"dhow": Dhow("dhow", "/bin/dhow", "--x")}
	for _, tool := range Peers() {
		tools[tool.ID] = tool
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := filepath.Join(t.TempDir(), "state")
			if err := os.MkdirAll(filepath.Join(state, "home", "remembered"), 0o755); err != nil {
				t.Fatal(err)
			}
			run, err := tools[tc.id].Prepare("/bin", state, tc.copy)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(strings.Join(run.Argv, " "), "/bin/"); got != strings.TrimPrefix(tc.want, "/bin/") {
				t.Errorf("it runs\n%s\nwant\n%s", got, tc.want)
			}
			if _, err := os.Stat(filepath.Join(state, "home", "remembered")); err == nil {
				t.Error("the home directory is an old one")
			}
		})
	}
}

func TestRegctlConfig(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"regctl":    `{"hosts":{"h:1":{"tls":"disabled","hostname":"h:1"}}}`,
		"regctl-16": `{"hosts":{"h:1":{"tls":"disabled","hostname":"h:1","reqConcurrent":16}}}`,
	} {
		for _, tool := range Peers() {
			if tool.ID != id {
				continue
			}
			run, err := tool.Prepare("/bin", t.TempDir(), Copy{From: Place{Host: "h:1"}, To: Place{Layout: "/l"}})
			if err != nil {
				t.Fatal(err)
			}
			path, _ := strings.CutPrefix(run.Env[len(run.Env)-1], "REGCTL_CONFIG=")
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("%s is configured with %s, %v; want %s", id, got, err, want)
			}
		}
	}
}
