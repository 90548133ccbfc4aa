package blobfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

func TestTrash(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	r := record(d, dir)
	contents := samples(1, 10, Small+1, Small+2)
	stays := sameShard(contents[0])
	publish(t, d, append(contents, stays)...)
	r.take()
	blobs := []digest.Digest{digest.FromString("not there")}
	for _, data := range contents {
		blobs = append(blobs, digest.FromBytes(data))
	}
	open, err := d.Open(t.Context(), blobs[2], Small+1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := d.Trash(blobs); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.take() {
		if !strings.HasPrefix(e, "rename ") {
			t.Errorf("Trash does %q", e)
		}
	}
	for _, blob := range blobs {
		_, _, err := d.Stat(blob)
		wantKind(t, "Stat", err, errdefs.ErrNotFound)
	}
	if left := tree(t, filepath.Join(dir, trashName)); len(left) != len(contents) {
		t.Errorf("in the trash: %q", left)
	}

	n, bytes, err := d.Empty(t.Context())
	if want := int64(10 + 2*Small + 3); n != 3 || bytes != want || err != nil {
		t.Errorf("Empty: %d, %d, %v; want 3, %d", n, bytes, err, want)
	}
	var want []string
	for _, data := range contents {
		want = append(want, "dir blobs/sha256/"+digest.FromBytes(data).Encoded()[:2])
	}
	slices.Sort(want)
	wantPhases(t, r.take(), [][]string{slices.Compact(want)})
	hex := digest.FromBytes(stays).Encoded()
	wantTree(t, dir, "blobs/sha256/"+hex[:2]+"/"+hex)

	n, bytes, err = d.Empty(t.Context())
	if n != 0 || bytes != 0 || err != nil || len(r.take()) != 0 {
		t.Errorf("second Empty: %d, %d, %v", n, bytes, err)
	}
	publish(t, d, contents...)
	for _, data := range contents {
		wantBlob(t, d, data)
	}
}

func TestEmptyUnlinksNothingThatMayComeBack(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(4, 100)
	publish(t, d, data)
	broken := errors.New("input/output error")
	syncs := d.ops.syncDir
	d.ops.syncDir = func(*os.File) error { return broken }
	if err := d.Trash([]digest.Digest{digest.FromBytes(data)}); err != nil {
		t.Fatal(err)
	}
	n, _, err := d.Empty(t.Context())
	wantKind(t, "Empty", err, broken)
	if left := tree(t, filepath.Join(dir, trashName)); n != 0 || len(left) != 1 {
		t.Errorf("Empty: %d, and left %q", n, left)
	}
	synced := 0
	d.ops.syncDir = func(f *os.File) error { synced++; return syncs(f) }
	if n, _, err := d.Empty(t.Context()); n != 1 || synced != 1 || err != nil {
		t.Errorf("Empty: %d with %d syncs, %v", n, synced, err)
	}
}

func TestOpenEmptiesTheTrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDir(t, dir)
	contents := samples(5, 10, Small+1)
	publish(t, d, contents...)
	if err := d.Trash([]digest.Digest{digest.FromBytes(contents[0])}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDir(t, dir)
	wantTree(t, filepath.Join(dir, trashName))
	wantBlob(t, d, contents[1])
}

func TestOpenDoesNotWaitForAFullTrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openDir(t, dir)
	first := filepath.Join(dir, trashName, "first")
	if err := os.WriteFile(first, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 5_000 {
		if err := os.Link(first, filepath.Join(dir, trashName, fmt.Sprint(i))); err != nil {
			t.Skip(err)
		}
	}
	begin := time.Now()
	d := openDir(t, dir)
	took := time.Since(begin)
	before := len(tree(t, filepath.Join(dir, trashName)))
	if _, _, err := d.Empty(t.Context()); err != nil {
		t.Error(err)
	}
	wantTree(t, dir)
	if took > time.Second { // sweepTime, and much patience
		t.Errorf("Open took %v", took)
	}
	t.Logf("Open took %v and left %d", took, before)
}

func TestSetAsideKeepsAll(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(7, 100)
	blob := digest.FromBytes(data)
	wantKind(t, "SetAside of none", d.SetAside(blob), errdefs.ErrNotFound)
	var want []string
	for n := range 3 {
		publish(t, d, data)
		if err := d.SetAside(blob); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("bad/%s.%d", blob.Encoded(), n+1))
	}
	wantKind(t, "SetAside of none", d.SetAside(blob), errdefs.ErrNotFound)
	wantTree(t, dir, want...)
	wantKind(t, "Trash of none", d.Trash([]digest.Digest{blob}), nil)
}

