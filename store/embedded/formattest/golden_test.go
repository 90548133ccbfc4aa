package formattest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

var update = flag.Bool("update", false, "write the golden file anew")

// fillGolden writes a store whose bytes are always the same, but for the boot of the
// machine and the markers of the journal: everything by itself, as what is published together has no order.
func (w *world) fillGolden(tb testing.TB) {
	tb.Helper()
	layer := w.src.Put(ocispec.MediaTypeImageLayer, []byte("layer\n"))
	config := w.src.Put(ocispec.MediaTypeImageConfig, []byte(`{"created":"2020-01-02T03:04:05Z","architecture":"arm64","os":"linux","variant":"v8"}`))
	child := w.src.Put(ocispec.MediaTypeImageConfig, []byte(`{"config":{"Labels":{"org.mobyproject.image.parent":"`+string(config.Digest)+`"}}}`))
	document := func(mediaType, text string, of ...any) ocispec.Descriptor {
		return w.src.Put(mediaType, fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"`+mediaType+`",`+text+`}`, of...))
	}
	manifest := document(ocispec.MediaTypeImageManifest, `"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]`,
		config.MediaType, config.Digest, config.Size, layer.MediaType, layer.Digest, layer.Size)
	index := document(ocispec.MediaTypeImageIndex, `"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"platform":{"architecture":"arm64","os":"linux","variant":"v8"}},`+
		`{"mediaType":%[1]q,"digest":%[4]q,"size":7,"annotations":{"a":"b"},"platform":{"architecture":"amd64","os":"windows","os.version":"10","os.features":["x"]}}]`,
		manifest.MediaType, manifest.Digest, manifest.Size, digest.FromString("absent"))
	referrer := document(ocispec.MediaTypeImageManifest, `"artifactType":"application/x","config":{"mediaType":%q,"digest":%q,"size":6},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":%d}`,
		"application/y", layer.Digest, manifest.MediaType, manifest.Digest, manifest.Size)

	w.lease(tb, store.Lease{ID: "golden", Labels: map[string]string{"a": "b"}, Until: w.now.Add(time.Hour)})
	w.lease(tb, store.Lease{ID: "other"})
	for _, desc := range []ocispec.Descriptor{layer, config, child} {
		w.blob(tb, "golden", desc, image.RoleLayer)
	}
	w.blob(tb, "golden", config, image.RoleConfig)
	w.blob(tb, "golden", child, image.RoleConfig)
	w.blob(tb, "golden", manifest, image.RoleManifest)
	w.blob(tb, "golden", index, image.RoleIndex)
	w.blob(tb, "golden", referrer, image.RoleManifest)
	w.blob(tb, "golden", w.src.Put("text/plain", bytes.Repeat([]byte("x"), 64<<10+1)), image.RoleLayer)
	w.blob(tb, "other", w.src.Put("text/plain", []byte("collected")), image.RoleLayer)
	w.move(tb, store.Move{Name: one, To: pointing(manifest), Labels: map[string]string{"l": "v"}})
	w.move(tb, store.Move{Name: one, To: pointing(index)}) // manifest dangles
	w.move(tb, store.Move{Name: other, To: pointing(index)})
	w.move(tb, store.Move{Name: other})
	if err := w.Hold(tb.Context(), "golden", digest.SHA512.FromString("comes later")); err != nil {
		tb.Fatal("Hold:", err)
	}
	if err := w.Release(tb.Context(), "other"); err != nil {
		tb.Fatal("Release:", err)
	}
	w.collect(tb)
	w.written(tb, "golden", "Ref\n", []byte("x"))
}

// TestGolden: the bytes of a store do not change unnoticed.
func TestGolden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fillGolden(t)
	w.close(t)
	r := readStore(t, w.dir)
	r.wantFiles(t)
	var out bytes.Buffer
	fmt.Fprintln(&out, "# A store of format 1, file by file: see docs/store-format.md.")
	dumpFiles(t, &out, w.dir)
	dumpJournal(t, &out, filepath.Join(w.dir, "journal/0000000000000001.log"), logMagic)
	dumpDatabase(t, &out, r.db)
	all := rawBytes(t, w.dir, r.db)
	w.open(t)
	w.rewriteJournal(t)
	w.close(t)
	snapshot := filepath.Join(w.dir, "journal/0000000000000002.snap")
	dumpJournal(t, &out, snapshot, snapshotMagic)
	all = append(all, withoutMarker(readFile(t, snapshot)))
	w.open(t)

	const path = "testdata/store.golden"
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(readFile(t, path)), out.String()); diff != "" {
		t.Errorf("the bytes of a store have changed: a store of version 1 may be read no more. - golden + now:\n%.4000s", diff)
	}
	wantExamples(t, all)
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// dumpFiles writes the small files, without the times that are not the clock's.
func dumpFiles(t *testing.T, out *bytes.Buffer, dir string) {
	t.Helper()
	const partial = "ingest/r-%52ef%0a"
	for _, name := range []string{"format", partial, partial + ".ref"} {
		data := string(readFile(t, filepath.Join(dir, name)))
		data = regexp.MustCompile(`started \d+`).ReplaceAllString(data, "started TIME")
		data = regexp.MustCompile(`sum [0-9a-f]{64}`).ReplaceAllString(data, "sum SUM")
		fmt.Fprintf(out, "\n%s\n\t%q\n", name, data)
	}
}

