package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/internal/testimage"
)

func TestInspectGolden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "copy", "-q", "oci:layout:latest", "dir:plain")
	for name, args := range map[string]string{
		"list.txt":     "oci:layout:latest",
		"list.json":    "--json oci:layout:latest",
		"single.txt":   "oci:layout:single",
		"single.json":  "--json oci:layout:single",
		"chosen.txt":   "--platform linux/arm/v7 oci:layout:latest",
		"artifact.txt": "oci:layout:artifact",
		"sparse.txt":   "oci:layout:sparse",
		"config.json":  "--config --platform windows/amd64 oci:layout:latest",
		"dir.txt":      "dir:plain",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.run(t, append([]string{"inspect"}, strings.Fields(args)...)...)
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("got %+v", r)
			}
			golden(t, "inspect-"+name, r.stdout)
		})
	}
}

func TestInspectRawIsExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blob := func(name string) string { return string(w.store.Get(w.images[name].Digest)) }
	if got := w.must(t, "inspect", "--raw", "oci:layout:latest"); got != blob("latest") {
		t.Errorf("the list is %q", got)
	}
	if got := w.must(t, "inspect", "--raw", "--platform", "linux/amd64", "oci:layout:latest"); got != blob("single") {
		t.Errorf("the instance is %q", got)
	}
	im := inspectJSON(t, w, "oci:layout:single")
	if got := w.must(t, "inspect", "--raw", "--config", "oci:layout:single"); got != string(w.store.Get(im.Config.Digest)) {
		t.Errorf("the config is %q", got)
	}
}

func inspectJSON(t *testing.T, w *world, ref string) describe.Image {
	t.Helper()
	var im describe.Image
	if err := json.Unmarshal([]byte(w.must(t, "inspect", "--json", ref)), &im); err != nil {
		t.Fatal(err)
	}
	return im
}

// What cannot be decoded can still be looked at raw.
func TestInspectRawOfWhatIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var s testimage.Store
	const ambiguous = `{"schemaVersion":2,"manifests":[],"layers":[]}`
	desc := s.Put("application/vnd.oci.image.index.v1+json", []byte(ambiguous))
	if err := s.WriteLayout(filepath.Join(dir, "layout"), testimage.Named{Name: "x", Desc: desc}); err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir}
	if r := w.run(t, "inspect", "oci:layout:x"); r.code != 1 {
		t.Errorf("inspect: %+v", r)
	}
	if got := w.must(t, "inspect", "--raw", "oci:layout:x"); got != ambiguous {
		t.Errorf("raw is %q", got)
	}
	// But not what does not match its digest.
	if err := os.WriteFile(filepath.Join(dir, "layout/blobs/sha256", desc.Digest.Encoded()), []byte(strings.ToUpper(ambiguous)), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := w.run(t, "inspect", "--raw", "oci:layout:x"); r.code != 3 || r.stdout != "" {
		t.Errorf("raw of damaged bytes: %+v", r)
	}
}

func TestInspectConfigOfAnArtifact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.must(t, "inspect", "--config", "oci:layout:artifact"); got != "{}\n" {
		t.Errorf("the config is %q", got)
	}
}

// Of a single image the platform cannot be chosen.
func TestInspectNotesAPlatformInVain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const note = "note: this is a single image for linux/amd64: linux/s390x could not be chosen\n"
	for _, flags := range []string{"--raw", "--config", "--json"} {
		r := w.run(t, "inspect", flags, "--platform", "linux/s390x", "oci:layout:single")
		if r.code != 0 || r.stderr != note || r.stdout != w.must(t, "inspect", flags, "oci:layout:single") {
			t.Errorf("%s: got %+v", flags, r)
		}
		if r := w.run(t, "inspect", flags, "--platform", "linux/amd64", "oci:layout:single"); r.stderr != "" {
			t.Errorf("%s: standard error is %q", flags, r.stderr)
		}
	}
}

func TestInspectFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const template = `{{range .Platforms}}{{.}} {{end}}{{json .Size}}`
	if got, want := w.must(t, "inspect", "--format", template, "oci:layout:latest"),
		"linux/amd64 linux/arm64/v8 linux/arm/v7 windows(10.0.20348.1)/amd64 1707\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for template, want := range map[string]string{
		"{{.Role}}":     "index\n",
		"{{.Role}}\n":   "index\n",
		"{{.Role}}\n\n": "index\n\n",
		"{{.Attests}}":  "",
		"{{.Attests}}.": ".\n",
	} {
		if got := w.must(t, "inspect", "--format", template, "oci:layout:latest"); got != want {
			t.Errorf("%q gives %q, want %q", template, got, want)
		}
	}
}

