package tarindex_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/tarindex"
)

// file is a header and its content.
type file struct {
	tar.Header
	data string
}

func regular(name, data string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(data)), Mode: 0o644}, data}
}

func link(kind byte, name, target string) file {
	return file{tar.Header{Name: name, Typeflag: kind, Linkname: target}, ""}
}

// archive writes files, and an end mark.
func archive(tb testing.TB, files ...file) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if err := w.WriteHeader(&f.Header); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, f.data); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func read(tb testing.TB, data []byte) (*tarindex.Index, error) {
	tb.Helper()
	return tarindex.Read(tb.Context(), bytes.NewReader(data), int64(len(data)))
}

func TestRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long/", 60) + "name"
	gnu := regular(long+"-gnu", "gnu")
	gnu.Format = tar.FormatGNU
	pax := regular("päx", "pax")
	pax.PAXRecords = map[string]string{"DHOW.note": "x"}
	data := archive(t,
		file{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": strings.Repeat("c", 700)}}, ""},
		file{tar.Header{Name: "./", Typeflag: tar.TypeDir}, ""},
		file{tar.Header{Name: "dir/", Typeflag: tar.TypeDir}, ""},
		file{tar.Header{Name: "dir", Typeflag: tar.TypeDir}, ""},
		regular("./dir/a", "a"), regular("empty", ""), regular("b//./b", strings.Repeat("b", 512)),
		regular(long, strings.Repeat("c", 513)), gnu, pax,
		link(tar.TypeSymlink, "dir/link", "../b/b"), link(tar.TypeLink, "dir/hard", "dir/a"), link(tar.TypeSymlink, "early", "late"),
		file{tar.Header{Name: "fifo", Typeflag: tar.TypeFifo}, ""},
		regular("late", "late"),
	)
	x, err := read(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if !x.Ended() {
		t.Error("the archive has no end mark")
	}
	if want := []string{"dir/a", "empty", "b/b", long, long + "-gnu", "päx", "late"}; !slices.Equal(x.Files(), want) {
		t.Errorf("files %q, want %q", x.Files(), want)
	}
	for name, want := range map[string]string{
		"dir/a": "a", "./dir/../dir/a": "a", "empty": "", "b/b": strings.Repeat("b", 512), long: strings.Repeat("c", 513),
		long + "-gnu": "gnu", "päx": "pax", "dir/link": strings.Repeat("b", 512), "dir/hard": "a", "early": "late",
	} {
		if got, err := x.Bytes(name, 600); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := x.Bytes("b/b", 511); !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), `"b/b"`) {
		t.Errorf("more than the limit: %v", err)
	}
	if x.Has("nothing") || !x.Has("fifo") {
		t.Error("Has is wrong")
	}
}

func TestLookupRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind   byte
		target string
		want   string
	}{
		"B66 symlink out of the archive":     {tar.TypeSymlink, "../../etc/passwd", "out of it"},
		"B66 symlink to the parent":          {tar.TypeSymlink, "../..", "out of it"},
		"B66 absolute symlink":               {tar.TypeSymlink, "/d/file", "out of it"},
		"B66 absolute hard link":             {tar.TypeLink, "/d/file", "out of it"},
		"B66 hard link out of the archive":   {tar.TypeLink, "../x", "out of it"},
		"B66 symlink to itself":              {tar.TypeSymlink, "link", "not a file"},
		"B66 symlink loop":                   {tar.TypeSymlink, "back", "not a file"},
		"B66 two symlinks in a row":          {tar.TypeSymlink, "hop", "not a file"},
		"B66 symlink to a directory":         {tar.TypeSymlink, ".", "not a file"},
		"B66 symlink to nothing":             {tar.TypeSymlink, "nothing", "not there"},
		"hard link relative to its own":      {tar.TypeLink, "file", "not there"},
		"a directory in the place of a file": {tar.TypeDir, "", "not a file"},
		"a FIFO in the place of a file":      {tar.TypeFifo, "", "not a file"},
		"a device in the place of a file":    {tar.TypeChar, "", "not a file"},
		"an unknown kind of entry":           {'Z', "", "not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, err := read(t, archive(t, file{tar.Header{Name: "d", Typeflag: tar.TypeDir}, ""}, regular("d/file", "x"),
				link(tc.kind, "d/link", tc.target), link(tar.TypeSymlink, "d/back", "link"), link(tar.TypeSymlink, "d/hop", "file")))
			if err != nil {
				t.Fatal(err)
			}
			if m, err := x.Lookup("d/link"); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), `"d/link"`) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Lookup: %v, %v; want an invalid argument with %q", m, err, tc.want)
			}
		})
	}
	cut := archive(t, regular("file", "x"))[:1024]
	x, err := read(t, cut)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Lookup("more"); x.Ended() || !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("an entry that is missing after an archive without an end: %v", err)
	}
}

