package containerd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

const busybox = "docker.io/library/busybox:latest"

// connect opens a namespace until the end of the test.
func connect(t *testing.T, d *daemon, namespace string) *Store {
	t.Helper()
	s, err := Open(t.Context(), d.address(namespace), Options{})
	if err != nil {
		t.Fatal("Open:", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return s
}

// eventually waits for what the events of the daemon bring.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain:", what)
		}
	}
}

// other is another client of the daemon, which does everything in its own way.
type other struct {
	*Store
	src   testimage.Store
	lease string // holds all that it writes
}

func newOther(t *testing.T, d *daemon, namespace string) *other {
	t.Helper()
	o := &other{Store: connect(t, d, namespace), lease: "other"}
	if _, err := o.createLease(t.Context(), store.Lease{ID: o.lease}, nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// write writes content without a label.
func (o *other) write(t *testing.T, desc ocispec.Descriptor) {
	t.Helper()
	in, err := o.openIngest(t.Context(), "other-"+desc.Digest.String(), desc.Size, o.lease)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.write(t.Context(), o.src.Get(desc.Digest)); err != nil {
		t.Fatal(err)
	}
	if err := in.commit(t.Context(), desc.Digest, nil); err != nil {
		t.Fatal(err)
	}
}

// writeImage writes an image without the labels that keep what is below it.
func (o *other) writeImage(t *testing.T, root ocispec.Descriptor) {
	t.Helper()
	graph, err := image.Walker{Fetch: o.src.Fetch}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	nodes := graph.Nodes()
	slices.Reverse(nodes)
	for _, n := range nodes {
		o.write(t, n.Desc)
	}
}

// name makes an image record.
func (o *other) name(t *testing.T, name string, root ocispec.Descriptor) {
	t.Helper()
	_, err := o.images.Create(t.Context(), &imagesapi.CreateImageRequest{Image: &imagesapi.Image{Name: name, Target: descriptorOf(root)}})
	if err != nil {
		t.Fatal(err)
	}
}

// unname removes one.
func (o *other) unname(t *testing.T, name string) {
	t.Helper()
	if _, err := o.images.Delete(t.Context(), &imagesapi.DeleteImageRequest{Name: name}); err != nil {
		t.Fatal(err)
	}
}

// keysOf returns what a lookup finds.
func keysOf(t *testing.T, s *Store, look func(r store.NameReader) ([]store.Record, error)) []string {
	t.Helper()
	found := []string{}
	err := s.View(t.Context(), func(r store.NameReader) error {
		all, err := look(r)
		for _, rec := range all {
			found = append(found, rec.Key())
		}
		return err
	})
	if err != nil {
		t.Error("View:", err)
	}
	return found
}

func everything(r store.NameReader) ([]store.Record, error) { return r.List("", 0) }

func containing(d digest.Digest) func(r store.NameReader) ([]store.Record, error) {
	return func(r store.NameReader) ([]store.Record, error) { return r.Containing(d) }
}

// TestOthersNames shows that the index follows what other clients do to names.
func TestOthersNames(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), newOther(t, d, namespace)
	one := o.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	two := o.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	config := func(of ocispec.Descriptor) digest.Digest {
		facts, err := derive(o.src.Get(of.Digest), of.MediaType)
		if err != nil {
			t.Fatal(err)
		}
		return facts.Config
	}
	o.writeImage(t, one)
	o.writeImage(t, two)
	finds := func(d digest.Digest, want ...string) func() bool {
		return func() bool { return slices.Equal(keysOf(t, s, containing(d)), append([]string{}, want...)) }
	}
	o.name(t, busybox, one)
	eventually(t, "a new name is found", finds(config(one), busybox))
	for _, foreign := range []string{config(one).String(), "import-2024-01-01@" + one.Digest.String(), "moby-dangling@" + two.Digest.String()} {
		o.name(t, foreign, one)
	}
	o.name(t, danglingName+one.Digest.String(), one)
	eventually(t, "a dangling record is found, and nothing that is no name", func() bool {
		return slices.Equal(keysOf(t, s, everything), []string{"@" + one.Digest.String(), busybox})
	})
	o.unname(t, danglingName+one.Digest.String())
	_, err := o.images.Update(t.Context(), &imagesapi.UpdateImageRequest{Image: &imagesapi.Image{Name: busybox, Target: descriptorOf(two)}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a name has moved", finds(config(two), busybox))
	eventually(t, "it is not found any more where it was", finds(config(one)))
	moved, err := s.Move(t.Context(), store.Move{Name: busybox, Forget: true, If: store.Condition{Digest: two.Digest}})
	if err != nil || moved[0].Before.Target.Digest != two.Digest {
		t.Errorf("Move after that: %+v, %v", moved, err)
	}
	o.name(t, busybox, one)
	if _, err := s.Move(t.Context(), store.Move{Name: busybox, To: one, If: store.Condition{Absent: true}}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Move of what another client has just made: %v", err)
	}
	o.unname(t, busybox)
	eventually(t, "a name has gone", func() bool { return len(keysOf(t, s, everything)) == 0 })
}

// TestOthersContent shows that an image which another client completes is found by what
// came.
func TestOthersContent(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), newOther(t, d, namespace)
	manifest := o.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	index := o.src.Index(manifest)
	facts, err := derive(o.src.Get(manifest.Digest), manifest.MediaType)
	if err != nil {
		t.Fatal(err)
	}
	o.write(t, index)
	o.name(t, busybox, index)
	eventually(t, "the list is found", func() bool { return slices.Equal(keysOf(t, s, containing(manifest.Digest)), []string{busybox}) })
	if found := keysOf(t, s, containing(facts.Config)); len(found) != 0 {
		t.Errorf("found by a config that is absent: %q", found)
	}
	o.writeImage(t, manifest)
	eventually(t, "the config is found", func() bool { return slices.Equal(keysOf(t, s, containing(facts.Config)), []string{busybox}) })
	if _, err := o.content.Delete(t.Context(), &contentapi.DeleteContentRequest{Digest: facts.Config.String()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the config is found no more", func() bool { return len(keysOf(t, s, containing(facts.Config))) == 0 })
	o.write(t, facts.Edges[0].Desc)
	eventually(t, "the config is found again", func() bool { return slices.Equal(keysOf(t, s, containing(facts.Config)), []string{busybox}) })
}

// TestAdopt shows that an image which another client has written without labels is kept
// as a whole by the name that it gets, and is one that can be read.
func TestAdopt(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), newOther(t, d, namespace)
	root := o.src.Index(o.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}))
	o.writeImage(t, root)
	if _, err := s.Move(t.Context(), store.Move{Name: busybox, To: target(root)}); err != nil {
		t.Fatal("Move:", err)
	}
	if err := o.deleteLease(t.Context(), o.lease, false); err != nil { // nothing else keeps it then
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	for _, d := range o.src.Digests() {
		if _, err := s.Stat(t.Context(), d); err != nil {
			t.Error("after a collection:", err)
		}
	}
}

func target(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

// TestHostileGraph shows that lists which have one another many times over are read once
// each.
func TestHostileGraph(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s, o := connect(t, d, namespace), newOther(t, d, namespace)
	root := o.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	o.writeImage(t, root)
	for range 7 {
		root = o.src.Index(slices.Repeat([]ocispec.Descriptor{root}, 1000)...)
		o.write(t, root)
	}
	o.name(t, busybox, root)
	eventually(t, "the name is found", func() bool { return slices.Equal(keysOf(t, s, everything), []string{busybox}) })
	if _, err := s.Move(t.Context(), store.Move{Name: "docker.io/library/alpine:3", To: target(root)}); err != nil {
		t.Error("Move:", err)
	}
}

// TestTwoStores shows what processes see of each other that use one namespace.
func TestTwoStores(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	one, two := connect(t, d, namespace), connect(t, d, namespace)
	l, err := one.Lease(t.Context(), store.Lease{})
	if err != nil {
		t.Fatal("Lease:", err)
	}
	begin := func(s *Store) store.Batch {
		b, err := s.Begin(t.Context(), l.ID)
		if err != nil {
			t.Fatal("Begin:", err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b
	}
	a, b := begin(one), begin(two)
	w, err := a.Writer(t.Context(), "ref")
	if err != nil {
		t.Fatal("Writer:", err)
	}
	if _, err := b.Writer(t.Context(), "ref"); !errdefs.IsUnavailable(err) {
		t.Errorf("a second Writer, of another process: %v", err)
	}
	data := strings.Repeat("x", 200<<10)
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal("Write:", err)
	}
	desc := ocispec.Descriptor{Digest: digest.FromString(data), Size: int64(len(data))}
	if err := w.Commit(t.Context(), desc, image.RoleLayer); err != nil {
		t.Fatal("Commit:", err)
	}
	if _, err := a.Publish(t.Context()); err != nil {
		t.Fatal("Publish:", err)
	}
	if put, err := b.Put(t.Context(), desc, image.RoleLayer, nil); put != store.Reused || err != nil {
		t.Errorf("Put of what another process has written: %s, %v", put, err)
	}
	r, err := two.Open(t.Context(), desc.Digest, 0)
	if err != nil {
		t.Fatal("Open:", err)
	}
	if err := one.Release(t.Context(), l.ID); err != nil {
		t.Fatal("Release:", err)
	}
	if _, err := one.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	if _, err := one.Stat(t.Context(), desc.Digest); err != nil {
		t.Errorf("what another process reads: %v", err)
	}
	if leases, err := one.Leases(t.Context()); len(leases) != 0 || err != nil {
		t.Errorf("Leases: %+v, %v; what keeps readers is not for others to see", leases, err)
	}
	if err := r.Close(); err != nil {
		t.Error("Close:", err)
	}
	if _, err := one.Collect(t.Context()); err != nil {
		t.Fatal("Collect:", err)
	}
	if _, err := one.Stat(t.Context(), desc.Digest); !errdefs.IsNotFound(err) {
		t.Errorf("what nobody reads any more: %v", err)
	}
}

// TestManyNames shows that more names are listed than containerd can tell in one
// message.
func TestManyNames(t *testing.T) {
	t.Parallel()
	d := running(t)
	namespace := newNamespace()
	s := connect(t, d, namespace)
	labels := map[string]string{}
	for i := range 100 {
		labels[fmt.Sprint("label", i)] = strings.Repeat("x", 4000)
	}
	const images = 50 // of 400 KB each
	var want []string
	for i := range images {
		name := fmt.Sprintf("docker.io/library/x:%02d", i)
		want = append(want, name)
		_, err := s.images.Create(t.Context(), &imagesapi.CreateImageRequest{Image: &imagesapi.Image{
			Name: name, Labels: labels, Target: &types.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString(name).String(), Size: 1},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.images.List(t.Context(), &imagesapi.ListImagesRequest{}); !errdefs.IsResourceExhausted(err) {
		t.Fatalf("one message has all of them: %v", err)
	}
	if found := keysOf(t, connect(t, d, namespace), everything); !slices.Equal(found, want) {
		t.Errorf("%d names: %q", len(found), found)
	}
}
