package rootfile

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/containerd/errdefs"
)

// failure is an error of the file system that is told in words of errdefs.
type failure struct {
	text        string
	kind, cause error
}

func (f *failure) Error() string { return f.text + ": " + f.kind.Error() }

func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

// plain adds the errdefs kind to an error of the file system, and leaves out the
// name of the system call.
func plain(what, name string, err error) error {
	cause := err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		cause = p.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &failure{fmt.Sprintf("no %s %s", what, name), errdefs.ErrNotFound, cause}
	case errors.Is(err, fs.ErrPermission):
		return &failure{name, errdefs.ErrPermissionDenied, cause}
	}
	return fmt.Errorf("%s: %w", name, cause)
}
