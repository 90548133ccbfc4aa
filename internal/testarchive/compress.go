package testarchive

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Gzip returns the data compressed, as one gzip member.
func Gzip(tb testing.TB, data []byte) []byte {
	tb.Helper()
	return compress(tb, data, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

// Zstd returns the data compressed, as one zstd frame.
func Zstd(tb testing.TB, data []byte) []byte {
	tb.Helper()
	return compress(tb, data, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

// Xz returns the data compressed, as one xz stream.
func Xz(tb testing.TB, data []byte) []byte {
	tb.Helper()
	return compress(tb, data, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
}

func compress(tb testing.TB, data []byte, to func(io.Writer) (io.WriteCloser, error)) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w, err := to(&buf)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}