func TestWalk(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	sizeOf := map[digest.Digest]int64{}
	var all []digest.Digest
	var files []*Ingest
	for n := range 60 {
		data := randomBytes(byte(n), n)
		a := []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512}[n%3]
		in, err := d.Create(t.Context(), fmt.Sprint(n), a)
		if err != nil {
			t.Fatal(err)
		}
		blob := a.FromBytes(data)
		if err := in.Fill(t.Context(), blob, int64(n), opens(data)); err != nil {
			t.Fatal(err)
		}
		files = append(files, in)
		all = append(all, blob)
		sizeOf[blob] = int64(n)
	}
	if err := d.Publish(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	walk := func(after digest.Digest) (got []digest.Digest) {
		t.Helper()
		err := d.Walk(t.Context(), after, func(blob digest.Digest, size int64) error {
			if size != sizeOf[blob] {
				t.Errorf("%s has %d bytes, want %d", blob, size, sizeOf[blob])
			}
			got = append(got, blob)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return got
	}
	if got := walk(""); !slices.Equal(got, all) {
		t.Errorf("walked %q\nwant %q", got, all)
	}
	for i, blob := range all {
		if got := walk(blob); !slices.Equal(got, all[i+1:]) {
			t.Errorf("after %s: %d, want %d", blob, len(got), len(all[i+1:]))
		}
	}
	if got := walk(digest.FromString("not there")); !slices.IsSorted(got) {
		t.Errorf("not in order: %q", got)
	}
	enough := errors.New("enough")
	n := 0
	wantKind(t, "Walk", d.Walk(t.Context(), "", func(digest.Digest, int64) error {
		if n++; n == 5 {
			return enough
		}
		return nil
	}), enough)
	if n != 5 {
		t.Errorf("called %d times after an error", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wantKind(t, "Walk that is cancelled", d.Walk(ctx, "", func(digest.Digest, int64) error { cancel(); return nil }), context.Canceled)
	if err := d.Strays(t.Context(), func(s Stray) error { t.Errorf("stray %+v", s); return nil }); err != nil {
		t.Error(err)
	}
	wantTree(t, filepath.Join(dir, ingestName))
}

func TestStrays(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t)
	data := randomBytes(8, 2*Small)
	publish(t, d, data)
	hex := digest.FromBytes(data).Encoded()
	if err := create(t, d, strings.Repeat("long", 100)).Close(); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"kept", strings.Repeat("a long one", 50)} {
		in := create(t, d, ref)
		if _, err := in.Write(data[:10]); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	plant := []string{
		"blobs/file", "blobs/md5/00/x", "blobs/sha256/file", "blobs/sha256/abc/x", "blobs/sha256/AB/x",
		"blobs/sha256/" + hex[:2] + "/" + hex + ".tmp", "blobs/sha256/" + hex[:2] + "/" + strings.ToUpper(hex),
		"blobs/sha256/" + other(hex[:2]) + "/" + hex, "blobs/sha256/" + hex[:2] + "/short",
		"ingest/foreign", "ingest/r-", "ingest/r-UPPER", "ingest/r-%61", "ingest/h-123",
	}
	for _, name := range plant {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	want := slices.Clone(plant)
	for i, name := range want { // of a directory that is one, nothing below it is told
		for _, above := range []string{"blobs/md5", "blobs/sha256/abc", "blobs/sha256/AB"} {
			if strings.HasPrefix(name, above+"/") {
				want[i] = above
			}
		}
	}
	slices.Sort(want)
	var got []string
	err := d.Strays(t.Context(), func(s Stray) error {
		if s.What == "" || s.Blob != "" {
			t.Errorf("%+v", s)
		}
		got = append(got, s.Path)
		return nil
	})
	slices.Sort(got)
	if !slices.Equal(got, want) || err != nil {
		t.Errorf("strays %q\nwant %q (%v)", got, want, err)
	}
	walked := 0
	err = d.Walk(t.Context(), "", func(digest.Digest, int64) error { walked++; return nil })
	if walked != 1 || err != nil {
		t.Errorf("walked %d, %v", walked, err)
	}
}

func other(shard string) string {
	if shard == "00" {
		return "01"
	}
	return "00"
}