// dumpJournal writes a file of the journal, change by change.
func dumpJournal(t *testing.T, out *bytes.Buffer, path, magic string) {
	t.Helper()
	_, _, entries, rest, err := readSegment(path, magic)
	if err != nil {
		t.Fatal(err)
	}
	data := withoutMarker(readFile(t, path))
	fmt.Fprintf(out, "\njournal/%s\n\theader %x\n", filepath.Base(path), data[:fileHeader])
	for _, e := range entries {
		fmt.Fprintf(out, "\tentry %d at %d: %x\n", e.sequence, e.offset, data[e.offset:][:entryHeader])
		if strings.HasPrefix(string(e.payload), "end\n") {
			fmt.Fprintf(out, "\t\tend %x\n", e.payload)
			continue
		}
		for d := (&decoder{rest: e.payload}); len(d.rest) > 0; {
			before := d.rest
			change := d.change()
			if d.err != nil {
				t.Fatal(d.err)
			}
			fmt.Fprintf(out, "\t\t%s %x\n", strings.TrimPrefix(fmt.Sprintf("%T", change), "formattest."), before[:len(before)-len(d.rest)])
		}
	}
	if magic == logMagic {
		fmt.Fprintf(out, "\tand %d zeros\n", len(rest))
	}
}

// dumpDatabase writes keys and values.
func dumpDatabase(t *testing.T, out *bytes.Buffer, db *database) {
	t.Helper()
	fmt.Fprintf(out, "\ncatalog.db\n")
	for _, name := range buckets {
		fmt.Fprintf(out, "\tbucket %s, sequence %d\n", name, db.sequences[name])
		for _, kv := range db.raw[name] {
			value := kv[1]
			if name == "meta" {
				value = withoutBoot(t, db.state, kv[0], value)
			}
			fmt.Fprintf(out, "\t\t%x = %x\n", kv[0], value)
		}
	}
}

// withoutBoot returns the state of a store on a machine whose boot is called "boot".
func withoutBoot(t *testing.T, s state, key, value []byte) []byte {
	t.Helper()
	encode := func(boot string) []byte {
		var b []byte
		for _, n := range []uint64{s.segment, s.offset, s.sequence} {
			b = binary.AppendUvarint(b, n)
		}
		b = binary.AppendUvarint(binary.AppendVarint(b, s.live), s.epoch)
		b = append(binary.AppendUvarint(b, uint64(len(boot))), boot...)
		for _, flag := range []bool{s.clean, s.sweep} {
			b = append(b, map[bool]byte{true: 1}[flag])
		}
		return binary.LittleEndian.AppendUint32(b, sum(key, b))
	}
	if got := encode(s.boot); !bytes.Equal(got, value) {
		t.Errorf("the state is %x; want %x", value, got)
	}
	return encode("boot")
}

// withoutMarker returns a file of a journal whose entries begin with "a marker".
func withoutMarker(data []byte) []byte {
	data = bytes.ReplaceAll(data, data[32:40], []byte("a marker"))
	binary.LittleEndian.PutUint32(data[40:], sum(data[:40]))
	return data
}

// rawBytes returns all that an example may be taken from.
func rawBytes(t *testing.T, dir string, db *database) [][]byte {
	t.Helper()
	all := [][]byte{readFile(t, filepath.Join(dir, "format")), withoutMarker(readFile(t, filepath.Join(dir, "journal/0000000000000001.log")))}
	for name, kvs := range db.raw {
		for _, kv := range kvs {
			if name == "meta" {
				kv[1] = withoutBoot(t, db.state, kv[0], kv[1])
			}
			all = append(all, kv[0], kv[1])
		}
	}
	return all
}

// wantExamples checks that each example of the page is in a real store: what is in a block
// of hex, one in each paragraph, without what comes after two spaces.
func wantExamples(t *testing.T, in [][]byte) {
	t.Helper()
	page := string(readFile(t, "../../../docs/store-format.md"))
	examples := 0
	for _, block := range regexp.MustCompile("(?s)```hex\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for text := range strings.SplitSeq(strings.TrimSpace(block[1]), "\n\n") {
			examples++
			var digits string
			for line := range strings.SplitSeq(text, "\n") {
				code, _, _ := strings.Cut(line, "  ")
				digits += strings.ReplaceAll(code, " ", "")
			}
			example, err := hex.DecodeString(digits)
			if err != nil {
				t.Errorf("an example of the page is not hex: %v\n%s", err, text)
			}
			found := false
			for _, data := range in {
				found = found || len(example) > 0 && bytes.Contains(data, example)
			}
			if !found {
				t.Errorf("an example of the page is in no store:\n%s", text)
			}
		}
	}
	if examples < 25 {
		t.Errorf("the page has %d examples", examples)
	}
}
