package blobfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// TestResumeAfterAnyByte leaves an Ingest as a process does that is killed, with so many
// bytes written, and goes on with it in another Dir.
func TestResumeAfterAnyByte(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	data := randomBytes(1, 3*Small)
	cuts := []int{0, 1, Small - 1, Small, Small + 1, len(data) - 1, len(data)}
	for range 20 {
		cuts = append(cuts, random.IntN(len(data)))
	}
	for _, cut := range cuts {
		t.Run(fmt.Sprintf("%d, seed %d", cut, seed), func(t *testing.T) {
			t.Parallel()
			killed, dir := newDir(t)
			in := create(t, killed, "ref")
			for part := range pieces(data[:cut], 7_000) {
				if _, err := in.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			want := cut
			if cut <= Small {
				want = 0 // it was in memory
			}
			d := openDir(t, dir)
			again := create(t, d, "ref")
			wantOffset(t, again, int64(want))
			if _, err := again.Write(data[want:]); err != nil {
				t.Fatal(err)
			}
			if err := again.Verify(t.Context(), digest.FromBytes(data), int64(len(data))); err != nil {
				t.Fatal(err)
			}
			if err := d.Publish(t.Context(), []*Ingest{again}); err != nil {
				t.Fatal(err)
			}
			wantBlob(t, d, data)
		})
	}
}

// pieces yields data in parts of n bytes.
func pieces(data []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(data) > 0 {
			part := data[:min(n, len(data))]
			if !yield(part) {
				return
			}
			data = data[len(part):]
		}
	}
}

func TestCloseKeepsAndAbortRemoves(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, Small, Small + 1, stateMin} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			d, dir := newDir(t)
			data := randomBytes(2, size+1)
			in := create(t, d, "ref")
			if _, err := in.Write(data[:size]); err != nil {
				t.Fatal(err)
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			in = create(t, d, "ref")
			wantOffset(t, in, int64(size))
			if _, err := in.Write(data[size:]); err != nil {
				t.Fatal(err)
			}
			if err := in.Verify(t.Context(), digest.FromBytes(data), int64(len(data))); err != nil {
				t.Fatal(err)
			}
			if got, ok := in.Bytes(); ok != (len(data) <= Small) || ok && !bytes.Equal(got, data) {
				t.Errorf("Bytes: %d, %v", len(got), ok)
			}
			if err := in.Abort(); err != nil {
				t.Error(err)
			}
			wantTree(t, dir)
		})
	}
}

// keepState leaves an Ingest with a state, and returns the name of its file.
func keepState(t *testing.T, dir string, data []byte) string {
	t.Helper()
	d := openDir(t, dir)
	in := create(t, d, "ref")
	if _, err := in.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil { // waits for it
		t.Fatal(err)
	}
	name := filepath.Join(dir, ingestName, nameOf("ref"))
	if note, err := os.ReadFile(name + noteSuffix); err != nil || !bytes.Contains(note, []byte("\nstate sha256 8388608 ")) {
		t.Fatalf("the sidecar has no state: %s %v", note, err)
	}
	return name
}

func TestHashStateIsTrustedOnlyIfAllAgrees(t *testing.T) {
	t.Parallel()
	data := randomBytes(3, stateMin)
	note := func(change func(string) string) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			t.Helper()
			was, err := os.ReadFile(name + noteSuffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name+noteSuffix, []byte(change(string(was))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, row := range map[string]struct {
		change  func(t *testing.T, name string)
		trusted bool
	}{
		"as it was": {func(*testing.T, string) {}, true},
		"no sidecar": {func(t *testing.T, name string) {
			t.Helper()
			if err := os.Remove(name + noteSuffix); err != nil {
				t.Fatal(err)
			}
		}, false},
		"empty sidecar": {note(func(string) string { return "" }), false},
		"torn sidecar":  {note(func(s string) string { return s[:len(s)-10] }), false},
		"flipped state": {note(func(s string) string { return s[:150] + string(s[150]^1) + s[151:] }), false},
		"longer":        {note(func(s string) string { return s + "x" }), false},
		"sum of another": {note(func(string) string {
			return string(note1("another ref").encode())
		}), false},
		"state that is none, with the right sum": {note(func(s string) string {
			n, err := decodeNote([]byte(s))
			if err != nil {
				t.Error(err)
			}
			n.state = n.state[:50]
			return string(n.encode())
		}), false},
		"changed bytes, of the same length": {func(t *testing.T, name string) {
			t.Helper()
			overwrite(t, name, []byte("x"), 1000)
		}, false},
		"changed bytes, with the time put back": {func(t *testing.T, name string) {
			t.Helper()
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, name, []byte("x"), 1000)
			if err := os.Chtimes(name, time.Now(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, false},
		"other file of the same bytes": {func(t *testing.T, name string) {
			t.Helper()
			if err := os.WriteFile(name+"x", data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(name+"x", name); err != nil {
				t.Fatal(err)
			}
		}, false},
		"shorter": {func(t *testing.T, name string) {
			t.Helper()
			if err := os.Truncate(name, stateMin-1); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := keepState(t, dir, data)
			row.change(t, file)
			there, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := openDir(t, dir)
			in := create(t, d, "ref")
			if trusted := in.hashed > 0; trusted != row.trusted {
				t.Errorf("the state was trusted: %v, want %v", trusted, row.trusted)
			}
			if got, err := in.Digest(t.Context(), ""); got != digest.FromBytes(there) || err != nil {
				t.Errorf("Digest: %s, %v; want that of the file, %s", got, err, digest.FromBytes(there))
			}
		})
	}
}

func note1(ref string) note { return note{ref: ref, started: time.Unix(1, 2)} }

func overwrite(t *testing.T, name string, data []byte, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

func TestStateGoesOn(t *testing.T) {
	t.Parallel()
	data := randomBytes(4, stateMin+100)
	dir := t.TempDir()
	keepState(t, dir, data[:stateMin])
	d := openDir(t, dir)
	in := create(t, d, "ref")
	if err := in.Fill(t.Context(), digest.FromBytes(data), int64(len(data)), opens(data)); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), []*Ingest{in}); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, d, data)
	hex := digest.FromBytes(data).Encoded()
	wantTree(t, dir, "blobs/sha256/"+hex[:2]+"/"+hex)
}

func FuzzNote(f *testing.F) {
	n := note{ref: "a\nb\"", started: time.Unix(0, -5), algorithm: digest.SHA256, of: identity{inode: 7, size: 3, modified: -1, changed: 2}, state: []byte{1, 2}}
	f.Add([]byte(""))
	f.Add(n.encode())
	f.Add(note1("sha256:x").encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := decodeNote(data)
		if err != nil {
			return
		}
		again, err := decodeNote(n.encode())
		if err != nil || again.ref != n.ref || !again.started.Equal(n.started) || again.of != n.of ||
			again.algorithm != n.algorithm || !bytes.Equal(again.state, n.state) {
			t.Errorf("%q is %+v, and written and read again %+v (%v)", data, n, again, err)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, ref := range []string{"", "ref", "sha256:abc", "Ref", "%41", "../x", "\xff", string(make([]byte, MaxRef))} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if ref, ok := refOf(s); ok && nameOf(ref) != s {
			t.Errorf("%q is of %q, which gives %q", s, ref, nameOf(ref))
		}
		name := nameOf(s)
		if len(name) > 255-len(noteSuffix) || filepath.Base(name) != name || s != "" && !isIngest(name) {
			t.Errorf("%q gives %q", s, name)
		}
		if ref, ok := refOf(name); ok && ref != s {
			t.Errorf("%q gives %q, which is of %q", s, name, ref)
		}
	})
}
