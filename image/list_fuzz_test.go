package image_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// FuzzListEdit makes random edits, by the seed, on a list. Whatever comes out must
// be what was asked for, and be decoded again; what was not edited stays.
func FuzzListEdit(f *testing.F) {
	for _, seed := range []string{sparseIndex, emptyIndex, dockerList, `{"schemaVersion":2,"mediaType":"$L","manifests":null,"annotations":1}`} {
		f.Add([]byte(expand(seed)), uint64(1))
	}
	for _, data := range testdata(f, "in.json") {
		f.Add(data, uint64(2))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		doc, err := image.Decode(data, image.Declared{}, image.Limits{})
		l, ok := doc.(*image.List)
		if err != nil || !ok {
			return
		}
		same, err := l.Keep(func(ocispec.Descriptor) bool { return true })
		if err != nil || !bytes.Equal(same.Bytes(), data) {
			t.Fatalf("keeping all: %v: %s", err, same.Bytes())
		}
		random := rand.New(rand.NewPCG(seed, 0))
		for range 4 {
			edited, err := randomEdit(random, l)
			if err != nil {
				known(t, err)
				continue
			}
			again, err := image.Decode(edited.Bytes(), image.Declared{Descriptor: l.MediaType()}, image.Limits{})
			if err != nil {
				t.Fatalf("decoding an edited list: %v\n%s", err, edited.Bytes())
			}
			if diff := cmp.Diff(edited.Edges(), again.Edges()); diff != "" {
				t.Fatalf("edges before and after decoding again:\n%s", diff)
			}
			l = edited
		}
	})
}

// randomEdit makes one edit and checks what it says it did.
func randomEdit(random *rand.Rand, l *image.List) (*image.List, error) {
	entries := l.Instances()
	d := digestOf("none")
	if len(entries) > 0 {
		d = entries[random.IntN(len(entries))].Digest
	}
	to := manifestDesc(strconv.Itoa(random.IntN(4)))
	if random.IntN(2) == 0 {
		to = onPlatform(to, "linux", "arm", []string{"", "v7"}[random.IntN(2)])
	}
	switch random.IntN(6) {
	case 0:
		return l.Update(d, to)
	case 1:
		return l.Add(to)
	case 2:
		return l.Keep(func(ocispec.Descriptor) bool { return random.IntN(2) == 0 })
	case 3:
		return l.Annotate(d, map[string]string{"a": "1", "b": ""})
	case 4:
		return l.Annotate("", map[string]string{"\u2028": "<"})
	default:
		return l.CloneInstance(d, to, []image.Compression{image.Gzip, image.Zstd}[random.IntN(2)])
	}
}

// known checks that an error is of one of the kinds that the package promises.
func known(t *testing.T, err error) {
	t.Helper()
	for _, kind := range []error{
		errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrResourceExhausted,
		errdefs.ErrNotImplemented, errdefs.ErrDataLoss, errdefs.ErrAlreadyExists,
	} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Errorf("error of no kind: %v", err)
}

// testdata returns all files of that name below testdata/convert.
func testdata(tb testing.TB, name string) [][]byte {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "convert", "*", name))
	if err != nil || len(paths) == 0 {
		tb.Fatal("no seeds:", err)
	}
	var all [][]byte
	for _, path := range paths {
		all = append(all, readFile(tb, path))
	}
	return all
}
