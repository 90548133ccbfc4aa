package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/store"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// TestHas checks that Complete is said only of what is there as a whole, and that what
// was said to be there is kept until the destination is closed.
func TestHas(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	amd, arm := src.Image(testimage.Image{Platform: platform("amd64")}), src.Image(testimage.Image{Platform: platform("arm64")})
	nested := src.Index(arm)
	root := src.Index(amd, nested)
	layer := nodes(t, src, arm)[0].Desc
	missing := src.Get(layer.Digest)
	src.Delete(layer.Digest)
	write(t, s, src, root, "app:1")

	d := destination(t, s, "app:2")
	for what, tc := range map[string]struct {
		node transport.Node
		want transport.Have
	}{
		"a list that lacks a layer":      {transport.Node{Desc: root, Role: image.RoleIndex}, transport.Present},
		"a nested list likewise":         {transport.Node{Desc: nested, Role: image.RoleIndex}, transport.Present},
		"a manifest likewise":            {transport.Node{Desc: arm, Role: image.RoleManifest}, transport.Present},
		"a manifest that is whole":       {transport.Node{Desc: amd, Role: image.RoleManifest}, transport.Complete},
		"the layer":                      {transport.Node{Desc: layer, Role: image.RoleLayer}, transport.Absent},
		"another size":                   {transport.Node{Desc: resized(amd), Role: image.RoleManifest}, transport.Absent},
		"a manifest of which no size is": {transport.Node{Desc: sizeless(amd), Role: image.RoleManifest}, transport.Complete},
	} {
		if have, err := d.Has(t.Context(), tc.node); have != tc.want || err != nil {
			t.Errorf("Has of %s: %v, %v; want %v", what, have, err, tc.want)
		}
	}
	src.Set(layer.Digest, missing)
	if copied := put(t, d, src, root); copied != 1 {
		t.Errorf("%d blobs were copied, not only the one that was missing", copied)
	}
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	if have, err := d.Has(t.Context(), transport.Node{Desc: root, Role: image.RoleIndex}); have != transport.Complete || err != nil {
		t.Errorf("Has of what is whole now: %v, %v", have, err)
	}
}

func resized(desc ocispec.Descriptor) ocispec.Descriptor {
	desc.Size++
	return desc
}

func sizeless(desc ocispec.Descriptor) ocispec.Descriptor {
	desc.Size = -1
	return desc
}

// TestHasKeeps checks that what a destination was told to be there is not collected
// before it is closed, although nothing else needs it.
func TestHasKeeps(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	root := src.Image(testimage.Image{Platform: platform("amd64")})
	write(t, s, src, root, "app:1")
	d := destination(t, s, "app:2")
	for _, n := range nodes(t, src, root) {
		if have, err := d.Has(t.Context(), n); have != transport.Complete || err != nil {
			t.Errorf("Has of %s: %v, %v", n.Role, have, err)
		}
	}
	forget(t, s, "docker.io/library/app:1")
	transporttest.Commit(t, d, transport.Naming{Desc: root}) // nothing was put
	wantNames(t, s, map[string]digest.Digest{"docker.io/library/app:2": root.Digest})
	forget(t, s, "docker.io/library/app:2")
	for _, n := range nodes(t, src, root) {
		if _, err := s.Stat(t.Context(), n.Desc.Digest); err != nil {
			t.Errorf("%s has gone: %v", n.Role, err)
		}
	}
	transporttest.Close(t, d)
	forget(t, s, "docker.io/library/app:2")
	if _, err := s.Stat(t.Context(), root.Digest); !errdefs.IsNotFound(err) {
		t.Errorf("what nobody needs is still there: %v", err)
	}
}

// forget removes a name and collects what nobody needs then.
func forget(tb testing.TB, s local.Store, name string) {
	tb.Helper()
	if _, err := s.Move(tb.Context(), local.Move{Name: name, Forget: true}); err != nil {
		tb.Fatal("Move:", err)
	}
	if _, err := local.Collect(tb.Context(), s); err != nil {
		tb.Fatal("Collect:", err)
	}
}

