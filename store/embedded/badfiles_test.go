package embedded_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// TestBadFormat: a format that says nothing is damage, whatever it is, and a repair writes
// it again.
func TestBadFormat(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	if _, err := s.Lease(t.Context(), store.Lease{ID: "kept"}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	for row, data := range map[string]string{
		"B71 no newline":         "dhow store 1",
		"B71 two lines":          "dhow store 1\ndhow store 1\n",
		"B71 a carriage return":  "dhow store 1\r\n",
		"B71 a byte order mark":  "\ufeffdhow store 1\n",
		"B71 zero":               "dhow store 0\n",
		"B71 negative":           "dhow store -1\n",
		"B71 a zero before":      "dhow store 01\n",
		"B71 a sign":             "dhow store +1\n",
		"B71 hex":                "dhow store 0x1\n",
		"B71 a fraction":         "dhow store 1.0\n",
		"B71 two spaces":         "dhow store  1\n",
		"B71 a space behind":     "dhow store 1 \n",
		"B71 upper case":         "Dhow Store 1\n",
		"B71 JSON":               `{"imageLayoutVersion":"1.0.0"}` + "\n",
		"B71 zero bytes":         "\x00\x00\x00\x00",
		"B71 empty":              "",
		"B71 another script":     "dhow store \u0661\n",
		"B71 too large":          "dhow store 1\n" + strings.Repeat(" ", 1000),
		"B71 larger than memory": "",
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			dir := copyOf(t, dir)
			path := filepath.Join(dir, "format")
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			if row == "B71 larger than memory" {
				if err := os.Truncate(path, 1<<40); err != nil {
					t.Skip("a large file without bytes:", err)
				}
			}
			s := openStore(t, dir, embedded.Options{})
			defer closeStore(t, s)
			if err := s.Degraded(); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "dhow fsck --repair") {
				t.Errorf("Degraded: %v", err)
			}
			wantFinding(t, embedded.BadFormat, check(t, s, embedded.CheckOptions{Repair: true}))
			wantSound(t, s)
			leases, err := s.Leases(t.Context())
			if err != nil || len(leases) != 1 || leases[0].ID != "kept" {
				t.Errorf("Leases: %v, %v", leases, err)
			}
		})
	}
}

// TestMisnamed: what has a name that is none in a store is not a blob, is found by a check,
// and stays, until a repair sets it aside.
func TestMisnamed(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	var d digest.Digest // in a file
	for _, d = range src.Digests() {
		if want["bytes of "+d.String()] == "ok" && len(src.Get(d)) > 64<<10 {
			break
		}
	}
	hex := d.Encoded()
	shard := hex[:2]
	for row, path := range map[string]string{
		"B73 hex in upper case":       "blobs/sha256/" + shard + "/" + shard + strings.ToUpper(hex[2:]),
		"B73 directory in upper case": "blobs/sha256/AB/" + hex,
		"B73 another directory":       "blobs/sha256/00/ff" + hex[2:],
		"B73 no directory":            "blobs/sha256/" + hex,
		"B73 no algorithm":            "blobs/" + shard + "/" + hex,
		"B73 unknown algorithm":       "blobs/md5/" + shard + "/" + hex[:32],
		"B73 another algorithm":       "blobs/sha512/" + shard + "/" + hex,
		"B73 hex is short":            "blobs/sha256/" + shard + "/" + hex[:63],
		"B73 hex is long":             "blobs/sha256/" + shard + "/" + hex + "0",
		"B73 a copy":                  "blobs/sha256/" + shard + "/" + hex + ".bak",
		"B73 a name of no text":       "blobs/sha256/" + shard + "/\xff\n\x1b[31m",
		"B74 in ingest":               "ingest/r-UPPER",
		"B74 hidden in ingest":        "ingest/.hidden",
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			dir := copyOf(t, dir)
			stray := filepath.Join(dir, filepath.FromSlash(path))
			if err := os.MkdirAll(filepath.Dir(stray), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(stray, src.Get(d), 0o600); err != nil {
				t.Skip(err) // not a name on this file system
			}
			s := openStore(t, dir, embedded.Options{})
			defer closeStore(t, s)
			wantAnswers(t, "with a stray file", want, answers(t, s, src))
			if _, err := store.Collect(t.Context(), s); err != nil {
				t.Error("Collect:", err)
			}
			wantFinding(t, embedded.Stray, check(t, s, embedded.CheckOptions{}))
			if _, err := os.Stat(stray); err != nil {
				t.Errorf("the file has gone: %v", err)
			}
			wantFinding(t, embedded.Stray, check(t, s, embedded.CheckOptions{Repair: true}))
			if n := files(t, filepath.Join(dir, "bad"), string(src.Get(d))); n != 1 {
				t.Errorf("%d files were set aside; want 1", n)
			}
			wantAnswers(t, "without the stray file", want, answers(t, s, src))
			wantSound(t, s)
		})
	}
}

