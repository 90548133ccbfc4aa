package decompress_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/dhowhq/dhow/internal/decompress"
)

// bzip2Of is "dhow": the standard library only reads it.
const bzip2Of = "425a68393141592653591e9e479d0000000180044080802000219a68334d133c5dc914e142407a791e74"

func gzipped(t testing.TB, data ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	for _, d := range data {
		w := gzip.NewWriter(&buf)
		if _, err := io.WriteString(w, d); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func zstded(t testing.TB, data []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestNewReader(t *testing.T) {
	t.Parallel()
	random := make([]byte, 5000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	skippable := append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), zstded(t, []byte("dhow"))...)
	broken := errors.New("the cable was cut")
	cut := func(data []byte) io.Reader { return bytes.NewReader(data[:len(data)-3]) }
	flipped := func(data []byte) io.Reader {
		data = bytes.Clone(data)
		data[len(data)-6] ^= 0xff
		return bytes.NewReader(data)
	}
	fails := func(data []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(data[:len(data)-3]), iotest.ErrReader(broken))
	}
	whole := func(data []byte) io.Reader { return bytes.NewReader(data) }
	for name, tc := range map[string]struct {
		data   []byte
		format decompress.Format
		read   func([]byte) io.Reader
		want   string
		kind   error
	}{
		"plain":                      {[]byte("dhow"), decompress.None, whole, "dhow", nil},
		"short":                      {[]byte("\x1f\x8b"), decompress.None, whole, "\x1f\x8b", nil},
		"nothing":                    {nil, decompress.None, whole, "", nil},
		"gzip":                       {gzipped(t, "dhow"), decompress.Gzip, whole, "dhow", nil},
		"gzip of several members":    {gzipped(t, "dh", "", "ow"), decompress.Gzip, whole, "dhow", nil},
		"gzip cut off":               {gzipped(t, "dhow"), decompress.Gzip, cut, "", errdefs.ErrInvalidArgument},
		"gzip of another checksum":   {gzipped(t, "dhow"), decompress.Gzip, flipped, "", errdefs.ErrInvalidArgument},
		"gzip and then something":    {append(gzipped(t, "dhow"), "more"...), decompress.Gzip, whole, "", errdefs.ErrInvalidArgument},
		"gzip from a broken source":  {gzipped(t, "dhow"), decompress.Gzip, fails, "", broken},
		"gzip header alone":          {[]byte("\x1f\x8b\x08"), decompress.Gzip, whole, "", errdefs.ErrInvalidArgument},
		"zstd":                       {zstded(t, []byte("dhow")), decompress.Zstd, whole, "dhow", nil},
		"zstd, skippable first":      {skippable, decompress.Zstd, whole, "dhow", nil},
		"zstd cut off":               {zstded(t, random), decompress.Zstd, cut, "", errdefs.ErrInvalidArgument},
		"zstd of another checksum":   {zstded(t, random), decompress.Zstd, flipped, "", errdefs.ErrInvalidArgument},
		"zstd from a broken source":  {zstded(t, random), decompress.Zstd, fails, "", broken},
		"zstd with a window of 2 GB": {unhex(t, "28b52ffd00a8010000"), decompress.Zstd, whole, "", errdefs.ErrResourceExhausted},
		"bzip2":                      {unhex(t, bzip2Of), decompress.Bzip2, whole, "dhow", nil},
		"bzip2 cut off":              {unhex(t, bzip2Of), decompress.Bzip2, cut, "", errdefs.ErrInvalidArgument},
		"bzip2 header alone":         {[]byte("BZh9"), decompress.Bzip2, whole, "", errdefs.ErrInvalidArgument},
		"xz":                         {unhex(t, xzCRC64), decompress.XZ, whole, "dhow", nil},
		"xz cut off":                 {unhex(t, xzCRC64), decompress.XZ, cut, "", errdefs.ErrInvalidArgument},
		"xz from a broken source":    {unhex(t, xzCRC64), decompress.XZ, fails, "", broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := decompress.Sniff(tc.data[:min(len(tc.data), decompress.SniffLen)]); got != tc.format {
				t.Errorf("Sniff: %q, want %q", got, tc.format)
			}
			r, err := decompress.NewReader(t.Context(), tc.format, tc.read(tc.data))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
				if err := r.Close(); err != nil {
					t.Error("Close:", err)
				}
			}
			if !errors.Is(err, tc.kind) || err == nil && string(got) != tc.want {
				t.Errorf("read %q, %v; want %q, %v", got, err, tc.want, tc.kind)
			}
		})
	}
}