// TestDamaged checks that a damaged blob is absent, and written anew by a Put.
func TestDamaged(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	src := &testimage.Store{}
	root := src.Image(testimage.Image{Platform: platform("amd64"), LayerSize: 300 << 10})
	write(t, s, src, root, "app:1")
	transporttest.Close(t, s)
	layer := nodes(t, src, root)[0]
	path := filepath.Join(dir, "blobs", "sha256", layer.Desc.Digest.Encoded()[:2], layer.Desc.Digest.Encoded())
	data := bytes.Clone(src.Get(layer.Desc.Digest))
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	reopened, err := embedded.Open(t.Context(), dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transporttest.Close(t, reopened) })
	if r, err := reopened.Open(t.Context(), layer.Desc.Digest, 0); err == nil { // by which it is found
		_, err = io.Copy(io.Discard, r)
		if err = errors.Join(err, r.Close()); !errdefs.IsDataLoss(err) {
			t.Fatalf("reading the damaged blob: %v", err)
		}
	}
	d := destination(t, reopened, "app:1")
	if have, err := d.Has(t.Context(), transport.Node{Desc: root, Role: image.RoleManifest}); have != transport.Present || err != nil {
		t.Errorf("Has of the manifest: %v, %v", have, err)
	}
	if have, err := d.Has(t.Context(), layer); have != transport.Absent || err != nil {
		t.Errorf("Has of the layer: %v, %v", have, err)
	}
	if copied := put(t, d, src, root); copied != 1 {
		t.Errorf("%d blobs were copied", copied)
	}
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	if have, err := d.Has(t.Context(), transport.Node{Desc: root, Role: image.RoleManifest}); have != transport.Complete || err != nil {
		t.Errorf("Has of the manifest that was healed: %v, %v", have, err)
	}
}

// TestMoved checks what is said of the name, and what dangles.
func TestMoved(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	old, next := src.Image(testimage.Image{Platform: platform("amd64"), Name: "old"}), src.Image(testimage.Image{Platform: platform("amd64"), Name: "next"})
	for i, tc := range []struct {
		root     ocispec.Descriptor
		before   digest.Digest
		dangling bool
		want     map[string]digest.Digest
	}{
		{old, "", false, map[string]digest.Digest{"docker.io/library/app:1": old.Digest}},
		{old, old.Digest, false, map[string]digest.Digest{"docker.io/library/app:1": old.Digest}},
		{next, old.Digest, true, map[string]digest.Digest{"docker.io/library/app:1": next.Digest, "@" + old.Digest.String(): old.Digest}},
		{old, next.Digest, true, map[string]digest.Digest{"docker.io/library/app:1": old.Digest, "@" + next.Digest.String(): next.Digest}},
	} {
		d := destination(t, s, "app:1")
		put(t, d, src, tc.root)
		transporttest.Commit(t, d, transport.Naming{Desc: tc.root})
		if m := d.Moved(); m.Before.Target.Digest != tc.before || m.Dangling != tc.dangling {
			t.Errorf("%d: before %s, dangling %v; want %s, %v", i, m.Before.Target.Digest, m.Dangling, tc.before, tc.dangling)
		}
		wantNames(t, s, tc.want)
		transporttest.Close(t, d)
	}
	if leases, err := s.Leases(t.Context()); err != nil || len(leases) > 0 {
		t.Errorf("leases are left: %v, %v", leases, err)
	}
}

