package oci

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/transporttest"
)

func TestCommitRefusesOneNameForTwo(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	tag, signature := s.CosignTag(im, "sig")
	for name, tc := range map[string]struct {
		ref   string
		names []transport.Naming
	}{
		"its own name is a digest tag": {":" + tag, []transport.Naming{{Desc: im}, {Name: tag, Desc: signature}}},
		"two of one name":              {"", []transport.Naming{{Name: tag, Desc: im}, {Desc: im}, {Name: tag, Desc: signature}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "layout")
			d := openDestination(t, dir+tc.ref)
			_, err := d.Commit(t.Context(), tc.names)
			if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), tag) || !strings.Contains(err.Error(), signature.Digest.String()) {
				t.Errorf("Commit: %v; want an invalid argument that names the name and both", err)
			}
			if found := tree(t, dir); len(found) > 0 {
				t.Errorf("Commit made %q", found)
			}
		})
	}
	d := openDestination(t, filepath.Join(t.TempDir(), "layout")+":a")
	put(t, d, s, im)
	transporttest.Commit(t, d, transport.Naming{Desc: im}, transport.Naming{Name: "a", Desc: im})
	if got := entries(t, d.ref.Path); len(got) != 1 {
		t.Errorf("entries: %v; want one", got)
	}
}

// oneImage returns a destination that has one image, and that many names for it.
func oneImage(t testing.TB, n int) (*Destination, []transport.Naming) {
	t.Helper()
	s := &testimage.Store{}
	im := s.Image(testimage.Image{Platform: linux("amd64")})
	d := openDestination(t, filepath.Join(t.TempDir(), "layout"))
	put(t, d, s, im)
	var names []transport.Naming
	for i := range n {
		names = append(names, transport.Naming{Name: fmt.Sprintf("name-%d", i), Desc: im})
	}
	return d, names
}

func TestCommitOfManyNames(t *testing.T) { // not parallel: it measures time
	const n, tries = 2000, 3
	d, names := oneImage(t, tries*n)
	var took time.Duration
	for i, part := range slices.Collect(slices.Chunk(names, n)) {
		began := time.Now()
		transporttest.Commit(t, d, part...)
		took = time.Since(began)
		if got := len(entries(t, d.ref.Path)); got != (i+1)*n {
			t.Errorf("%d entries after commit %d, want %d", got, i, (i+1)*n)
		}
		if took <= manyNamesTime {
			return
		}
	}
	t.Errorf("%d commits of %d names took more than %v each, the last one %v", tries, n, manyNamesTime, took)
}

func TestCommitTellsOfJoinedImages(t *testing.T) {
	t.Parallel()
	s := &testimage.Store{}
	amd, arm := s.Image(testimage.Image{Platform: linux("amd64")}), s.Image(testimage.Image{Platform: linux("arm64")})
	s390x := s.Image(testimage.Image{Platform: linux("s390x")})
	other := s.Image(testimage.Image{Platform: linux("amd64"), Name: "other"})
	index := s.Index(amd, arm)
	referrer := s.Referrer(amd, "application/x.test", "x")
	tag, signature := s.CosignTag(amd, "sig")
	dir := filepath.Join(t.TempDir(), "layout")
	for i, step := range []struct {
		naming transport.Naming
		want   string // in the note
	}{
		{transport.Naming{Desc: amd}, ""},
		{transport.Naming{Desc: referrer, Subject: amd.Digest}, ""},
		{transport.Naming{Name: tag, Desc: signature}, ""},
		{transport.Naming{Desc: arm}, "has 2 images without a name"},
		{transport.Naming{Desc: arm}, ""}, // changes nothing
		{transport.Naming{Desc: s390x}, "has 3 images without a name"},
		{transport.Naming{Desc: referrer, Name: "a"}, ""},
		{transport.Naming{Desc: other}, ""}, // is no part of one image
		{transport.Naming{Desc: index}, ""},
	} {
		d := openDestination(t, dir)
		put(t, d, s, step.naming.Desc)
		notes := transporttest.Commit(t, d, step.naming)
		if got := strings.Join(notes, "; "); (got == "") != (step.want == "") || !strings.Contains(got, step.want) {
			t.Errorf("notes of commit %d: %q; want one with %q", i, notes, step.want)
		}
	}
}
