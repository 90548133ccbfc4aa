package service_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// resolveWorld is a store with what references can be about, and its digests by short
// names: upper case for targets, behind a dot what is below one.
type resolveWorld struct {
	*fixture
	digests map[string]digest.Digest
}

func newResolveWorld(tb testing.TB) *resolveWorld {
	tb.Helper()
	w := &resolveWorld{newFixture(tb, service.Options{}), map[string]digest.Digest{}}
	w.lists(tb)
	w.singles(tb)
	w.pairs(tb)
	w.hostile(tb)
	return w
}

// lists adds a list with three names in two repositories, one that is partly there, a
// nested one and a Docker list.
func (w *resolveWorld) lists(tb testing.TB) {
	tb.Helper()
	amd, arm := w.image(tb, "linux/amd64", "busybox"), w.image(tb, "linux/arm64", "busybox")
	att := w.src.Attestation(amd)
	box := w.src.Index(amd, arm, att)
	w.put(tb, box, "busybox", "busybox:1.36", "example.com/mirror/busybox:1.36")
	w.note("B", box.Digest, ".amd", amd.Digest, ".amd.config", w.config(tb, amd), ".amd.layer", w.children(tb, amd)[1].Digest, ".arm", arm.Digest, ".att", att.Digest)

	there, absent := w.image(tb, "linux/amd64", "part"), w.image(tb, "linux/arm64", "part")
	part := w.src.Index(there, absent)
	w.putPart(tb, part, func(n *image.Node) bool { return n.Desc.Digest == absent.Digest }, "part:1")
	w.note("P", part.Digest, ".amd", there.Digest, ".arm", absent.Digest, ".arm.config", w.config(tb, absent))

	deep := w.image(tb, "linux/amd64", "deep")
	list := w.src.List(w.src.Image(testimage.Image{Platform: parsePlatform(tb, "linux/arm64"), Family: testimage.Docker, Name: "deep"}))
	gone := w.index(tb, "gone", "linux/s390x")
	nested := w.src.Index(deep, list, gone)
	w.putPart(tb, nested, func(n *image.Node) bool { return n.Desc.Digest == gone.Digest }, "nested:1")
	w.note("N", nested.Digest, ".amd", deep.Digest, ".list", list.Digest, ".list.arm", w.children(tb, list)[0].Digest, ".gone", gone.Digest)

	shared := w.src.Index(amd, w.image(tb, "linux/ppc64le", "other"))
	w.put(tb, shared, "zz/other:1")
	w.note("S", shared.Digest)
}

// singles adds images of one platform: with names of both kinds, dangling ones, and one
// of another algorithm.
func (w *resolveWorld) singles(tb testing.TB) {
	tb.Helper()
	alpine := w.image(tb, "linux/amd64", "alpine")
	w.put(tb, alpine, "alpine:3.20", "alpine@"+alpine.Digest.String(), "localhost:5000/team/alpine:3.20")
	w.note("A", alpine.Digest, ".config", w.config(tb, alpine))
	pinned := w.image(tb, "linux/amd64", "pinned")
	w.put(tb, pinned, "pinned:2@"+pinned.Digest.String())
	w.note("I", pinned.Digest)
	wrong := w.image(tb, "linux/amd64", "wrong")
	w.put(tb, wrong, "wrong@"+alpine.Digest.String())
	w.note("W", wrong.Digest)

	old, next := w.image(tb, "linux/amd64", "old"), w.image(tb, "linux/amd64", "next")
	w.put(tb, old, "debian:12")
	w.put(tb, next, "debian:12")
	w.note("O", old.Digest, ".config", w.config(tb, old))
	w.note("D", next.Digest)

	src := w.src
	w.src = &testimage.Store{Algorithm: digest.SHA512}
	long := w.image(tb, "linux/amd64", "long")
	w.put(tb, long, "long:512")
	w.note("L", long.Digest)
	w.src = src
}