// TestNoName checks that an image without a name dangles.
func TestNoName(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	root := src.Image(testimage.Image{Platform: platform("amd64")})
	d, err := store.OpenDestination(t.Context(), store.Reference{}, store.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, src, root)
	transporttest.Commit(t, d, transport.Naming{Desc: root})
	wantNames(t, s, map[string]digest.Digest{"@" + root.Digest.String(): root.Digest})
	if _, err := d.Commit(t.Context(), []transport.Naming{{Name: "tag", Desc: root}}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a tag of no repository: %v", err)
	}
	transporttest.Close(t, d)
	if _, err := store.OpenDestination(t.Context(), parse(t, root.Digest.String()), store.Options{Store: s}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("writing under an ID: %v", err)
	}
}

// TestCommitRefuses checks what no name is moved to.
func TestCommitRefuses(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	root, other := src.Image(testimage.Image{Platform: platform("amd64")}), src.Image(testimage.Image{Platform: platform("arm64")})
	d := destination(t, s, "app:1")
	put(t, d, src, root)
	for what, tc := range map[string]struct {
		names []transport.Naming
		want  error
	}{
		"what was not put":           {[]transport.Naming{{Desc: root}, {Name: "x", Desc: other}}, errdefs.ErrFailedPrecondition},
		"a referrer that was not":    {[]transport.Naming{{Desc: other, Subject: root.Digest}}, errdefs.ErrFailedPrecondition},
		"a name for two":             {[]transport.Naming{{Desc: root}, {Name: "1", Desc: other}}, errdefs.ErrInvalidArgument},
		"what is no tag":             {[]transport.Naming{{Desc: root}, {Name: "a/b", Desc: root}}, errdefs.ErrInvalidArgument},
		"another size than it has":   {[]transport.Naming{{Desc: resized(root)}}, errdefs.ErrInvalidArgument},
		"a layer in the place of it": {[]transport.Naming{{Desc: nodes(t, src, root)[0].Desc}}, errdefs.ErrInvalidArgument},
	} {
		if _, err := d.Commit(t.Context(), tc.names); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v; want %v", what, err, tc.want)
		}
		wantNames(t, s, nil)
	}
	referrer := src.Referrer(other, "application/vnd.example", "note")
	put(t, d, src, referrer)
	notes := transporttest.Commit(t, d, transport.Naming{Desc: root}, transport.Naming{Desc: referrer, Subject: root.Digest})
	if len(notes) != 1 {
		t.Errorf("notes %q; want one on a referrer that is none", notes)
	}
	wantNames(t, s, map[string]digest.Digest{"docker.io/library/app:1": root.Digest})
}

// TestResume checks that a Put goes on where an earlier one has ended.
func TestResume(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	src := &testimage.Store{}
	layer, _ := src.Layer("layer", 3<<20)
	node, data := transport.Node{Desc: layer, Role: image.RoleLayer}, src.Get(layer.Digest)
	broken := errors.New("broken off")
	d := destination(t, s, "app:1")
	_, err := d.Put(t.Context(), node, func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:1<<20]), failing{broken})), nil
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	transporttest.Close(t, d)
	var offsets []int64
	_, err = destination(t, s, "app:1").Put(t.Context(), node, func(_ context.Context, from int64) (io.ReadCloser, error) {
		offsets = append(offsets, from)
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	})
	if err != nil || len(offsets) != 1 || offsets[0] == 0 {
		t.Errorf("opened at %v, %v", offsets, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestReadOnly checks what can be done with a store that is open for reading only.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s, dir := newStore(t)
	src := &testimage.Store{}
	root := src.Image(testimage.Image{Platform: platform("amd64")})
	write(t, s, src, root, "app:1")
	transporttest.Close(t, s)
	ro, err := embedded.Open(t.Context(), dir, embedded.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transporttest.Close(t, ro) })
	from := source(t, ro, "app:1")
	if got, err := from.Root(t.Context()); err != nil || got.Digest != root.Digest {
		t.Errorf("Root: %s, %v", got.Digest, err)
	}
	n := nodes(t, src, src.Image(testimage.Image{Platform: platform("arm64")}))[0]
	if _, err := destination(t, ro, "app:2").Put(t.Context(), n, src.Opener(n.Desc)); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Put: %v", err)
	}
}