// files counts the files below a directory that have these bytes.
func files(t *testing.T, dir, data string) (n int) {
	t.Helper()
	for _, file := range treeOf(t, dir) {
		if _, has, _ := strings.Cut(file, " "); has == data {
			n++
		}
	}
	return n
}

// TestForeignDirectory: a directory that is somebody else's is refused, and not touched.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	for row, tree := range map[string][]string{
		"B74 a file":                {"notes.txt"},
		"B74 a hidden file":         {".git/config"},
		"B74 an OCI layout":         {"oci-layout", "index.json", "blobs/sha256/ab/c"},
		"B74 a store of containerd": {"io.containerd.content.v1.content/blobs/sha256/x", "io.containerd.metadata.v1.bolt/meta.db"},
		"B74 a store of Docker":     {"image/overlay2/repositories.json"},
		"B74 a name like ours":      {"Format", "catalog.db.bak"},
	} {
		dir := t.TempDir()
		for _, name := range tree {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("theirs"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		before := treeOf(t, dir)
		for _, opts := range []embedded.Options{{}, {ReadOnly: true}} {
			s, err := embedded.Open(t.Context(), dir, opts)
			if !errdefs.IsFailedPrecondition(err) && !(opts.ReadOnly && errdefs.IsNotFound(err)) {
				t.Errorf("%s: Open: %v, %v; want a refusal", row, s, err)
			}
		}
		wantAnswers(t, row, before, treeOf(t, dir))
	}
}

// TestForeignFiles: files of others in the directory of a store do no harm, and stay, until
// a repair sets them aside.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	theirs := []string{"README", ".nfs0001", "tmp/x", "catalog.db-journal", "journal/README", "journal/1.log", "bad/README"}
	for _, name := range theirs {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Error("Collect:", err)
	}
	wantFinding(t, embedded.Stray, check(t, s, embedded.CheckOptions{}))
	wantAnswers(t, "B74 with files of others", want, answers(t, s, src))
	for _, name := range theirs {
		if data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || string(data) != "theirs" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	check(t, s, embedded.CheckOptions{Repair: true})
	wantSound(t, s)
	if n := files(t, dir, "theirs"); n != len(theirs) {
		t.Errorf("%d files of others are left; want %d", n, len(theirs))
	}
}

// TestHardLink: a blob that has another name outside is read as any other; nothing that
// the store does changes what is outside.
func TestHardLink(t *testing.T) {
	t.Parallel()
	dir, src, want := sampled(t)
	i := slices.IndexFunc(src.nodes, func(n *image.Node) bool {
		return len(src.Get(n.Desc.Digest)) > 64<<10 && want["bytes of "+n.Desc.Digest.String()] == "ok"
	})
	node := src.nodes[i]
	hex := node.Desc.Digest.Encoded()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Link(filepath.Join(dir, "blobs/sha256", hex[:2], hex), outside); err != nil {
		t.Skip(err)
	}
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	wantAnswers(t, "B72 with a hard link", want, answers(t, s, src))
	damaged := slices.Clone(src.Get(node.Desc.Digest))
	damaged[1] ^= 1
	if err := os.WriteFile(outside, damaged, 0o600); err != nil { // the same file
		t.Fatal(err)
	}
	if got := read(t, s, src, node.Desc.Digest); got != "data loss" {
		t.Errorf("B72 hard link, damaged from outside: %s", got)
	}
	b, lease := newBatch(t, s)
	src.put(t, b, node.Desc, node.Role)
	if _, err := b.Publish(t.Context()); err != nil {
		t.Error("Publish:", err)
	}
	closeStore(t, b)
	if err := s.Release(t.Context(), lease); err != nil {
		t.Error(err)
	}
	wantAnswers(t, "B72 hard link, written again", want, answers(t, s, src))
	if data, err := os.ReadFile(outside); err != nil || !slices.Equal(data, damaged) {
		t.Errorf("what is outside has changed: %d bytes, %v", len(data), err)
	}
	wantSound(t, s)
}
