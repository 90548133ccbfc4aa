package blackbox_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// What is here of each platform is shown by name, by ID, and by the ID of a part.
func TestInspectLocal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	arm64 := d.arch["arm64"].Digest
	for ref, matched := range map[string]string{
		"app:1": "name", d.index.Digest.Encoded()[:12]: "target", d.index.Digest.String(): "target", "app@" + d.index.Digest.String(): "target",
		arm64.Encoded()[:8]: "manifest",
	} {
		var got struct {
			ID, Manifest digest.Digest
			Matched      string
			Names        []string
			Config       json.RawMessage
			Details      struct{ Platform string }
			Instances    []struct{ Platform, Kind, Presence string }
		}
		if err := json.Unmarshal([]byte(d.must(t, "inspect", "--json", ref)), &got); err != nil {
			t.Fatal(err)
		}
		var here []string
		for _, i := range got.Instances {
			here = append(here, i.Platform+" "+i.Kind+" "+i.Presence)
		}
		const want = "linux/amd64 image absent, linux/arm64 image complete, linux/s390x image absent, unknown/unknown attestation absent, unknown/unknown attestation complete"
		if got.ID != d.index.Digest || got.Manifest != arm64 || got.Matched != matched || got.Details.Platform != "linux/arm64" || strings.Join(here, ", ") != want {
			t.Errorf("%s: %+v", ref, got)
		}
		if len(got.Names) != 2 || got.Names[0] != "app:1" || got.Names[1] != "app@"+d.index.Digest.String() {
			t.Errorf("%s: the names are %q", ref, got.Names)
		}
	}
	wantOutcome(t, "tree", d.dhow(t, "inspect", "app:1"), 0, []string{
		"app:1\n" + d.index.Digest.String() + "\nOCI index, ", " in the embedded store\n", "─ name  app:1\n", "─ linux/amd64  " + d.arch["amd64"].Digest.String() + "  absent\n",
		"─ linux/arm64  " + arm64.String() + "  ", "─ platform  linux/arm64\n", "─ attestation  ",
	}, nil)
	wantOutcome(t, "template", d.dhow(t, "inspect", "--format", "{{.ID}} {{len .Instances}} {{.Details.Cmd}}", "app:1"), 0, []string{d.index.Digest.String() + ` 5 [/file]` + "\n"}, nil)
}

// The bytes are printed as they are.
func TestInspectLocalRaw(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	arm64 := d.arch["arm64"].Digest
	for _, tc := range []struct {
		args string
		want digest.Digest
	}{
		{"--raw app:1", d.index.Digest},
		{"--raw --platform linux/arm64 app:1", arm64},
		{"--raw " + arm64.Encoded()[:10], arm64},
		{"--raw --config app:1", d.manifest(t, d.arch["arm64"]).Config.Digest},
		{"--raw store:app:1", d.index.Digest},
	} {
		if got := d.must(t, append([]string{"inspect"}, strings.Fields(tc.args)...)...); got != string(d.src.Get(tc.want)) {
			t.Errorf("inspect %s printed\n%s\nwant\n%s", tc.args, got, d.src.Get(tc.want))
		}
	}
	if got := d.must(t, "inspect", "--config", "--platform", "linux/arm64", "app:1"); !bytes.Contains([]byte(got), []byte("\n  \"architecture\": \"arm64\"")) {
		t.Errorf("config: %s", got)
	}
}

func TestInspectLocalFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	for _, tc := range []struct {
		args string
		code int
		says string
	}{
		{"nope", 2, "No such image: nope:latest: not found; as an image in a registry it is docker://nope\n"},
		{"--raw nope", 2, "No such image: nope:latest: not found; as an image in a registry it is docker://nope\n"},
		{"--platform linux/amd64 app:1", 2, "was found but does not provide the specified platform (linux/amd64): no such platform (complete: linux/arm64; absent: linux/amd64, linux/s390x; no images: 2): not found\n"},
		{"--config --platform linux/amd64 app:1", 2, "was found but does not provide the specified platform (linux/amd64)"},
		{"--raw " + d.arch["amd64"].Digest.Encoded()[:12], 2, "not in the store"},
		{"--creds a:b app:1", 1, "--creds goes with docker: only"},
		{"UPPER", 1, "invalid argument"},
	} {
		r := d.dhow(t, append([]string{"inspect"}, strings.Fields(tc.args)...)...)
		if r.code != tc.code || r.out != "" || !strings.Contains(r.errors, tc.says) {
			t.Errorf("inspect %s: %+v, want exit code %d and %q", tc.args, r, tc.code, tc.says)
		}
	}
}