// The digest of what inspect --raw prints is the digest that inspect says.
func TestDigestOfRaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw := w.must(t, "inspect", "--raw", "oci:layout:latest")
	if err := os.WriteFile(filepath.Join(w.dir, "raw"), []byte(raw), 0o644); err != nil {
		t.Fatal(err)
	}
	want := w.images["latest"].Digest.String() + "\n"
	if got := w.must(t, "digest", "raw"); got != want {
		t.Errorf("digest of the file is %s, want %s", got, want)
	}
	if r := w.runWith(t, raw, "digest", "-"); r.stdout != want {
		t.Errorf("digest of standard input is %+v, want %s", r, want)
	}
	got := w.must(t, "digest", "--algorithm", "sha512", "raw")
	if !strings.HasPrefix(got, "sha512:") || len(got) != len("sha512:")+128+1 {
		t.Errorf("digest is %s", got)
	}
}

// The digest of a signed schema 1 manifest is that of what was signed.
func TestDigestOfSchema1(t *testing.T) {
	t.Parallel()
	const payload = "{\n   \"schemaVersion\": 1,\n   \"name\": \"x\",\n   \"tag\": \"y\",\n   \"fsLayers\": [],\n   \"history\": []\n}"
	encode := base64.RawURLEncoding.EncodeToString
	tail := "\n}"
	body := strings.TrimSuffix(payload, tail)
	protected := encode(fmt.Appendf(nil, `{"formatLength":%d,"formatTail":%q}`, len(body), encode([]byte(tail))))
	signed := body + `,"signatures":[{"header":{"alg":"ES256"},"signature":"AAAA","protected":"` + protected + `"}]}`
	w := &world{dir: t.TempDir()}
	for _, text := range []string{payload, signed} {
		if r := w.runWith(t, text, "digest", "-"); r.stdout != digest.FromString(payload).String()+"\n" {
			t.Errorf("digest of %s: %+v", text, r)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.must(t, "version"); !strings.HasPrefix(got, "dhow v1.2.3-test, ") || strings.Count(got, "\n") != 1 {
		t.Errorf("version is %q", got)
	}
	var info buildInfo
	if err := json.Unmarshal([]byte(w.must(t, "version", "--json")), &info); err != nil {
		t.Fatal(err)
	}
	if info.Version != "v1.2.3-test" || !strings.HasPrefix(info.Go, "go1.") || !strings.Contains(info.Platform, "/") {
		t.Errorf("version is %+v", info)
	}
	if got := w.must(t, "--version"); got != "dhow version v1.2.3-test\n" {
		t.Errorf("--version is %q", got)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for shell, word := range map[string]string{"bash": "complete ", "zsh": "#compdef dhow", "fish": "complete -c dhow", "powershell": "Register-ArgumentCompleter"} {
		script := w.must(t, "completion", shell)
		if !strings.Contains(script, word) {
			t.Errorf("the script for %s has no %q", shell, word)
		}
		if bash, err := exec.LookPath("bash"); err == nil && shell == "bash" {
			check := exec.CommandContext(t.Context(), bash, "-n")
			check.Stdin = strings.NewReader(script)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("bash: %v\n%s", err, out)
			}
		}
	}
	for args, want := range map[string]string{
		"copy ":                         "dir:\ndocker:\ndocker-archive:\noci:\noci-archive:\nstore:\n",
		"copy oci:layout:latest --form": "--format",
		"copy --format ":                "oci\nv2s2\n",
		"copy --progress ":              "auto\nbars\nplain\njson\nnone\n",
		"help ":                         "completion\ncopy\ndelete\ndf\ndigest\nfsck\ngc\nhistory\nimages\nimport\ninspect\nload\nlogin\nlogout\nprune\npull\npush\nreferrers\nrepos\nrmi\nsave\nstore\ntag\ntags\nversion\n",
		"help store ":                   "info\n",
		"help copy ":                    ":4\n",
		"store ":                        "info",
		"--store ":                      "embedded\ncontainerd://\n",
		"completion ":                   "bash\nzsh\nfish\npowershell\n",
	} {
		if got := w.must(t, append([]string{"__complete"}, strings.Split(args, " ")...)...); !strings.HasPrefix(got, want) {
			t.Errorf("completions of %q are %q, want %q", args, got, want)
		}
	}
}
