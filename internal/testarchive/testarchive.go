// Package testarchive makes archives for tests: tar archives, in any order and as broken as a
// test wants them, what compressors make of them, and images as Docker saved them before it
// wrote OCI layouts.
package testarchive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"testing"
)

// Member is one entry of an archive: a file, or with a kind something else.
type Member struct {
	Name, Data string
	Kind       byte   // as tar.Header.Typeflag has it; 0 is a file
	Link       string // what a link leads to
}

// Archive has the members of an archive in their order. Its methods leave it as it is, and
// return another one.
type Archive []Member

// Pack returns the tar archive.
func (a Archive) Pack(tb testing.TB) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range a {
		hdr := tar.Header{Name: m.Name, Typeflag: cmp.Or(m.Kind, tar.TypeReg), Linkname: m.Link, Mode: 0o644}
		if hdr.Typeflag == tar.TypeReg {
			hdr.Size = int64(len(m.Data))
		}
		if err := w.WriteHeader(&hdr); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, m.Data); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// Unpack returns the members of a tar archive, and their headers in the same order.
func Unpack(tb testing.TB, data []byte) (members Archive, headers []*tar.Header) {
	tb.Helper()
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		hdr, err := r.Next()
		if err == io.EOF { //nolint:errorlint // archive/tar returns it as it is
			return members, headers
		}
		if err != nil {
			tb.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		members = append(members, Member{hdr.Name, string(content), hdr.Typeflag, hdr.Linkname})
		headers = append(headers, hdr)
	}
}

// Edit changes the first member of a name, which has to be there.
func (a Archive) Edit(tb testing.TB, name string, change func(m *Member)) Archive {
	tb.Helper()
	a = slices.Clone(a)
	change(&a[a.index(tb, name)])
	return a
}

// Set is Edit that gives the member another content.
func (a Archive) Set(tb testing.TB, name, data string) Archive {
	tb.Helper()
	return a.Edit(tb, name, func(m *Member) { m.Data = data })
}

// Link is Edit that makes something of a kind of the member, without any content: a link, which
// leads to the target, or a device say.
func (a Archive) Link(tb testing.TB, name string, kind byte, target string) Archive {
	tb.Helper()
	return a.Edit(tb, name, func(m *Member) { m.Kind, m.Link, m.Data = kind, target, "" })
}

// With adds members at the end.
func (a Archive) With(more ...Member) Archive { return slices.Concat(a, more) }

// Without leaves out all members of a name, if there are any.
func (a Archive) Without(name string) Archive {
	return slices.DeleteFunc(slices.Clone(a), func(m Member) bool { return m.Name == name })
}

// Data returns the content of the first member of a name, which has to be there.
func (a Archive) Data(tb testing.TB, name string) string {
	tb.Helper()
	return a[a.index(tb, name)].Data
}

func (a Archive) index(tb testing.TB, name string) int {
	tb.Helper()
	i := slices.IndexFunc(a, func(m Member) bool { return m.Name == name })
	if i < 0 {
		tb.Fatalf("no member %q", name)
	}
	return i
}

// JSON returns the document that a value is.
func JSON(tb testing.TB, v any) string {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}
