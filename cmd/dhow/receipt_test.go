package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/dhowhq/dhow/copy"
)

const schemaFile = "../../docs/receipt.schema.json"

// schema compiles docs/receipt.schema.json, or what is at a place in it.
func schema(t *testing.T, place string) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	if err := c.AddResource("receipt.schema.json", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("receipt.schema.json" + place)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// decode decodes JSON as the validator wants it.
func decode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

func TestReceiptsMatchTheirSchema(t *testing.T) {
	t.Parallel()
	s := schema(t, "")
	w := newWorld(t)
	w.must(t, "copy", "-q", "oci:layout:latest", "dir:signed")
	for name, data := range map[string]string{"signature-1": "first", "signature-2": "\x00sigstore-json\n{}"} {
		if err := os.WriteFile(filepath.Join(w.dir, "signed", name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[copy.Action]bool{}
	roles := map[string]bool{}
	for _, args := range []string{
		"oci:layout:latest oci:a:x",
		"oci:layout:latest oci:a:x", // again
		"--platform linux/arm64,linux/arm/v7 oci:layout:latest oci:b:x",
		"--platform linux/arm64 --strip oci:layout:latest oci:c:x",
		"--sparse oci:layout:sparse oci:d:x",
		"--format v2s2 --remove-signatures oci:layout:latest oci:e:x",
		"--platform linux/arm64 oci:layout:latest dir:f",
		"oci:layout:artifact oci:g:x",
		"dir:signed dir:h",
		"--remove-signatures dir:signed oci:i:x",
	} {
		w.must(t, append([]string{"copy", "-q", "--receipt", "receipt.json"}, strings.Fields(args)...)...)
		data := w.read(t, "receipt.json")
		if err := s.Validate(decode(t, data)); err != nil {
			t.Errorf("%s: %#v", args, err)
		}
		var r copy.Receipt
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Entries {
			seen[e.Action], roles[e.Role] = true, true
		}
	}
	for _, a := range []copy.Action{copy.Copied, copy.Reused, copy.Converted, copy.Edited, copy.Skipped, copy.Missing} {
		if !seen[a] {
			t.Errorf("no receipt has a descriptor that is %s", a)
		}
	}
	for _, role := range []string{"index", "manifest", "attestation", "config", "layer", "signature"} {
		if !roles[role] {
			t.Errorf("no receipt has a descriptor in the role %s", role)
		}
	}
}

func TestPlansHaveTheEntriesOfReceipts(t *testing.T) {
	t.Parallel()
	s := schema(t, "#/$defs/entry")
	w := newWorld(t)
	plan := decode(t, []byte(w.must(t, "copy", "--dry-run", "--json", "--platform", "linux/arm64", "--strip", "oci:layout:latest", "oci:x:x")))
	entries, ok := plan["descriptors"].([]any)
	if !ok || len(entries) < 10 {
		t.Fatalf("the plan has the descriptors %v", plan["descriptors"])
	}
	for _, e := range entries {
		if err := s.Validate(e); err != nil {
			t.Errorf("%v: %#v", e, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	s := schema(t, "")
	w := newWorld(t)
	good := w.must(t, "copy", "-q", "--json", "oci:layout:single", "oci:out:x")
	if err := s.Validate(decode(t, []byte(good))); err != nil {
		t.Fatalf("%#v", err)
	}
	for name, change := range map[string]func(receipt, entry map[string]any){
		"another version":             func(r, _ map[string]any) { r["version"] = 2 },
		"an unknown field":            func(r, _ map[string]any) { r["extra"] = 1 },
		"no root":                     func(r, _ map[string]any) { delete(r, "root") },
		"an unknown action":           func(_, e map[string]any) { e["action"] = "lost" },
		"a skipped one with no cause": func(_, e map[string]any) { e["action"] = "skipped" },
		"an unknown role":             func(_, e map[string]any) { e["role"] = "thing" },
		"a malformed digest":          func(_, e map[string]any) { e["digest"] = "sha256:12" },
		"a size below -1":             func(_, e map[string]any) { e["size"] = -2 },
		"no size":                     func(_, e map[string]any) { delete(e, "size") },
	} {
		receipt := decode(t, []byte(good))
		entry := receipt["descriptors"].([]any)[0].(map[string]any)
		change(receipt, entry)
		if err := s.Validate(receipt); err == nil {
			t.Errorf("a receipt with %s is accepted", name)
		}
	}
}

func TestReceiptGolden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	args := []string{"copy", "-q", "--platform", "linux/arm64,linux/arm/v7", "oci:layout:latest", "oci:out:x"}
	asJSON := w.must(t, append(args, "--json")...)
	golden(t, "receipt.json", asJSON)

	// Other ways to have it differ in nothing but what was done.
	again := w.must(t, append(args, "--receipt", "-")...)
	w.must(t, append(args, "--receipt", "receipt.json")...)
	if got := string(w.read(t, "receipt.json")); got != again {
		t.Errorf("--receipt FILE wrote\n%s\n--receipt - \n%s", got, again)
	}
	info, err := os.Stat(filepath.Join(w.dir, "receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got&0o400 == 0 || got&0o111 != 0 {
		t.Errorf("the receipt has mode %o", got)
	}
}

func TestReceiptOfAFailedCopyIsNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.WriteFile(filepath.Join(w.dir, "receipt.json"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := w.run(t, "copy", "-q", "--receipt", "receipt.json", "oci:layout:damaged", "oci:out:x"); r.code != 3 {
		t.Fatalf("got %+v", r)
	}
	if got := w.read(t, "receipt.json"); string(got) != "old" {
		t.Errorf("the old receipt became %q", got)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// The image is there even if only the receipt cannot be written, and is told.
func TestReceiptThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	w := newWorld(t)
	r := w.run(t, "copy", "-q", "--receipt", "/dev/full", "oci:layout:single", "oci:out:x")
	const want = "dhow: the image was copied, but its receipt could not be written: write /dev/full: no space left on device\n"
	if r.code != 1 || !strings.HasPrefix(r.stdout, "oci:out:x sha256:") || r.stderr != want {
		t.Errorf("got %+v", r)
	}
	if got, want := w.root(t, "oci:out:x"), w.images["single"].Digest; got != want {
		t.Errorf("the root is %s, want %s", got, want)
	}
}

// Where a receipt cannot be written, nothing is copied.
func TestReceiptIsPreparedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.run(t, "copy", "-q", "--receipt", "/proc/receipt", "oci:layout:single", "oci:out:x"); r.code != 1 || r.stdout != "" {
		t.Errorf("got %+v", r)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "out")); err == nil {
		t.Error("something was copied")
	}
}

// A pipe or device takes the receipt and is not replaced by it.
func TestReceiptToADevice(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/stderr"); err != nil {
		t.Skip(err)
	}
	w := newWorld(t)
	r := w.run(t, "copy", "-q", "--receipt", "/dev/stderr", "oci:layout:single", "oci:out:x")
	if r.code != 0 || !json.Valid([]byte(r.stderr)) || !strings.Contains(r.stderr, `"descriptors"`) {
		t.Errorf("got %+v", r)
	}
}

// A link is followed, and stays.
func TestReceiptThroughALink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := func(name string) string { return filepath.Join(w.dir, name) }
	if err := os.WriteFile(at("file"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": "file", "loose": "nothing"} {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Skip("needs symbolic links: ", err)
		}
	}
	w.must(t, "copy", "-q", "--receipt", "link", "oci:layout:single", "oci:out:x")
	if data, err := os.ReadFile(at("file")); err != nil || !json.Valid(data) {
		t.Errorf("the file has %q, %v", data, err)
	}
	if target, err := os.Readlink(at("link")); err != nil || target != "file" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if r := w.run(t, "copy", "-q", "--receipt", "loose", "oci:layout:single", "oci:out:x"); r.code == 0 {
		t.Errorf("a link to nothing: %+v", r)
	}
}

// Standard output is that by whatever name: a file keeps what it has, and a receipt or an
// archive is alone there.
func TestResultsToOwnOutput(t *testing.T) {
	t.Parallel()
	const own = "/proc/self/fd/1" // where /dev/stdout leads to
	if _, err := os.Stat(own); err != nil {
		t.Skip(err)
	}
	w := newWorld(t)
	w.must(t, "--root", "store", "pull", "-q", "oci:layout:single", "app:1")
	receipt := func(data string) bool { return json.Valid([]byte(data)) && strings.Contains(data, `"descriptors"`) }
	archive := w.must(t, "--root", "store", "save", "-q", "app:1")
	for _, tc := range []struct {
		args string
		want func(string) bool
		json string // the error with --json
	}{
		{"copy --receipt - oci:layout:single oci:out:a", receipt, "both write to standard output"},
		{"copy --receipt OWN oci:layout:single oci:out:b", receipt, "both write to standard output"},
		{"pull --receipt - oci:layout:single app:2", receipt, "both write to standard output"},
		{"pull --receipt OWN oci:layout:single app:3", receipt, "both write to standard output"},
		{"push --receipt - app:1 oci:out:c", receipt, "both write to standard output"},
		{"push --receipt OWN app:1 oci:out:d", receipt, "both write to standard output"},
		{"save app:1", func(data string) bool { return data == archive }, "the archive is on standard output"},
		{"save -o OWN app:1", func(data string) bool { return data == archive }, "the archive is on standard output"},
	} {
		args := append([]string{"--root", "store"}, strings.Fields(strings.Replace(tc.args, "OWN", own, 1)+" -q")...)
		if got, code, told := w.toFile(t, args...); code != 0 || told != "" || !tc.want(got) {
			t.Errorf("%s: exit code %d, %q, standard output has %.200q", tc.args, code, told, got)
		}
		if got, code, told := w.toFile(t, append(args, "--json")...); code != 1 || got != "" || !strings.Contains(told, tc.json) {
			t.Errorf("%s --json: exit code %d, %q, standard output has %.200q", tc.args, code, told, got)
		}
	}
}

// toFile runs the program with a file for standard output, and returns what it has more than
// before, the exit code and standard error.
func (w *world) toFile(t *testing.T, args ...string) (written string, code int, told string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const before = "before\n"
	if _, err := out.WriteString(before); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd := w.command(t, args...)
	cmd.Stdout, cmd.Stderr = out, &stderr
	_ = cmd.Run() // the exit code says it
	data, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	written, kept := strings.CutPrefix(string(data), before)
	if !kept {
		t.Errorf("%q: standard output has not kept what it had: %.200q", args, data)
	}
	return written, cmd.ProcessState.ExitCode(), stderr.String()
}

// What is left behind by who fills a file that is given up writes to it no more.
func TestFillTakesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newApp(strings.NewReader(""), io.Discard, os.Stderr, "")
	a.log = slog.New(slog.DiscardHandler)
	f, err := a.createOutput(t.Context(), filepath.Join(dir, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	stopped, left := errors.New("stopped"), make(chan error, 1)
	begun := make(chan struct{})
	err = f.fill(t.Context(), func(w io.Writer) error {
		go func() {
			for first := true; ; first = false {
				if _, err := w.Write([]byte("more")); err != nil {
					left <- err
					return
				}
				if first {
					close(begun)
				}
			}
		}()
		<-begun
		return stopped
	})
	if !errors.Is(err, stopped) {
		t.Errorf("fill: %v", err)
	}
	if err := <-left; !errors.Is(err, os.ErrClosed) {
		t.Errorf("a later write: %v", err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
