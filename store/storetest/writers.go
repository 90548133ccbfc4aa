package storetest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

func (f Factory) writers() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"write and commit":         f.writeCommit,
		"one at a time":            f.oneWriter,
		"resume":                   f.resumeWriter,
		"reset":                    f.resetWriter,
		"digest":                   f.writerDigest,
		"commit of something else": f.commitOther,
		"commit what is visible":   f.commitVisible,
		"commit a document":        f.commitDocument,
		"abort":                    f.abortWriter,
		"refs of any form":         f.hostileRefs,
	}
}

// writer opens a writer under a ref.
func (b *batch) writer(t *testing.T, ref string) store.Writer {
	t.Helper()
	writer, err := b.Writer(t.Context(), ref)
	if err != nil {
		t.Fatalf("Writer of %q: %v", ref, err)
	}
	return writer
}

// write writes bytes, and fails if not all are taken.
func write(t *testing.T, writer store.Writer, data []byte) {
	t.Helper()
	before := writer.Offset()
	if n, err := writer.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write of %d bytes: %d, %v", len(data), n, err)
	}
	if writer.Offset() != before+int64(len(data)) {
		t.Errorf("Offset after %d bytes and %d: %d", before, len(data), writer.Offset())
	}
}

// layer describes bytes as a layer, of which the source then knows.
func (w *world) layer(data []byte) ocispec.Descriptor {
	return w.src.Put(ocispec.MediaTypeImageLayerGzip, data)
}

// writeCommit checks that what is written as it comes shows after Publish, whether
// its size was known or not.
func (f Factory) writeCommit(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	var all []digest.Digest
	for _, size := range []int{0, small, large} {
		for _, known := range []bool{true, false} {
			data := bytes.Repeat([]byte("x"), size)
			if !known && size > 0 {
				data[0] = 'y'
			}
			desc := w.layer(data)
			writer := b.writer(t, "ref")
			for part := data; len(part) > 0; part = part[min(len(part), 70_000):] {
				write(t, writer, part[:min(len(part), 70_000)])
			}
			if !known {
				desc.Size = -1
			}
			if err := writer.Commit(t.Context(), desc, image.RoleLayer); err != nil {
				t.Fatal("Commit:", err)
			}
			w.wantPartial(t)
			all = append(all, desc.Digest)
		}
	}
	if f.Cannot.Together == "" {
		w.wantBlobs(t)
	}
	b.publish(t)
	w.wantBlobs(t, all...)
	for _, d := range all {
		w.wantBlob(t, d)
	}
}

// oneWriter checks that a ref has one open writer at most, in whichever batch.
func (f Factory) oneWriter(t *testing.T) {
	w := f.world(t)
	b, other := w.begin(t, w.lease(t)), w.begin(t, w.lease(t))
	writer := b.writer(t, "ref")
	for _, b := range []*batch{b, other} {
		_, err := b.Writer(t.Context(), "ref")
		wantKind(t, "a second Writer", err, errdefs.ErrUnavailable)
	}
	wantKind(t, "Abort of what is open", w.Abort(t.Context(), "ref"), errdefs.ErrUnavailable)
	beside := other.writer(t, "another ref")
	for _, writer := range []store.Writer{beside, writer} {
		if err := writer.Close(); err != nil {
			t.Error("Close:", err)
		}
	}
	if err := other.writer(t, "ref").Close(); err != nil {
		t.Error("Close:", err)
	}
}

// resumeWriter checks that what was written is there for the next writer of the ref: in
// the same batch, another one, and when the store was opened again.
func (f Factory) resumeWriter(t *testing.T) {
	for size, n := range map[string]int{"small": small, "large": large} {
		t.Run(size, func(t *testing.T) {
			w := f.world(t)
			data := bytes.Repeat([]byte("0123456789"), n/10)
			b := w.begin(t, w.lease(t))
			w.writePart(t, b, data, 0, n/3)
			w.writePart(t, b, data, n/3, n/2)
			b.close(t)
			b = w.begin(t, w.lease(t))
			w.writePart(t, b, data, n/2, n-1)
			w.reopen(t)
			b = w.begin(t, w.lease(t))
			w.writePart(t, b, data, n-1, n)
			desc := w.layer(data)
			if err := b.writer(t, "ref").Commit(t.Context(), desc, image.RoleLayer); err != nil {
				t.Fatal("Commit:", err)
			}
			b.publish(t)
			w.wantBlob(t, desc.Digest)
			w.wantPartial(t)
		})
	}
}