// patched writes an archive of one file and changes its header block.
func patched(tb testing.TB, f file, change func(block []byte)) []byte {
	tb.Helper()
	data := archive(tb, f)
	at := bytes.LastIndex(data, []byte(f.data)) - 512
	block := data[at : at+512]
	change(block)
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("content!", 256)
	plain := archive(t, regular("file", content))
	named := func(name string) []byte { return archive(t, regular(name, "x")) }
	withRecord := func(key, value string) []byte {
		f := regular("file", content)
		f.PAXRecords = map[string]string{key: value}
		return archive(t, f)
	}
	sizedByPAX := file{tar.Header{Name: "file", Typeflag: tar.TypeReg, Size: int64(len(content)), PAXRecords: map[string]string{"X.yz": "2048"}}, content}
	differential := patched(t, sizedByPAX, func(block []byte) { copy(block[124:136], "00000001000\x00") })
	differential = bytes.Replace(differential, []byte("X.yz=2048"), []byte("size=2048"), 1)
	both := regular(strings.Repeat("n", 200), content)
	both.Format = tar.FormatGNU
	for name, tc := range map[string]struct {
		data []byte
		kind error
		want string
	}{
		"nothing but text":               {[]byte(strings.Repeat("no archive ", 100)), errdefs.ErrInvalidArgument, "entry 0"},
		"B54 name with ..":               {named("d/../../x"), errdefs.ErrInvalidArgument, `"d/../../x"`},
		"B54 name that is ..":            {named(".."), errdefs.ErrInvalidArgument, `".."`},
		"B54 absolute name":              {named("/etc/passwd"), errdefs.ErrInvalidArgument, "absolute"},
		"B54 no name":                    {named(""), errdefs.ErrInvalidArgument, "no name"},
		"B61 name of 5000 bytes":         {named(strings.Repeat("n", 5000)), errdefs.ErrResourceExhausted, "5000 bytes"},
		"B61 link target of 5000 bytes":  {archive(t, link(tar.TypeSymlink, "l", strings.Repeat("n", 5000))), errdefs.ErrResourceExhausted, `"l"`},
		"B61 PAX records of 2 MiB":       {patched(t, file{tar.Header{Name: "p", Typeflag: tar.TypeReg, Size: 2 << 20}, strings.Repeat("z", 2<<20)}, func(b []byte) { b[156] = 'x' }), errdefs.ErrResourceExhausted, "entry 0"},
		"B62 sparse by GNU":              {patched(t, regular("file", content), func(b []byte) { b[156] = 'S'; copy(b[257:265], "ustar  \x00"); clear(b[386:]) }), errdefs.ErrNotImplemented, `"file"`},
		"B62 sparse by PAX":              {bytes.Replace(withRecord("X23.sparse.major", "9"), []byte("X23.sparse.major"), []byte("GNU.sparse.major"), 1), errdefs.ErrNotImplemented, `"file"`},
		"B63 cut off in the content":     {plain[:1024+512], errdefs.ErrInvalidArgument, `"file"`},
		"B63 cut off in a header":        {plain[:300], errdefs.ErrInvalidArgument, "cut off"},
		"B63 bad checksum":               {append([]byte("X"), plain[1:]...), errdefs.ErrInvalidArgument, "entry 0"},
		"B63 size of 8 EiB":              {patched(t, regular("file", content), func(b []byte) { copy(b[124:], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") }), errdefs.ErrInvalidArgument, "9223372036854775807"},
		"B63 negative size":              {patched(t, regular("file", content), func(b []byte) { copy(b[124:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") }), errdefs.ErrInvalidArgument, "entry 0"},
		"B63 two sizes":                  {differential, errdefs.ErrInvalidArgument, "by one header and"},
		"B63 extended by PAX and by GNU": {slices.Concat(withRecord("X.y", "z")[:1024], archive(t, both)), errdefs.ErrInvalidArgument, "both PAX and GNU"},
		"B63 global path":                {archive(t, file{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "x"}}, ""}, regular("file", "x")), errdefs.ErrInvalidArgument, `"path"`},
		"B64 one name twice":             {archive(t, regular("a", "x"), regular("b", "x"), regular("./a", "y")), errdefs.ErrInvalidArgument, "two entries"},
		"B64 a file and a link":          {archive(t, regular("a", "x"), link(tar.TypeSymlink, "a", "b")), errdefs.ErrInvalidArgument, "two entries"},
		"B64 a file and a directory":     {archive(t, regular("a", "x"), file{tar.Header{Name: "a/", Typeflag: tar.TypeDir}, ""}), errdefs.ErrInvalidArgument, "two entries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, err := read(t, tc.data)
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Read: %v, %v; want %v with %q", x, err, tc.kind, tc.want)
			}
		})
	}
}

func TestIsHeader(t *testing.T) {
	t.Parallel()
	data := archive(t, regular("a", "x"))
	for name, tc := range map[string]struct {
		data []byte
		want bool
	}{
		"an archive":       {data, true},
		"a header alone":   {data[:512], true},
		"a part of one":    {data[:511], false},
		"the end mark":     {make([]byte, 1024), false},
		"one byte changed": {append([]byte("b"), data[1:]...), false},
		"text":             {[]byte(strings.Repeat("text", 200)), false},
		"nothing":          {nil, false},
	} {
		if got := tarindex.IsHeader(tc.data); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	one := archive(t, file{tar.Header{Name: "d/", Typeflag: tar.TypeDir}, ""})[:512]
	many := bytes.Repeat(one, 100_001)
	if _, err := read(t, many); !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "100000 entries") {
		t.Errorf("100,001 entries: %v", err)
	}
	var files []file
	for i := range 4200 {
		files = append(files, regular(fmt.Sprintf("%04000d", i), ""))
	}
	if _, err := read(t, archive(t, files...)); !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "16777216 together") {
		t.Errorf("names of 16.8 MB: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tarindex.Read(ctx, bytes.NewReader(many), int64(len(many))); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(archive(f, regular("a", "x"), link(tar.TypeSymlink, "b", "a"), link(tar.TypeLink, "c", "b")))
	f.Add(archive(f, regular(strings.Repeat("n", 300), strings.Repeat("x", 1000))))
	f.Add(archive(f, file{tar.Header{Name: "p", Size: 1, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"A.b": "c"}}, "x"}))
	f.Add(archive(f, file{tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}, ""}, regular("a", "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := read(t, data)
		if err != nil {
			return
		}
		sequential := map[string][]byte{}
		for r := tar.NewReader(bytes.NewReader(data)); ; {
			hdr, err := r.Next()
			if err != nil {
				break
			}
			if sequential[hdr.Name], err = io.ReadAll(r); err != nil {
				t.Fatalf("%q is in the index, and cannot be read: %v", hdr.Name, err)
			}
		}
		for _, name := range x.Files() {
			m, err := x.Lookup(name)
			if err != nil || m.Offset < 0 || m.Size < 0 || m.Offset+m.Size > int64(len(data)) {
				t.Fatalf("%q: %+v, %v", name, m, err)
			}
			got, err := x.Bytes(name, int64(len(data)))
			if want, ok := sequential[name]; err != nil || ok && !bytes.Equal(got, want) {
				t.Errorf("%q: %q, %v; read in a row it is %q", name, got, err, want)
			}
		}
	})
}
