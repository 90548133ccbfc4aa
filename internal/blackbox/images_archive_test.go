package blackbox_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/internal/testarchive"
)

// with runs the binary on the store with that on its standard input.
func (d *desk) with(t *testing.T, input []byte, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), dhow, append([]string{"--root", d.dir}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	return result(t, cmd)
}

// beside returns the same desk with an empty store.
func (d *desk) beside(t *testing.T) *desk {
	t.Helper()
	return &desk{local: local{dir: filepath.Join(t.TempDir(), "store")}}
}

// What is saved is loaded with the same IDs, from a file, a pipe, and compressed.
func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--all")
	d.must(t, "tag", "app:1", "example.com/app:2")
	index, file := d.index.Digest.String(), filepath.Join(t.TempDir(), "images.tar")
	wantOutcome(t, "save", d.dhow(t, "save", "-q", "-o", file, "app:1", "example.com/app"), 0, []string{"app:1, example.com/app:2 " + index + " whole\n"}, nil)
	saved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.must(t, "save", "-q", "app:1", "example.com/app"); got != string(saved) {
		t.Errorf("standard output has %d bytes, the file %d: they differ", len(got), len(saved))
	}
	for what, load := range map[string]func(o *desk) outcome{
		"a file":     func(o *desk) outcome { return o.dhow(t, "load", "-q", "-i", file) },
		"a pipe":     func(o *desk) outcome { return o.with(t, saved, "load", "-q") },
		"compressed": func(o *desk) outcome { return o.with(t, testarchive.Gzip(t, saved), "load", "-q", "-i", "-") },
	} {
		o := d.beside(t)
		wantOutcome(t, what, load(o), 0, []string{"Loaded image: app:1\nLoaded image: example.com/app:2\n"}, nil)
		if got := o.must(t, "images", "-q", "--no-trunc"); got != index+"\n" {
			t.Errorf("%s: the images are %q, want %s", what, got, index)
		}
		wantOutcome(t, what+": fsck", o.dhow(t, "fsck"), 0, []string{"nothing is wrong"}, nil)
	}
}

// What is saved of a part of an image is said, and is as it was asked for.
func TestSavePart(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	index, arm64, file := d.index.Digest.String(), d.arch["arm64"].Digest.String(), filepath.Join(t.TempDir(), "images.tar")
	for _, tc := range []struct {
		args, out, note string
	}{
		{"app:1", " pruned list\n", "without 3 of the 5 manifests was saved in the place of the list " + index},
		{"--index whole app:1", "app:1 " + index + " sparse list\n", "list " + index + " was saved as it is, without 3 of its 5 manifests"},
		{"--platform linux/arm64 app:1", "app:1 " + arm64 + " one manifest\n", "was saved in the place of the list " + index},
		{"--platform linux/arm64 " + d.index.Digest.Encoded()[:12], "<none> " + arm64 + " one manifest\n", "note: "},
	} {
		r := d.dhow(t, append([]string{"save", "-q", "-o", file}, strings.Fields(tc.args)...)...)
		if r.code != 0 || !strings.HasSuffix(r.out, tc.out) || !strings.Contains(r.errors, tc.note) {
			t.Errorf("save %s: %+v, want %q and %q", tc.args, r, tc.out, tc.note)
		}
	}
	var report []struct {
		Names []string
		Part  string
		Left  []json.RawMessage
	}
	if err := json.Unmarshal([]byte(d.must(t, "save", "-q", "--json", "-o", file, "app:1")), &report); err != nil || len(report) != 1 || report[0].Part != "pruned list" || len(report[0].Left) != 3 {
		t.Errorf("%v, %+v", err, report)
	}
	d.must(t, "tag", "app:1", d.image)
	out := d.must(t, "save", "-q", "--index", "completed", "--tls-verify=false", "-o", file, d.image)
	if want := d.image + " " + index + " whole\n"; out != want {
		t.Errorf("completed: %q, want %q", out, want)
	}
}

func TestSaveFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	dir := t.TempDir()
	file := filepath.Join(dir, "images.tar")
	if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, args string
		code       int
		says       string
	}{
		{"no such image", "-o " + file + " app:1 nope", 2, "No such image: nope:latest"},
		{"no such platform", "-o " + file + " --platform linux/amd64 app:1", 2, "no suitable export target found for platform linux/amd64"},
		{"nothing", "-o " + file, 1, "save takes 1 or more arguments"},
		{"an unknown way", "-o " + file + " --index half app:1", 1, `--index: unknown way "half"`},
		{"a registry for nothing", "-o " + file + " --creds a:b app:1", 1, "without --index completed: --creds goes with docker: only"},
		{"JSON beside the archive", "--json app:1", 1, "--json goes with --output"},
		{"no such directory", "-o " + filepath.Join(dir, "no", "x.tar") + " app:1", 1, "the archive: "},
		{"a directory", "-o " + dir + " app:1", 1, "is a directory"},
	} {
		r := d.dhow(t, append([]string{"save", "-q"}, strings.Fields(tc.args)...)...)
		if r.code != tc.code || r.out != "" || !strings.Contains(r.errors, tc.says) {
			t.Errorf("%s: %+v, want exit code %d and %q", tc.name, r, tc.code, tc.says)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "before" {
		t.Errorf("the file became %q, %v", data, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A name that is another image's here stays there, unless it is to be replaced.
func TestLoadNames(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	index, arm64, file := d.index.Digest.String(), d.arch["arm64"].Digest.String(), filepath.Join(t.TempDir(), "images.tar")
	d.must(t, "save", "-q", "--platform", "linux/arm64", "-o", file, "app:1")
	wantOutcome(t, "taken", d.dhow(t, "load", "-q", "-i", file), 0, []string{"Loaded image ID: " + arm64 + "\n"}, []string{"note: the archive says that app:1 is " + arm64 + "; here it is " + index + ", and stays so\n"})
	wantOutcome(t, "another name", d.dhow(t, "load", "-q", "-i", file, "--name", "other"), 0, []string{"Loaded image: other:latest\n"}, nil)
	wantOutcome(t, "replaced", d.dhow(t, "load", "-q", "-i", file, "--replace"), 0, []string{"Loaded image: app:1\n"}, []string{"note: what app:1 was before, " + index + ", has no name any more\n"})
	var report struct {
		Images []struct {
			Names, Kept []string
			Reused      int
		}
	}
	if err := json.Unmarshal([]byte(d.must(t, "load", "-q", "--json", "-i", file)), &report); err != nil || len(report.Images) != 1 || report.Images[0].Names[0] != "app:1" || report.Images[0].Reused == 0 {
		t.Errorf("%v, %+v", err, report)
	}
	for name, tc := range map[string]struct {
		input []byte
		args  string
		code  int
		says  string
	}{
		"no such file":     {nil, "-i nowhere.tar", 2, `no file "nowhere.tar"`},
		"nothing":          {nil, "", 1, "invalid argument"},
		"no archive":       {bytes.Repeat([]byte("x"), 5000), "", 1, "archive"},
		"no such platform": {nil, "--platform linux/mips -i " + file, 2, "no images providing the requested platform(s) found"},
	} {
		r := d.with(t, tc.input, append([]string{"load", "-q"}, strings.Fields(tc.args)...)...)
		if r.code != tc.code || r.out != "" || !strings.Contains(r.errors, tc.says) {
			t.Errorf("%s: %+v, want exit code %d and %q", name, r, tc.code, tc.says)
		}
	}
}
