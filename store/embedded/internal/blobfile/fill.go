package blobfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
)

// maxEmptyReads is how many reads in a row may return nothing and no error.
const maxEmptyReads = 100

// Opener opens content from an offset on.
type Opener = func(ctx context.Context, from int64) (io.ReadCloser, error)

// Fill makes the Ingest content of that digest and size, of any size if it is negative.
// It calls open with its Offset, unless all is there, reads to the end and verifies.
// If bytes that were there before make the content a wrong one, it begins once again
// from the start. Content that is not what it should be is ErrDataLoss and removed: the
// Ingest has ended. With any other error what was read is kept.
//
// The reader is closed, after the return if the context has ended. If it has the method
// CopyTo of durable.FileCopier, and the file system may share blocks, the kernel copies;
// on others reading and writing on two cores is faster.
func (in *Ingest) Fill(ctx context.Context, want digest.Digest, size int64, open Opener) error {
	want, err := image.ParseDigest(string(want))
	if err != nil {
		return err
	}
	err = in.do(ctx, func() error {
		resumed := in.size > 0
		err := in.fill(ctx, want, size, open)
		if resumed && errdefs.IsDataLoss(err) {
			in.d.log.Warn("beginning anew: what was there is of no use", "ref", in.ref, "error", err)
			if err = in.reset(); err == nil {
				err = in.fill(ctx, want, size, open)
			}
		}
		if errdefs.IsDataLoss(err) {
			in.decide(dropped)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", want, err)
	}
	return nil
}

func (in *Ingest) fill(ctx context.Context, want digest.Digest, size int64, open Opener) error {
	in.hashBy(want.Algorithm())
	if size < 0 || in.size < size {
		if err := in.catchUp(ctx); err != nil {
			return err
		}
		src, err := open(ctx, in.size)
		if err != nil {
			return err
		}
		err = in.readFrom(ctx, src, size)
		if err := errors.Join(err, src.Close()); err != nil {
			return err
		}
	}
	return in.verify(ctx, want, size)
}

// readFrom appends all of src. More than size bytes are ErrDataLoss.
func (in *Ingest) readFrom(ctx context.Context, src io.Reader, size int64) error {
	if size < 0 {
		size = math.MaxInt64
	}
	if in.inSmall && size <= Small {
		return in.readSmall(ctx, src, int(size))
	}
	if from, ok := src.(durable.FileCopier); ok && in.d.shares {
		return in.copyFile(ctx, from, size)
	}
	check := &meter{in: in, size: size}
	return in.d.pump.Copy(ctx, src, check, func(p []byte) error {
		_, err := in.append(p)
		return err
	})
}

// meter hashes what passes by. It and what is written use different parts of the Ingest.
type meter struct {
	in   *Ingest
	size int64
}

// Room is that of durable.Checker.
func (m *meter) Room(n int) int {
	if left := m.size - m.in.hashed; left < int64(n) {
		return int(left) + 1 // n at most; left+1 alone might overflow
	}
	return n
}

func (m *meter) Write(p []byte) (int, error) {
	m.in.hashed += int64(len(p))
	if m.in.hashed > m.size {
		return 0, tooLong(m.size)
	}
	return m.in.hash.Write(p)
}

func tooLong(size int64) error {
	return fmt.Errorf("there are more than %d bytes: %w", size, errdefs.ErrDataLoss)
}

// readSmall reads into the memory where the bytes stay.
func (in *Ingest) readSmall(ctx context.Context, src io.Reader, size int) error {
	in.content, in.contentBytes = "", 0
	in.small = slices.Grow(in.small, size+1-len(in.small))
	for empty := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		have := len(in.small)
		n, err := src.Read(in.small[have : size+1])
		if have+n > size {
			return tooLong(int64(size))
		}
		in.small = in.small[:have+n]
		in.grown(int64(n))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > 0 {
			empty = 0
		} else if empty++; empty > maxEmptyReads {
			return io.ErrNoProgress
		}
	}
}

// copyFile has the kernel copy, window by window, and hashes meanwhile what has arrived
// before: what is hashed is what was written, whatever happens to the source.
func (in *Ingest) copyFile(ctx context.Context, src durable.FileCopier, size int64) error {
	if err := in.spill(); err != nil {
		return err
	}
	in.content, in.contentBytes = "", 0
	in.small, in.inSmall = nil, false
	for more := true; more; {
		want := min(size-in.size, writeBackWindow-1) + 1
		if _, err := in.file.Seek(in.size, io.SeekStart); err != nil {
			return told(err)
		}
		hashing := make(chan error, 1)
		go func() { hashing <- in.catchUp(ctx) }()
		n, err := src.CopyTo(in.file, want)
		if hashErr := <-hashing; err == nil {
			err = hashErr
		}
		in.filed += n
		in.grown(n)
		if err != nil {
			return told(err)
		}
		if in.size > size {
			return tooLong(size)
		}
		more = n == want
	}
	return in.catchUp(ctx)
}

// Verify checks that the bytes are those of a digest and size; a negative size is not
// checked. If they are not, the error is ErrDataLoss, they are removed, and the Ingest
// has ended. Publish takes only what was verified and has not been written to since.
func (in *Ingest) Verify(ctx context.Context, want digest.Digest, size int64) error {
	want, err := image.ParseDigest(string(want))
	if err != nil {
		return err
	}
	err = in.use(ctx, func() error {
		err := in.verify(ctx, want, size)
		if errdefs.IsDataLoss(err) {
			in.decide(dropped)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("verifying %s: %w", want, err)
	}
	return nil
}

func (in *Ingest) verify(ctx context.Context, want digest.Digest, size int64) error {
	if size >= 0 && in.size != size {
		return fmt.Errorf("there are %d bytes, want %d: %w", in.size, size, errdefs.ErrDataLoss)
	}
	got, err := in.digest(ctx, want.Algorithm())
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the digest is %s: %w", got, errdefs.ErrDataLoss)
	}
	if err := in.load(); err != nil {
		return err
	}
	in.content, in.contentBytes = want, in.size
	return nil
}