// pairs adds targets, configs and absent manifests of which two begin alike, and names
// that read as IDs.
func (w *resolveWorld) pairs(tb testing.TB) {
	tb.Helper()
	one, two := w.twins(tb, func(i int) digest.Digest { return w.bare(tb, `{}`, strconv.Itoa(i)).Digest })
	w.note("X", one, "", one)
	w.note("Y", two, "", two)
	for _, d := range []digest.Digest{one, two} {
		w.put(tb, w.described(d), "pair:"+d.Encoded()[:8])
	}
	configOf := func(i int) string { return fmt.Sprintf(`{"os":"linux","architecture":"amd64","author":"%d"}`, i) }
	one, two = w.twins(tb, func(i int) digest.Digest { return digest.FromString(configOf(i)) })
	for i, found := 0, 0; found < 2; i++ {
		d := digest.FromString(configOf(i))
		if d != one && d != two {
			continue
		}
		found++
		m := w.bare(tb, configOf(i), "config")
		w.put(tb, m, fmt.Sprintf("configs:%d", found))
		w.note(fmt.Sprintf("C%d", found), m.Digest, ".config", d)
	}
	named := w.image(tb, "linux/amd64", "named")
	w.put(tb, named, w.digests["A"].Encoded()[:6], "sha256:"+w.digests["D"].Encoded()[:10], w.digests["B.amd.config"].Encoded()[:8], w.digests["X"].Encoded()[:4])
	w.note("K", named.Digest)
	own := w.image(tb, "linux/amd64", "own")
	w.put(tb, own, own.Digest.Encoded()[:7], strings.Repeat("ab", 40))
	w.note("E", own.Digest)
}

// hostile adds a list that names manifests which nobody has, and whose digests begin as
// those of others.
func (w *resolveWorld) hostile(tb testing.TB) {
	tb.Helper()
	var entries []ocispec.Descriptor
	for _, of := range []string{"B", "B.arm", "O"} {
		entries = append(entries, entryFor(w.digests[of].Encoded()[:12]+strings.Repeat("0", 52)))
	}
	for _, end := range []string{"a", "b"} {
		entries = append(entries, entryFor("00000000"+strings.Repeat(end, 56)))
	}
	for i := range 30 {
		entries = append(entries, entryFor(fmt.Sprintf("11111111%056d", i)))
	}
	root := w.src.Index(entries...)
	w.put(tb, root, "hostile:1")
	w.note("H", root.Digest, ".B", entries[0].Digest)
}

func entryFor(hex string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest("sha256:" + hex), Size: 10}
}

// bare adds a manifest without layers.
func (w *resolveWorld) bare(tb testing.TB, config, author string) ocispec.Descriptor {
	tb.Helper()
	return w.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config:      w.src.Put(ocispec.MediaTypeImageConfig, []byte(config)),
		Layers:      []ocispec.Descriptor{},
		Annotations: map[string]string{"author": author},
	})
}

func (w *resolveWorld) described(d digest.Digest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(w.src.Get(d)))}
}

// twins returns two digests that begin with the same four characters, and not with more.
func (w *resolveWorld) twins(tb testing.TB, nth func(i int) digest.Digest) (one, two digest.Digest) {
	tb.Helper()
	seen := map[string]digest.Digest{}
	for i := range 10_000 {
		d := nth(i)
		other, again := seen[d.Encoded()[:4]]
		if again && other.Encoded()[4] != d.Encoded()[4] {
			return other, d
		}
		seen[d.Encoded()[:4]] = d
	}
	tb.Fatal("no two digests begin alike")
	return "", ""
}

// note notes digests: of a target, and of pairs of a suffix and what is below it.
func (w *resolveWorld) note(name string, target digest.Digest, below ...any) {
	w.digests[name] = target
	for i := 0; i < len(below); i += 2 {
		if suffix := below[i].(string); suffix != "" {
			w.digests[name+suffix] = below[i+1].(digest.Digest)
		}
	}
}

var symbol = regexp.MustCompile(`\{([A-Za-z0-9.]+)(#|:(\d+))?\}`)

// fill puts digests in the place of their names: {B} is the digest, {B#} its hex and
// {B:12} the first 12 characters of that.
func (w *resolveWorld) fill(tb testing.TB, s string) string {
	tb.Helper()
	return symbol.ReplaceAllStringFunc(s, func(found string) string {
		parts := symbol.FindStringSubmatch(found)
		d := w.digests[parts[1]]
		switch {
		case d == "":
			tb.Fatalf("%q: there is no %s", s, parts[1])
		case parts[2] == "#":
			return d.Encoded()
		case parts[3] != "":
			n, _ := strconv.Atoi(parts[3])
			return d.Encoded()[:n]
		}
		return string(d)
	})
}

// keys returns the keys of records as they are written in tables: the familiar name, or
// @ and the digest.
func keys(records []store.Record) string {
	var all []string
	for _, rec := range records {
		if rec.Dangling() {
			all = append(all, rec.Key())
			continue
		}
		all = append(all, service.Familiar(rec))
	}
	return strings.Join(all, " ")
}
