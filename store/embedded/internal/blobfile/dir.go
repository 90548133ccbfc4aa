package blobfile

import (
	"context"
	"log/slog"
	"os"

	"github.com/containerd/errdefs"
)

// Options are those of a Dir. The zero value is the default.
type Options struct {
	// Logger is told of what was swept, set aside, or could not be; nil: nobody.
	Logger *slog.Logger
}

// Dir is the files of one store. Its methods may be called concurrently. One Dir at a
// time, in one process, is open on a root; who opens it sees to that.
type Dir struct{}

// Open makes the directories that are not there, and empties the trash, for a fraction
// of a second at most: Empty does the rest. What was being written stays. The root
// stays the caller's, and may be closed while the Dir is open.
func Open(ctx context.Context, root *os.Root, opts Options) (*Dir, error) {
	return nil, errdefs.ErrNotImplemented
}

// Close waits for what cancelled calls have left behind, a few seconds at most. An
// Ingest or a reader that is open is not closed by it: readers can be read on, what an
// Ingest has in memory is lost.
func (d *Dir) Close() error { return errdefs.ErrNotImplemented }

// Free returns how many bytes this process may still write to the file system.
func (d *Dir) Free() (uint64, error) { return 0, errdefs.ErrNotImplemented }