// writePart writes a part of some bytes after what is there, and closes the writer.
func (w *world) writePart(t *testing.T, b *batch, data []byte, from, to int) {
	t.Helper()
	now := time.Now()
	writer := b.writer(t, "ref")
	if writer.Offset() != int64(from) {
		t.Fatalf("the writer begins at %d; want %d", writer.Offset(), from)
	}
	write(t, writer, data[from:to])
	if d, err := writer.Digest(digest.SHA256); err != nil || d != digest.FromBytes(data[:to]) {
		t.Errorf("Digest of %d bytes: %s, %v", to, d, err)
	}
	w.wantPartial(t, "ref") // an open one too
	if err := writer.Close(); err != nil {
		t.Error("Close:", err)
	}
	const slack = time.Second
	p := w.wantPartial(t, "ref")
	if len(p) == 1 && (p[0].Offset != int64(to) || p[0].Updated.Before(now.Add(-slack)) || p[0].Updated.Before(p[0].Started) || p[0].Updated.After(time.Now().Add(slack))) {
		t.Errorf("Partial after %d bytes: %+v", to, p[0])
	}
}

// resetWriter checks that a writer forgets what was written.
func (f Factory) resetWriter(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	for _, size := range []int{small, large} {
		writer := b.writer(t, "ref")
		write(t, writer, bytes.Repeat([]byte("wrong"), size/5))
		if err := writer.Reset(); err != nil || writer.Offset() != 0 {
			t.Errorf("Reset: %v; then Offset %d", err, writer.Offset())
		}
		desc := w.layer(bytes.Repeat([]byte("right"), size/7))
		write(t, writer, w.src.Get(desc.Digest))
		if err := writer.Commit(t.Context(), desc, image.RoleLayer); err != nil {
			t.Fatal("Commit:", err)
		}
		b.publish(t)
		w.wantBlob(t, desc.Digest)
	}
}

// writerDigest checks that the digest of what was written is there by every
// algorithm, also of a blob that is committed by another one.
func (f Factory) writerDigest(t *testing.T) {
	skipIf(t, f.Cannot.SHA512)
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	for _, size := range []int{small, large} {
		writer := b.writer(t, "ref")
		data := bytes.Repeat([]byte("x"), size)
		write(t, writer, data[:size/2])
		for _, alg := range []digest.Algorithm{digest.SHA512, digest.SHA256, digest.SHA384} {
			if d, err := writer.Digest(alg); err != nil || d != alg.FromBytes(data[:size/2]) {
				t.Errorf("Digest by %s: %s, %v", alg, d, err)
			}
		}
		if d, err := writer.Digest("md5"); !invalid(err) {
			t.Errorf("Digest by md5: %s, %v", d, err)
		}
		write(t, writer, data[size/2:])
		w.src.Algorithm = digest.SHA512
		desc := w.layer(data)
		if err := writer.Commit(t.Context(), desc, image.RoleLayer); err != nil {
			t.Fatal("Commit:", err)
		}
		b.publish(t)
		w.wantBlob(t, desc.Digest)
	}
}

// commitOther checks that bytes are not committed as what they are not.
func (f Factory) commitOther(t *testing.T) {
	for name, change := range map[string]func(*ocispec.Descriptor){
		"another digest":                 func(d *ocispec.Descriptor) { d.Digest = digest.FromString("other") },
		"a size too large":               func(d *ocispec.Descriptor) { d.Size++ },
		"a size too small":               func(d *ocispec.Descriptor) { d.Size-- },
		"another digest of unknown size": func(d *ocispec.Descriptor) { d.Digest, d.Size = digest.FromString("other"), -1 },
	} {
		for size, n := range map[string]int{"small": small, "large": large} {
			t.Run(name+", "+size, func(t *testing.T) {
				w := f.world(t)
				b := w.begin(t, w.lease(t))
				desc := w.layer(bytes.Repeat([]byte("x"), n))
				writer := b.writer(t, "ref")
				write(t, writer, w.src.Get(desc.Digest))
				wrong := desc
				change(&wrong)
				wantKind(t, "Commit", writer.Commit(t.Context(), wrong, image.RoleLayer), errdefs.ErrDataLoss)
				b.publish(t)
				w.wantBlobs(t)
				w.wantPartial(t)
				writer = b.writer(t, "ref")
				if writer.Offset() != 0 {
					t.Errorf("the next writer begins at %d; want 0", writer.Offset())
				}
				write(t, writer, w.src.Get(desc.Digest))
				if err := writer.Commit(t.Context(), desc, image.RoleLayer); err != nil {
					t.Fatal("Commit of what is right:", err)
				}
				b.publish(t)
				w.wantBlob(t, desc.Digest)
			})
		}
	}
}