// TestNewReaderOfABrokenSource has the source break off behind each byte: with an error that is
// an end, too, nothing is whole but for the end itself.
func TestNewReaderOfABrokenSource(t *testing.T) {
	t.Parallel()
	for format, data := range map[decompress.Format][]byte{
		decompress.Gzip:  gzipped(t, "dh", "ow"),
		decompress.Zstd:  append(zstded(t, []byte("dh")), zstded(t, []byte("ow"))...),
		decompress.Bzip2: unhex(t, bzip2Of),
		decompress.XZ:    append(unhex(t, xzCRC64), unhex(t, xzNone)...),
	} {
		for _, broken := range []error{errors.New("the cable was cut"), io.ErrUnexpectedEOF, fmt.Errorf("get: %w", io.EOF)} {
			for i := range len(data) + 1 {
				r, err := decompress.NewReader(t.Context(), format, io.MultiReader(bytes.NewReader(data[:i]), iotest.ErrReader(broken)))
				for buf := make([]byte, 10); err == nil; {
					_, err = r.Read(buf)
				}
				if !errors.Is(err, broken) || err == io.EOF { //nolint:errorlint // that is the end
					t.Errorf("%s, %q behind %d of %d bytes: %v", format, broken, i, len(data), err)
				}
			}
		}
	}
}

// again is an endless reader of the same bytes.
type again struct {
	data []byte
	at   int
}

func (a *again) Read(p []byte) (n int, err error) {
	for n < len(p) {
		copied := copy(p[n:], a.data[a.at:])
		n, a.at = n+copied, (a.at+copied)%len(a.data)
	}
	return n, nil
}

// TestReadObeysItsContext ends the context while what was read ahead becomes very many, or very
// many become nothing, or each byte needs long.
func TestReadObeysItsContext(t *testing.T) {
	t.Parallel()
	zeros, slow := zstded(t, make([]byte, 64<<20)), zeroChunk(0, 4, 0)
	begun, _, _ := bytes.Cut(rawXZ(0, rawBlock{slow, 1}), []byte(slow))
	for name, tc := range map[string]struct {
		format decompress.Format
		data   io.Reader
	}{
		"very many out of few":      {decompress.Zstd, bytes.NewReader(bytes.Repeat(zeros, 100))},
		"nothing out of many":       {decompress.Zstd, io.LimitReader(&again{data: []byte("\x50\x2a\x4d\x18\x00\x00\x00\x00")}, 1<<30)},
		"bytes that each take long": {decompress.XZ, io.MultiReader(bytes.NewReader(begun), &again{data: []byte(slow)})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := decompress.NewReader(ctx, tc.format, tc.data)
			if err != nil {
				t.Fatal(err)
			}
			var ended time.Time
			time.AfterFunc(50*time.Millisecond, func() {
				ended = time.Now()
				cancel()
			})
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 256<<10))
			if took := time.Since(ended); !errors.Is(err, context.Canceled) || took > time.Second {
				t.Errorf("%v, %v after the context had ended", err, took)
			}
			if err := r.Close(); err != nil {
				t.Error("Close:", err)
			}
		})
	}
}

// TestBombNeedsLittleMemory reads 256 MiB out of a small stream.
func TestBombNeedsLittleMemory(t *testing.T) { // not parallel: it looks at all memory
	zeros := make([]byte, 1<<20)
	for format, data := range map[decompress.Format][]byte{
		decompress.Gzip: func() []byte {
			var buf bytes.Buffer
			w := gzip.NewWriter(&buf)
			for range 256 {
				if _, err := w.Write(zeros); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return buf.Bytes()
		}(),
		decompress.Zstd: bytes.Repeat(zstded(t, zeros), 256),
	} {
		r, err := decompress.NewReader(t.Context(), format, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n, err := io.Copy(io.Discard, r)
		runtime.ReadMemStats(&after)
		if err != nil || n != 256<<20 {
			t.Errorf("%s: %d bytes, %v", format, n, err)
		}
		if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 16<<20 {
			t.Errorf("%s: %d bytes were allocated to read %d out of %d", format, grown, n, len(data))
		}
		if err := r.Close(); err != nil {
			t.Error("Close:", err)
		}
	}
}

func FuzzNewReader(f *testing.F) {
	f.Add(gzipped(f, "dhow", "dhow"))
	f.Add(zstded(f, []byte("dhow")))
	f.Add(unhex(f, bzip2Of))
	f.Add(unhex(f, xzSHA256))
	f.Add(unhex(f, xzCRC64))
	f.Add([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decompress.NewReader(t.Context(), decompress.Sniff(data), bytes.NewReader(data))
		if err == nil {
			_, err = io.Copy(io.Discard, io.LimitReader(r, 64<<20))
			if err := r.Close(); err != nil {
				t.Error("Close:", err)
			}
		}
		if err != nil && !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) && !errdefs.IsNotImplemented(err) {
			t.Errorf("an error without a kind: %v", err)
		}
	})
}
