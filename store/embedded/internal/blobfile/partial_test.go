package blobfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

func TestPartial(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDir(t, dir)
	begin := time.Now()
	refs := []string{"a small one", "b large", "c " + strings.Repeat("long", 200), "d open and small", "e open and large"}
	lengths := []int{10, 2 * Small, 3 * Small, 20, 4 * Small}
	for i, ref := range refs {
		in := create(t, d, ref)
		if _, err := in.Write(randomBytes(1, lengths[i])); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(ref, "open") {
			continue
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(d *Dir, want int) {
		t.Helper()
		got, err := d.Partial(t.Context())
		if err != nil || len(got) != want {
			t.Fatalf("Partial: %+v, %v; want %d", got, err, want)
		}
		for i, p := range got {
			j := len(p.Ref) // found below
			for k, ref := range refs {
				if ref == p.Ref {
					j = k
				}
			}
			if i > 0 && got[i-1].Ref >= p.Ref || j >= len(refs) || p.Offset != int64(lengths[j]) {
				t.Errorf("Partial %d: %+v", i, p)
			}
			// The clock of a file system may be a tick behind.
			slack := 100 * time.Millisecond
			if p.Started.Before(begin.Add(-slack)) || p.Updated.Before(p.Started.Add(-slack)) || p.Updated.After(time.Now().Add(slack)) {
				t.Errorf("Partial %d: started %v, updated %v; began %v", i, p.Started, p.Updated, begin)
			}
		}
	}
	check(d, 5)
	check(openDir(t, dir), 4) // another process does not see what is only in memory

	in := create(t, d, refs[0])
	before := in.started.Load()
	if _, err := in.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	lengths[0] += 4
	check(d, 5)
	if in := create(t, d, refs[0]); in.started.Load() != before {
		t.Errorf("started %v, before %v", in.started.Load(), before)
	}

	wantKind(t, "Abort", d.Abort(t.Context(), refs[1]), nil)
	wantKind(t, "Abort again", d.Abort(t.Context(), refs[1]), errdefs.ErrNotFound)
	wantKind(t, "Abort of an open one", d.Abort(t.Context(), refs[3]), errdefs.ErrUnavailable)
	wantKind(t, "Abort of a long ref", d.Abort(t.Context(), refs[2]), nil)
	check(d, 3)
}

func TestALongRefThatIsLost(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	ref := strings.Repeat("long", 200)
	in := create(t, d, ref)
	if _, err := in.Write(randomBytes(1, 2*Small)); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, ingestName, in.name+noteSuffix), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Partial(t.Context()); len(got) != 0 || err != nil {
		t.Errorf("Partial: %+v, %v", got, err)
	}
	in = create(t, d, ref) // knows it, and notes it again
	wantOffset(t, in, 2*Small)
	got, err := openDir(t, dir).Partial(t.Context())
	if err != nil || len(got) != 1 || got[0].Ref != ref {
		t.Errorf("Partial: %+v, %v", got, err)
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	old := time.Now().Add(-time.Hour)
	size := func(i int) int { return 10 + i*Small }
	for i := range 6 {
		in := create(t, d, fmt.Sprint(i))
		if _, err := in.Write(randomBytes(1, size(i))); err != nil {
			t.Fatal(err)
		}
		if i != 5 {
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if i != 4 {
			if err := os.Chtimes(filepath.Join(dir, ingestName, in.name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	expire := func(before time.Time, limit, wantN int, wantBytes int) {
		t.Helper()
		n, bytes, err := d.Expire(t.Context(), before, limit)
		if n != wantN || bytes != int64(wantBytes) || err != nil {
			t.Errorf("Expire: %d, %d, %v; want %d, %d", n, bytes, err, wantN, wantBytes)
		}
	}
	expire(old.Add(-time.Minute), 0, 0, 0)
	expire(old.Add(time.Minute), 3, 3, size(0)+size(1)+size(2))
	expire(old.Add(time.Minute), 0, 1, size(3)) // 4 is new, 5 is open
	wantTree(t, filepath.Join(dir, ingestName), "r-4", "r-4.ref", "r-5")
}

func TestOpenSweepsTheIngestDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDir(t, dir)
	in := create(t, d, "kept")
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"r-lost.ref", randomName() + tempSuffix} {
		if err := os.WriteFile(filepath.Join(dir, ingestName, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openDir(t, dir)
	wantTree(t, dir, "ingest/r-kept", "ingest/r-kept.ref")
}

// TestPartialGrewWhenItWasWritten: what was kept in memory until the end grew before that.
func TestPartialGrewWhenItWasWritten(t *testing.T) {
	t.Parallel()
	d, _ := newDir(t)
	in := create(t, d, "ref")
	before := time.Now()
	if _, err := in.Write([]byte("some bytes")); err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	time.Sleep(20 * time.Millisecond)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := d.Partial(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if at := all[0].Updated; at.Before(before.Round(0)) || at.After(after.Round(0)) {
		t.Errorf("it grew at %v; want from %v to %v", at, before, after)
	}
}
