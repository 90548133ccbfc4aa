package service_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/bzip2"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/ulikunitz/xz"
)

// member is one entry of an archive that a test makes: a file, or with a kind something
// else.
type member struct {
	name, data string
	kind       byte
	link       string
}

// pack returns a tar archive of members.
func pack(tb testing.TB, members ...member) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		hdr := tar.Header{Name: m.name, Typeflag: cmp.Or(m.kind, tar.TypeReg), Linkname: m.link, Mode: 0o644}
		if hdr.Typeflag == tar.TypeReg {
			hdr.Size = int64(len(m.data))
		}
		if err := w.WriteHeader(&hdr); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, m.data); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// unpack returns the members of an archive.
func unpack(tb testing.TB, data []byte) []member {
	tb.Helper()
	var all []member
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		hdr, err := r.Next()
		if err == io.EOF { //nolint:errorlint // archive/tar returns it as it is
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, member{hdr.Name, string(content), hdr.Typeflag, hdr.Linkname})
	}
}

// change returns members of which one is changed.
func change(tb testing.TB, members []member, name string, f func(m *member)) []member {
	tb.Helper()
	i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	if i < 0 {
		tb.Fatalf("no member %q", name)
	}
	members = slices.Clone(members)
	f(&members[i])
	return members
}

func leave(members []member, name string) []member {
	return slices.DeleteFunc(slices.Clone(members), func(m member) bool { return m.name == name })
}

func toJSON(tb testing.TB, v any) string {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func gzipped(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	return compressed(tb, &buf, w, data)
}

func zstded(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf)
	if err != nil {
		tb.Fatal(err)
	}
	return compressed(tb, &buf, w, data)
}

func xzed(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w, err := xz.NewWriter(&buf)
	if err != nil {
		tb.Fatal(err)
	}
	return compressed(tb, &buf, w, data)
}

// bzip2ed returns what bzip2 has made of data, which the standard library only reads: it was
// written to testdata once.
func bzip2ed(tb testing.TB, data []byte) []byte {
	tb.Helper()
	const file = "testdata/docker110.tar.bz2"
	packed, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(packed))); err != nil || !bytes.Equal(got, data) {
		tb.Fatalf("%s is not what bzip2 makes of the archive of the test (any more): %v", file, err)
	}
	return packed
}

func compressed(tb testing.TB, buf *bytes.Buffer, w io.WriteCloser, data []byte) []byte {
	tb.Helper()
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// oldItem is an image in manifest.json.
type oldItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// old is an image as Docker has saved it before it wrote OCI layouts.
type old struct {
	layers  []string
	diffIDs []digest.Digest
	config  string
	id      digest.Digest
}

func newOld(tb testing.TB, name string) old {
	tb.Helper()
	var o old
	for i := range 2 {
		layer := string(pack(tb, member{name: fmt.Sprintf("etc/%s-%d", name, i), data: strings.Repeat(name, 1000)}))
		o.layers, o.diffIDs = append(o.layers, layer), append(o.diffIDs, digest.FromString(layer))
	}
	o.config = toJSON(tb, map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Cmd": []string{"/" + name}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": o.diffIDs},
	})
	o.id = digest.FromString(o.config)
	return o
}

func lot(i int) string { return strings.Repeat(fmt.Sprintf("%02x", i), 32) }

// docker110 is what Docker 1.10 to 24 wrote.
func (o old) docker110(tb testing.TB, tags ...string) []member {
	tb.Helper()
	item := oldItem{Config: o.id.Encoded() + ".json", RepoTags: tags}
	var all []member
	for i, layer := range o.layers {
		id := lot(i)
		all = append(all, member{name: id + "/", kind: tar.TypeDir}, member{name: id + "/VERSION", data: "1.0"},
			member{name: id + "/json", data: `{"id":"` + id + `"}`}, member{name: id + "/layer.tar", data: layer})
		item.Layers = append(item.Layers, id+"/layer.tar")
	}
	return append(all, member{name: item.Config, data: o.config}, member{name: "manifest.json", data: toJSON(tb, []oldItem{item})})
}

// docker19 is what Docker wrote before 1.10: a chain of layers with a config each.
func (o old) docker19(tb testing.TB, repository, tag string) []member {
	tb.Helper()
	var all []member
	for i, layer := range o.layers {
		id := lot(i)
		v1 := map[string]any{"id": id, "created": "2015-01-02T03:04:05Z", "architecture": "amd64", "os": "linux", "container_config": map[string]any{"Cmd": []string{"x"}}}
		if i > 0 {
			v1["parent"] = lot(i - 1)
		}
		all = append(all, member{name: id + "/", kind: tar.TypeDir}, member{name: id + "/VERSION", data: "1.0"},
			member{name: id + "/json", data: toJSON(tb, v1)}, member{name: id + "/layer.tar", data: layer})
	}
	last := lot(len(o.layers) - 1)
	return append(all, member{name: "repositories", data: toJSON(tb, map[string]map[string]string{repository: {tag: last}})})
}
