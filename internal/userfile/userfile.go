// Package userfile reads files that belong to whoever runs the program, or to the
// machine: configuration, certificates, credentials. Links are followed; how much is
// read is bounded, and nothing is waited for.
package userfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/containerd/errdefs"
)

// Read returns the bytes of a file and what was known of it before. The errors name
// the file: what is not there is errdefs.ErrNotFound, what may not be read
// errdefs.ErrPermissionDenied, what is no regular file errdefs.ErrInvalidArgument, and
// one of more than limit bytes errdefs.ErrResourceExhausted.
func Read(name string, limit int64) ([]byte, fs.FileInfo, error) {
	// A look before the open, which would wait for the writer of a FIFO.
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, Kind(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a file: %w", name, errdefs.ErrInvalidArgument)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, Kind(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, min(limit, math.MaxInt64-1)+1))
	if err != nil {
		return nil, nil, Kind(err)
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%s has more than %d bytes: %w", name, limit, errdefs.ErrResourceExhausted)
	}
	return data, info, nil
}

// Kind adds the kind that package errdefs has for an error of the file system, which
// names the file. Another error, and nil, is returned as it is.
func Kind(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", err, errdefs.ErrPermissionDenied)
	}
	return err
}
