package durable

import (
	"context"
	"io"
	"sync"
)

const (
	// chunkSize is that of the two buffers of a running Copy: what a core hashes
	// while the other one writes. Larger ones leave its cache and gain nothing.
	chunkSize = 256 << 10

	// maxEmptyReads is how many reads in a row may return nothing and no error.
	maxEmptyReads = 100
)

// Checker sees the bytes of a stream in order. A verify.Verifier is one.
type Checker interface {
	io.Writer
	// Room returns how many of n bytes, one at least, are worth reading next. So
	// that too many bytes are seen it allows for one more than there should be.
	Room(n int) int
}

// Pump copies streams, and keeps the buffers for it. The zero value is ready. It may
// be used concurrently.
type Pump struct {
	buffers sync.Pool // of *[]byte
}

func (p *Pump) get() *[]byte {
	if buf, ok := p.buffers.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, chunkSize)
	return &buf
}

func (p *Pump) put(buf *[]byte) { p.buffers.Put(buf) }

type chunk struct {
	buf *[]byte
	n   int
}

// Copy reads src to its end, and gives all bytes first to check and then to write,
// chunk by chunk. It reads and checks in one goroutine and writes in another, so that
// one stream keeps two cores busy. It stops at the first error, of the context too,
// and returns when both have ended. What was read before an error of src is written;
// after other ones check may have seen more than write.
func (p *Pump) Copy(ctx context.Context, src io.Reader, check Checker, write func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan chunk) // no room: one chunk is read, one is written
	var readErr error
	go func() {
		defer close(chunks)
		readErr = p.read(ctx, src, check, chunks)
	}()
	var writeErr error
	for c := range chunks {
		if writeErr == nil {
			writeErr = write((*c.buf)[:c.n])
		}
		p.put(c.buf)
		if writeErr != nil {
			cancel()
		}
	}
	if writeErr != nil {
		return writeErr
	}
	return readErr
}

// read sends all of src, up to an error of it, and stops at what check does not want.
func (p *Pump) read(ctx context.Context, src io.Reader, check Checker, to chan<- chunk) error {
	for {
		buf := p.get()
		n, err := readChunk(ctx, src, (*buf)[:check.Room(len(*buf))])
		if _, err := check.Write((*buf)[:n]); err != nil {
			p.put(buf)
			return err
		}
		select {
		case to <- chunk{buf, n}:
		case <-ctx.Done():
			p.put(buf)
			return ctx.Err()
		}
		if err == io.EOF { //nolint:errorlint // what wraps it is an error
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readChunk fills the buffer; it returns what was read also beside io.EOF or an error.
func readChunk(ctx context.Context, src io.Reader, buf []byte) (n int, err error) {
	for empty := 0; n < len(buf) && err == nil; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		var m int
		m, err = src.Read(buf[n:])
		n += m
		if m > 0 {
			empty = 0
		} else if empty++; empty > maxEmptyReads {
			err = io.ErrNoProgress
		}
	}
	return n, err
}
