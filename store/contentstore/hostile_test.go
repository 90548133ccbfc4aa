package contentstore_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
)

// TestReservedLabels shows that labels which mean something to containerd's collector mean
// nothing here: what they name is not kept by them, and nothing ends by them.
func TestReservedLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	named := w.src.Put("text/plain", []byte("named by labels alone"))
	w.write(t, named)
	labels := map[string]string{
		"containerd.io/gc.root":                       "2026-01-01T00:00:00Z",
		"containerd.io/gc.ref.content.0":              named.Digest.String(),
		"containerd.io/gc.ref.content.config":         named.Digest.String(),
		"containerd.io/gc.bref.content.0":             named.Digest.String(),
		"containerd.io/gc.expire":                     "2001-01-01T00:00:00Z",
		"containerd.io/distribution.source.docker.io": "../../x",
		"containerd.io/uncompressed":                  "sha256:../../x",
	}
	labelled := w.src.Put("text/plain", []byte("labelled"))
	err := content.WriteBlob(t.Context(), w, "ref", bytes.NewReader(w.src.Get(labelled.Digest)), labelled, content.WithLabels(labels))
	if err != nil {
		t.Fatal("WriteBlob:", err)
	}
	if info, err := w.Info(t.Context(), labelled.Digest); err != nil || len(info.Labels) > 0 {
		t.Errorf("B45 Info: %+v, %v; want no labels", info, err)
	}
	if err := w.Delete(t.Context(), named.Digest); err != nil {
		t.Error("Delete:", err)
	}
	w.collect(t)
	w.wantThere(t, labelled.Digest)
}

// TestHostileDescriptors shows what descriptors and refs are refused, with nothing left.
func TestHostileDescriptors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	hex := digest.FromString("x").Encoded()
	for row, d := range map[string]digest.Digest{
		"B09 no hex":            "sha256:",
		"B09 63 characters":     digest.Digest("sha256:" + hex[1:]),
		"B09 upper case":        digest.Digest("sha256:" + strings.ToUpper(hex)),
		"B10 above":             "sha256:../../../../etc/passwd",
		"B10 a format":          "sha256:%s%s%n",
		"B10 a zero byte":       digest.Digest("sha256:" + hex[1:] + "\x00"),
		"B11 unknown algorithm": "md5:d41d8cd98f00b204e9800998ecf8427e",
	} {
		desc := ocispec.Descriptor{Digest: d, Size: 1}
		for what, err := range map[string]error{
			"Writer":   second(w.Writer(t.Context(), content.WithRef("x"), content.WithDescriptor(desc))),
			"ReaderAt": second(w.ReaderAt(t.Context(), desc)),
			"Info":     second(w.Info(t.Context(), d)),
			"Update":   second(w.Update(t.Context(), content.Info{Digest: d})),
			"Delete":   w.Delete(t.Context(), d),
		} {
			if !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) {
				t.Errorf("%s: %s: %v", row, what, err)
			}
		}
	}
	for row, ref := range map[string]string{"above": "../../x", "a zero byte": "a\x00b", "control characters": "\x1b[31m\n", "no UTF-8": "\xff", "a digest": "sha256:" + hex} {
		desc := w.src.Put("text/plain", []byte(row))
		if err := content.WriteBlob(t.Context(), w, ref, bytes.NewReader(w.src.Get(desc.Digest)), desc); err != nil {
			t.Errorf("B10 a ref with %s: %v", row, err)
		}
		if err := w.Delete(t.Context(), desc.Digest); err != nil {
			t.Errorf("B10 a ref with %s: Delete: %v", row, err)
		}
	}
	w.wantThere(t)
	if all, err := w.ListStatuses(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("ListStatuses: %v, %v", all, err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestHostileDocuments shows that a document which does not decode is refused as one, and
// kept as bytes of no known type.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	im := w.src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	for row, tc := range map[string]struct{ mediaType, data string }{
		"B23 too large":         {ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}` + strings.Repeat(" ", 4<<20)},
		"B24 depth bomb":        {ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`},
		"B27 both kinds":        {ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"manifests":[],"layers":[]}`},
		"B30 two documents":     {ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}{}`},
		"B10 a digest above":    {ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../../x","size":1}]}`},
		"B42 config of no JSON": {ocispec.MediaTypeImageConfig, "config"},
	} {
		desc := w.src.Put(tc.mediaType, []byte(tc.data))
		err := content.WriteBlob(t.Context(), w, "ref", strings.NewReader(tc.data), desc)
		if !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) {
			t.Errorf("%s: WriteBlob: %v", row, err)
		}
		w.wantThere(t)
		if err := w.Abort(t.Context(), "ref"); err != nil && !errdefs.IsNotFound(err) {
			t.Errorf("%s: Abort: %v", row, err)
		}
		desc.MediaType = "application/octet-stream"
		w.write(t, desc)
		w.wantThere(t, desc.Digest)
		if err := w.Delete(t.Context(), desc.Digest); err != nil {
			t.Errorf("%s: Delete: %v", row, err)
		}
	}
	w.writeImage(t, im) // goes on
}
