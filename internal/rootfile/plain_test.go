package rootfile

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
)

// Errors say what is the matter once, and name no system call.
func TestErrorsArePlain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		cause syscall.Errno
		want  string
		is    []error
	}{
		{syscall.ENOENT, "no file index.json: not found", []error{fs.ErrNotExist, errdefs.ErrNotFound}},
		{syscall.EACCES, "index.json: permission denied", []error{fs.ErrPermission, errdefs.ErrPermissionDenied}},
		{syscall.EIO, "index.json: input/output error", []error{syscall.EIO}},
	} {
		err := plain("file", "index.json", &fs.PathError{Op: "openat", Path: "index.json", Err: tc.cause})
		if err.Error() != tc.want {
			t.Errorf("got %q, want %q", err, tc.want)
		}
		for _, kind := range append(tc.is, tc.cause) {
			if !errors.Is(err, kind) {
				t.Errorf("%v is not %v", err, kind)
			}
		}
	}
}
