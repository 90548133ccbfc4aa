// Package openfile opens files for which that may last.
package openfile

import (
	"context"
	"os"
)

// Open opens a file that is there, as os.OpenFile does with these flags. For a named pipe that
// lasts until somebody has its other end: when the context ends before, Open fails with its
// error, and what is opened later all the same is closed.
func Open(ctx context.Context, path string, flag int) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened)
	go func() {
		f, err := os.OpenFile(path, flag, 0)
		select {
		case done <- opened{f, err}:
		case <-ctx.Done():
			if err == nil {
				_ = f.Close() // nobody wants it
			}
		}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
