// Package decompress reads compressed streams that may be hostile. Which format a stream
// has is told by its first bytes alone, and no program is ever run to read it.
package decompress

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Format is how a stream is compressed.
type Format string

// The formats.
const (
	None  Format = ""
	Gzip  Format = "gzip"
	Zstd  Format = "zstd"
	Bzip2 Format = "bzip2"
	XZ    Format = "xz"
)

const (
	// maxWindow bounds the memory for zstd and xz.
	maxWindow = 128 << 20

	// bufferSize is that of what is read from the stream at once.
	bufferSize = 256 << 10
)

// magics are the formats by their first bytes.
var magics = map[string]Format{
	"\x1f\x8b\x08":     Gzip,
	"\x28\xb5\x2f\xfd": Zstd,
	"BZh":              Bzip2,
	"\xfd7zXZ\x00":     XZ,
}

// SniffLen is how many of the first bytes Sniff needs.
const SniffLen = 6

// Sniff returns the format of a stream that begins with these bytes. A skippable frame
// of zstd at the beginning counts as zstd.
func Sniff(head []byte) Format {
	for magic, format := range magics {
		if bytes.HasPrefix(head, []byte(magic)) {
			return format
		}
	}
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte("\x2a\x4d\x18")) {
		return Zstd
	}
	return None
}

// NewReader returns a reader of what r is when it is not compressed any more. Closing it
// does not close r. A format that cannot be read is errdefs.ErrNotImplemented. What it
// reads is not bounded: a few bytes may become very many, and very many none. A Read
// fails soon after the context has ended, unless it waits for r.
//
// Errors of the reader are those of r as they are, errdefs.ErrInvalidArgument for what is
// damaged or cut off, errdefs.ErrResourceExhausted for zstd and xz that need more than 128 MiB
// of memory, and errdefs.ErrNotImplemented for xz with filters for machine code.
func NewReader(ctx context.Context, format Format, r io.Reader) (io.ReadCloser, error) {
	from := &source{ctx: ctx, r: r}
	var err error
	d := &reader{format: format, from: from}
	buffered := bufio.NewReaderSize(from, bufferSize)
	switch format {
	case None:
		return io.NopCloser(from), nil
	case Gzip:
		d.Reader, err = gzip.NewReader(buffered)
	case Zstd:
		var z *zstd.Decoder
		z, err = zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			d.Reader, d.close = z, z.Close
		}
	case Bzip2:
		d.Reader = bzip2.NewReader(buffered)
	case XZ:
		d.Reader = newXZReader(buffered)
	default:
		return nil, fmt.Errorf("compressed with %s, which cannot be read: %w", format, errdefs.ErrNotImplemented)
	}
	if err != nil {
		return nil, d.explain(err)
	}
	return d, nil
}

// source remembers an error that is not the end: what is read by may take that, or one
// that wraps the end, for the end of a whole stream.
type source struct {
	ctx context.Context //nolint:containedctx // that of the reader
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF { // what wraps that is another error
		s.err = err
	}
	return n, err
}

type reader struct {
	io.Reader
	format Format
	from   *source
	close  func()
}

func (d *reader) Read(p []byte) (int, error) {
	if err := d.from.ctx.Err(); err != nil { // what was read ahead may become very many
		return 0, err
	}
	n, err := d.Reader.Read(p)
	if err != nil && (d.from.err != nil || !errors.Is(err, io.EOF)) {
		err = d.explain(err)
	}
	return n, err
}

// explain says what was being read, and whose mistake it is.
func (d *reader) explain(err error) error {
	switch {
	case d.from.err != nil:
		return d.from.err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("the %s stream is cut off: %w", d.format, errdefs.ErrInvalidArgument)
	case errdefs.IsResourceExhausted(err), errdefs.IsNotImplemented(err):
		return fmt.Errorf("the %s stream: %w", d.format, err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("the zstd stream needs more than %d bytes of memory: %w", int64(maxWindow), errdefs.ErrResourceExhausted)
	}
	return fmt.Errorf("the %s stream is damaged: %w: %w", d.format, err, errdefs.ErrInvalidArgument)
}

// Close gives up what the format needs; it never fails.
func (d *reader) Close() error {
	if d.close != nil {
		d.close()
	}
	return nil
}
