package blackbox_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/internal/testarchive"
)

// rootFS is a file system with one file, as a tar archive.
func rootFS(t *testing.T, content string) []byte {
	t.Helper()
	return testarchive.Archive{{Name: "file", Data: content}}.Pack(t)
}

// A file system becomes an image with the changes, from a file and from standard input.
func TestImport(t *testing.T) {
	t.Parallel()
	d := &desk{local: local{dir: filepath.Join(t.TempDir(), "store")}}
	file := filepath.Join(t.TempDir(), "root.tar")
	if err := os.WriteFile(file, rootFS(t, "one"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := d.must(t, "import", "--platform", "linux/arm64", "-c", `CMD ["/file", "x"]`, "--change", "ENV A=b", "-m", "made by hand", file, "app:1")
	name, id, ok := strings.Cut(strings.TrimSpace(out), " ")
	if !ok || name != "app:1" {
		t.Fatalf("import printed %q", out)
	}
	want := id + ` linux/arm64 [/file x] [A=b]` + "\n"
	if got := d.must(t, "inspect", "--format", "{{.ID}} {{.Details.Platform}} {{.Details.Cmd}} {{.Details.Env}}", "app:1"); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	if got := d.must(t, "history", "--format", "{{.Comment}}", "app:1"); got != "made by hand\n" {
		t.Errorf("the history says %q", got)
	}
	r := d.with(t, rootFS(t, "two"), "import", "-", "app:1")
	wantOutcome(t, "standard input", r, 0, []string{"app:1 sha256:"}, []string{"note: what app:1 was before, " + id + ", has no name any more\n"})
	var report struct {
		Name, DiffID  string
		Target, Layer struct{ Digest string }
	}
	r = d.with(t, rootFS(t, "three"), "import", "--json", "-")
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || report.Name != "" || !strings.HasPrefix(report.DiffID, "sha256:") || report.Layer.Digest == "" {
		t.Errorf("%v, %+v", err, r)
	}
	if got := d.must(t, "images", "-q", "--no-trunc", "--filter", "dangling=true"); !strings.Contains(got, report.Target.Digest) || !strings.Contains(got, id) {
		t.Errorf("without a name are %q", got)
	}
	for name, tc := range map[string]struct {
		input []byte
		args  []string
		code  int
		says  string
	}{
		"no such file":       {nil, []string{"nowhere.tar"}, 2, `no file "nowhere.tar"`},
		"nothing":            {nil, []string{"-", "x"}, 1, "invalid argument"},
		"no tar archive":     {bytes.Repeat([]byte("x"), 2000), []string{"-", "x"}, 1, "invalid argument"},
		"a change of others": {rootFS(t, "x"), []string{"-c", "RUN x", "-", "x"}, 1, "invalid argument"},
		"a digest":           {rootFS(t, "x"), []string{"-", "x@" + id}, 1, "cannot import digest reference"},
		"no platform":        {rootFS(t, "x"), []string{"--platform", "/", "-"}, 1, "--platform: "},
	} {
		r := d.with(t, tc.input, append([]string{"import"}, tc.args...)...)
		if r.code != tc.code || r.out != "" || !strings.Contains(r.errors, tc.says) {
			t.Errorf("%s: %+v, want exit code %d and %q", name, r, tc.code, tc.says)
		}
	}
	wantOutcome(t, "fsck", d.dhow(t, "fsck"), 0, []string{"nothing is wrong"}, nil)
}
