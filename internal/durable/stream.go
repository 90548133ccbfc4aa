package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dhowhq/dhow/internal/verify"
)

// writeBackWindow is after how many bytes the kernel is told to begin to write
// them to disk, so that little is left to do for the sync at the end.
const writeBackWindow = 8 << 20

// fill writes what open returns into the file, and checks it. The error names
// the file.
func (w *Writer) fill(ctx context.Context, tmp *temp, check *verify.Verifier, open func(context.Context) (io.ReadCloser, error)) error {
	src, err := open(ctx)
	if err != nil {
		return fmt.Errorf("writing %s: %w", tmp.name, err)
	}
	if from, ok := src.(FileCopier); ok {
		err = w.copyFile(ctx, tmp, check, from)
	} else {
		err = w.pump.Copy(ctx, src, check, tmp.write)
		if err == nil {
			err = check.Finish()
		}
	}
	if err := errors.Join(err, src.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", tmp.name, err)
	}
	return nil
}

// FileCopier is a source that is a file itself: the kernel copies its bytes for
// half of the work of reading and writing them.
type FileCopier interface {
	// CopyTo appends the next n bytes, or what is left if that is less, to a file.
	CopyTo(dst *os.File, n int64) (int64, error)
}

// copyFile copies from file to file and checks what has arrived, window by
// window: what is hashed is what was written, whatever happens to the source. While
// one window is hashed the kernel copies the next one.
func (w *Writer) copyFile(ctx context.Context, tmp *temp, check *verify.Verifier, src FileCopier) error {
	buf := w.pump.get()
	defer w.pump.put(buf)
	want := int64(check.Room(writeBackWindow))
	hashing := make(chan error, 1)
	hashing <- nil
	for {
		begin := tmp.size
		n, err := int64(0), ctx.Err()
		if err == nil && want > 0 { // else too much has come, as is about to be found
			n, err = src.CopyTo(tmp.file, want)
		}
		if err = errors.Join(<-hashing, err); err != nil {
			return err
		}
		tmp.grown(n)
		if n < want || want <= 0 {
			if err := hashFile(check, tmp.file, begin, n, *buf); err != nil {
				return err
			}
			return check.Finish()
		}
		want = int64(check.Room(int(n)+writeBackWindow)) - n
		go func() { hashing <- hashFile(check, tmp.file, begin, n, *buf) }()
	}
}

// hashFile has check see n bytes of a file.
func hashFile(check *verify.Verifier, f *os.File, begin, n int64, buf []byte) error {
	_, err := io.CopyBuffer(check, struct{ io.Reader }{io.NewSectionReader(f, begin, n)}, buf)
	return err
}