// commitVisible checks that a blob which is visible, or comes to be meanwhile, may be
// committed once more.
func (f Factory) commitVisible(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	for _, size := range []int{small, large} {
		desc := w.layer(bytes.Repeat([]byte("x"), size))
		early, late := b.writer(t, "early"), b.writer(t, "late")
		write(t, early, w.src.Get(desc.Digest))
		write(t, late, w.src.Get(desc.Digest))
		b.put(t, desc, image.RoleLayer)
		if err := early.Commit(t.Context(), desc, image.RoleLayer); err != nil {
			t.Error("Commit of what was put:", err)
		}
		b.publish(t)
		if err := late.Commit(t.Context(), desc, image.RoleLayer); err != nil {
			t.Error("Commit of what is visible:", err)
		}
		b.publish(t)
		w.wantBlob(t, desc.Digest)
		w.wantPartial(t)
	}
}

// commitDocument checks that a document which was written as it came is known as one
// that was put is.
func (f Factory) commitDocument(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	b := w.begin(t, w.lease(t))
	for _, n := range w.src.nodes(t, root) {
		writer := b.writer(t, "ref of "+n.Desc.Digest.String())
		write(t, writer, w.src.Get(n.Desc.Digest))
		if err := writer.Commit(t.Context(), n.Desc, n.Role); err != nil {
			t.Fatalf("Commit of %s: %v", n.Role, err)
		}
	}
	bad := []byte(`{"schemaVersion":2}`)
	writer := b.writer(t, "bad")
	write(t, writer, bad)
	err := writer.Commit(t.Context(), w.src.Put(ocispec.MediaTypeImageManifest, bad), image.RoleManifest)
	wantKind(t, "Commit of a bad manifest", err, errdefs.ErrInvalidArgument)
	b.publish(t, store.Move{Name: busybox, To: target(root)})
	w.wantBlobs(t, w.src.digests(t, root)...)
	if facts, err := w.Facts(t.Context(), root.Digest); err != nil || facts.Platform == nil || facts.Platform.Architecture != "amd64" {
		t.Errorf("Facts: %+v, %v", facts, err)
	}
}

// abortWriter checks that what was written can be forgotten.
func (f Factory) abortWriter(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	wantKind(t, "Abort of nothing", w.Abort(t.Context(), "ref"), errdefs.ErrNotFound)
	for _, size := range []int{small, large} {
		writer := b.writer(t, "ref")
		write(t, writer, bytes.Repeat([]byte("x"), size))
		if err := writer.Close(); err != nil {
			t.Error("Close:", err)
		}
		if err := w.Abort(t.Context(), "ref"); err != nil {
			t.Error("Abort:", err)
		}
		w.wantPartial(t)
		wantKind(t, "Abort again", w.Abort(t.Context(), "ref"), errdefs.ErrNotFound)
		writer = b.writer(t, "ref")
		if writer.Offset() != 0 {
			t.Errorf("after Abort a writer begins at %d; want 0", writer.Offset())
		}
		if err := writer.Close(); err != nil {
			t.Error("Close:", err)
		}
		w.reopen(t)
		b = w.begin(t, w.lease(t))
		_ = w.Abort(t.Context(), "ref") // an engine may keep what has no bytes, or not
	}
}

// hostileRefs checks that refs are names and nothing else.
func (f Factory) hostileRefs(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	refs := []string{
		"../../x", "/etc/passwd", "a/b", "a", "A", "a b", ".", "..", "a\x00b", "a\nb", "%s%n", "\xff\xfe", "ä", strings.Repeat("x", 1024),
		"sha256:" + digest.FromString("x").Encoded(), digest.FromString("x").Encoded(), "bad", "blobs/sha256", "CON", "a:b",
	}
	for i, ref := range refs {
		writer := b.writer(t, ref)
		write(t, writer, bytes.Repeat([]byte{byte(i)}, i+1))
		if err := writer.Close(); err != nil {
			t.Errorf("Close of %q: %v", ref, err)
		}
	}
	w.reopen(t)
	b = w.begin(t, w.lease(t))
	w.wantPartial(t, refs...)
	for i, ref := range refs {
		writer := b.writer(t, ref)
		if d, err := writer.Digest(digest.SHA256); err != nil || d != digest.FromBytes(bytes.Repeat([]byte{byte(i)}, i+1)) {
			t.Errorf("under %q there are other bytes: %s, %v", ref, d, err)
		}
		if err := writer.Close(); err != nil {
			t.Errorf("Close of %q: %v", ref, err)
		}
		if err := w.Abort(t.Context(), ref); err != nil {
			t.Errorf("Abort of %q: %v", ref, err)
		}
	}
	w.wantPartial(t)
}
