package storetest

import (
	"maps"
	"strings"
	"testing"
	"unicode"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
)

// hostileDigests are what is not a digest, or none that can be.
func hostileDigests() map[string]string {
	hex := digest.FromString("x").Encoded()
	return map[string]string{
		"B09 empty":                    "",
		"B09 no colon":                 "sha256",
		"B09 hex alone":                hex,
		"B09 no hex":                   "sha256:",
		"B09 a colon":                  ":",
		"B09 no algorithm":             ":" + hex,
		"B09 63 characters":            "sha256:" + hex[1:],
		"B09 65 characters":            "sha256:" + hex + "0",
		"B09 upper case":               "sha256:" + hex[1:] + "A",
		"B09 algorithm in upper case":  "SHA256:" + hex,
		"B09 no hex character":         "sha256:" + hex[1:] + "g",
		"B09 digits of another script": "sha256:" + hex[2:] + "\u0661",
		"B09 spaces":                   " sha256:" + hex[1:] + " ",
		"B09 too short for sha512":     "sha512:" + hex,
		"B10 above":                    "sha256:../../x",
		"B10 above, of 64 characters":  "sha256:" + hex[2:] + "..",
		"B10 absolute":                 "sha256:/etc/passwd",
		"B10 above, before":            "../sha256:" + hex,
		"B10 above, algorithm":         "sha256/../../x:" + hex,
		"B10 a separator":              "sha256:" + hex[:31] + "/" + hex[32:],
		"B10 another separator":        "sha256:" + hex[:31] + `\` + hex[32:],
		"B10 a zero byte":              "sha256:" + hex[1:] + "\x00",
		"B10 a newline":                "sha256:" + hex[1:] + "\n",
		"B10 escaped":                  "sha256:" + hex[3:] + "%2f",
		"B10 a format":                 "sha256:%s%s%n",
		"B11 md5":                      "md5:d41d8cd98f00b204e9800998ecf8427e",
		"B11 sha1":                     "sha1:" + hex[:40],
		"B11 blake3":                   "blake3:" + hex,
		"B11 two algorithms":           "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
	}
}

// hostileDigest checks that a digest which is not valid touches nothing.
func (f Factory) hostileDigest(t *testing.T) {
	w := f.world(t)
	b := w.begin(t, w.lease(t))
	for row, hostile := range hostileDigests() {
		d := digest.Digest(hostile)
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: 1}
		for name, call := range map[string]func() error{
			"Stat":   func() error { _, err := w.Stat(t.Context(), d); return err },
			"Open":   func() error { _, err := readAll(t.Context(), w, d, 0); return err },
			"OpenAt": func() error { _, err := w.OpenAt(t.Context(), d); return err },
			"Facts":  func() error { _, err := w.Facts(t.Context(), d); return err },
			"Put":    func() error { _, err := b.Put(t.Context(), desc, image.RoleLayer, w.src.of([]byte("x"))); return err },
			"Hold":   func() error { return w.Hold(t.Context(), w.lease(t), d) },
			"Commit": func() error {
				writer, err := b.Writer(t.Context(), "ref of "+hostile)
				if err != nil {
					return err
				}
				if _, err := writer.Write([]byte("x")); err != nil {
					return err
				}
				return writer.Commit(t.Context(), desc, image.RoleLayer)
			},
			"Move": func() error {
				desc.MediaType = ocispec.MediaTypeImageManifest
				_, err := w.Move(t.Context(), store.Move{Name: busybox, To: desc})
				return err
			},
		} {
			if err := call(); !invalid(err) {
				t.Errorf("%s, %s of %q: %v; want %v", row, name, hostile, err, errdefs.ErrInvalidArgument)
			}
		}
	}
	b.publish(t)
	w.wantBlobs(t)
	w.wantNames(t, map[string]digest.Digest{})
}

// hostileNames are what is no name in its normal form with a tag or digest.
func hostileNames(d digest.Digest) map[string]string {
	hex := d.Encoded()
	const repository = "docker.io/library/busybox"
	return map[string]string{
		"B16 empty":                     "",
		"B16 a space":                   " ",
		"B16 no tag":                    repository,
		"B16 tag is empty":              repository + ":",
		"B16 tag of 129 characters":     repository + ":" + strings.Repeat("x", 129),
		"B16 tag begins with a dash":    repository + ":-x",
		"B16 tag begins with a dot":     repository + ":.x",
		"B16 tag with a space":          repository + ":a b",
		"B16 tag with a zero byte":      repository + ":latest\x00",
		"B16 tag with a newline":        repository + ":latest\n",
		"B16 tag with an escape":        repository + ":\x1b[31m",
		"B16 tag with a zero, escaped":  repository + ":%00",
		"B16 tag of other letters":      repository + ":\u0430lpine",
		"B16 tag that runs to the left": repository + ":a\u202eb",
		"B16 tag with combined letters": repository + ":e\u0301",
		"B16 tag with a picture":        repository + ":\U0001f680",
		"B16 tag with a slash":          repository + ":latest/",
		"B16 tag with two dots":         repository + ":../x",
		"B16 no UTF-8":                  "\xff:x",
		"B17 short":                     "busybox",
		"B17 short, with a tag":         "busybox:latest",
		"B17 no host":                   "library/busybox:latest",
		"B17 no library":                "docker.io/busybox",
		"B17 upper case":                "docker.io/library/BusyBox:latest",
		"B17 two slashes":               "docker.io//busybox:latest",
		"B17 a slash before":            "/docker.io/library/busybox:latest",
		"B17 above":                     "docker.io/library/../busybox:latest",
		"B17 here":                      "docker.io/./busybox:latest",
		"B17 256 characters":            "docker.io/" + strings.Repeat("x", 256) + ":latest",
		"B17 100,000 characters":        "docker.io/" + strings.Repeat("x/", 50_000) + "x:latest",
		"B17 64 hex characters":         "docker.io/library/" + hex,
		"B17 ends with a dot":           "docker.io/library/a.:x",
		"B17 three separators":          "docker.io/library/a__.b:x",
		"B18 another name of the host":  "index.docker.io/library/busybox:latest",
		"B18 user and password":         "user:password@registry.example/a:b",
		"B18 port that is none":         "registry.example:99999/a:b",
		"B18 a zone":                    "[::1%25eth0]:5000/a:b",
		"B18 a newline in the host":     "registry\n.example/a:b",
		"B20 digest is short":           repository + "@sha256:" + hex[1:],
		"B20 digest of another kind":    repository + "@md5:d41d8cd98f00b204e9800998ecf8427e",
		"B22 an ID":                     hex,
		"B22 a short ID":                hex[:12],
		"B22 a digest":                  d.String(),
		"dangling: no digest":           "@",
		"dangling: hex alone":           "@" + hex,
		"dangling: no hex":              "@sha256:",
		"dangling: 63 characters":       "@sha256:" + hex[1:],
		"dangling: above":               "@sha256:../../x",
		"dangling: twice":               "@@" + d.String(),
		"dangling: as others write it":  "moby-dangling@" + d.String(),
	}
}

// hostileName checks that what is no name in its normal form names nothing.
func (f Factory) hostileName(t *testing.T) {
	w := f.world(t)
	im := w.images(t, "a")[0]
	for row, name := range hostileNames(im.Digest) {
		if _, err := w.Move(t.Context(), store.Move{Name: name, To: im}); !invalid(err) {
			t.Errorf("%s: Move of %.100q: %v; want %v", row, name, err, errdefs.ErrInvalidArgument)
		} else if len(err.Error()) > 2000 || strings.ContainsFunc(err.Error(), unicode.IsControl) {
			t.Errorf("%s: the error has %d bytes, or control characters: %.2000q", row, len(err.Error()), err)
		}
		if _, err := w.Move(t.Context(), store.Move{Name: alpine, To: im}, store.Move{Name: name}); !invalid(err) {
			t.Errorf("%s: removal of %.100q: %v; want %v", row, name, err, errdefs.ErrInvalidArgument)
		}
		w.view(t, func(r store.NameReader) {
			if rec, err := r.Get(name); !invalid(err) && !errdefs.IsNotFound(err) {
				t.Errorf("%s: Get of %.100q: %+v, %v", row, name, rec, err)
			}
		})
	}
	_, err := w.Move(t.Context(), store.Move{Name: alpine, To: im}, store.Move{Name: alpine})
	wantKind(t, "B21 a name twice", err, errdefs.ErrInvalidArgument)
	w.wantNames(t, map[string]digest.Digest{})
	for _, name := range []string{
		busybox, debian, "docker.io/library/a__b:x", "localhost/a:b", "[::1]:5000/a:b", "docker.io/library/busybox@" + im.Digest.String(),
		"docker.io/" + strings.Repeat("x/", 100) + "x:" + strings.Repeat("_", 128), "127.0.0.1:5000/a/b/c:0", "docker.io/library/x:CON",
	} {
		w.move(t, store.Move{Name: name, To: im})
		if r := w.record(t, name); r.Name != name {
			t.Errorf("Get of %q: %q", name, r.Name)
		}
	}
}

// hostileLabels checks that labels are kept as they are, and never acted on.
func (f Factory) hostileLabels(t *testing.T) {
	w := f.world(t)
	labels := map[string]string{
		"containerd.io/gc.expire":         "2001-01-01T00:00:00Z",
		"containerd.io/gc.root":           "",
		"containerd.io/gc.ref.content.0":  "sha256:../../x",
		"containerd.io/gc.bref.content.0": digest.FromString("x").String(),
		"dhow.dev/dangling":               "true",
		"org.mobyproject.dangling":        "1",
		"a\tb":                            " c\td ",
		"ä\u202e":                         "аlpine",
		"%s":                              "%n",
		"../..":                           "/etc/passwd",
		"long":                            strings.Repeat("x", 1000),
	}
	root := w.src.Image(testimage.Image{Platform: amd64()})
	w.name(t, root, busybox)
	w.move(t, store.Move{Name: busybox, To: target(root), Labels: labels})
	w.collect(t)
	w.reopen(t)
	w.collect(t)
	if r := w.record(t, busybox); !maps.Equal(r.Labels, labels) {
		t.Errorf("labels: %s", cmp.Diff(labels, r.Labels))
	}
	w.wantImage(t, root)
	w.wantNames(t, map[string]digest.Digest{busybox: root.Digest})
}

// reservedLabels checks that labels which mean something to containerd's collector mean
// nothing to a store: neither keep they what they name, nor end they anything.
func (f Factory) reservedLabels(t *testing.T) {
	w := f.world(t)
	root := w.src.Image(testimage.Image{Platform: amd64()})
	w.name(t, root, busybox)
	held := w.lease(t)
	b := w.begin(t, held)
	kept := b.blob(t, []byte("kept"))
	b.publish(t)
	b.close(t)

	other := w.lease(t)
	b = w.begin(t, other)
	named := b.blob(t, []byte("named by labels alone"))
	b.publish(t)
	b.close(t)
	labels := map[string]string{
		"containerd.io/gc.root":                       "2026-01-01T00:00:00Z",
		"containerd.io/gc.ref.content":                named.Digest.String(),
		"containerd.io/gc.ref.content.0":              named.Digest.String(),
		"containerd.io/gc.ref.content.config":         named.Digest.String(),
		"containerd.io/gc.bref.content.m.0":           named.Digest.String(),
		"containerd.io/gc.expire":                     "2001-01-01T00:00:00Z",
		"containerd.io/gc.flat":                       "true",
		"containerd.io/distribution.source.docker.io": "library/busybox",
		"containerd.io/uncompressed":                  named.Digest.String(),
		"io.dhow.document":                            ocispec.MediaTypeImageManifest,
		"io.dhow.process":                             "1",
		"containerd.io/restart.loguri":                "binary:///bin/sh",
	}
	w.move(t, store.Move{Name: busybox, To: target(root), Labels: labels})
	if _, err := w.Lease(t.Context(), store.Lease{ID: "labelled", Labels: labels}); err != nil {
		t.Fatal("Lease:", err)
	}
	w.release(t, other)
	w.collect(t)
	w.reopen(t)
	w.collect(t)
	w.wantAbsent(t, named.Digest)
	w.wantImage(t, root)
	w.wantBlob(t, kept.Digest)
	if r := w.record(t, busybox); !maps.Equal(r.Labels, labels) {
		t.Errorf("labels: %s", cmp.Diff(labels, r.Labels))
	}
	for _, l := range w.leases(t) {
		if l.ID == "labelled" && !maps.Equal(l.Labels, labels) {
			t.Errorf("labels of the lease: %s", cmp.Diff(labels, l.Labels))
		}
	}
	w.wantLeases(t, held, "labelled")
}
