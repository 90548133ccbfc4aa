package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

const (
	lockName = "lock"

	// maxOwner is how much of the lock file is shown.
	maxOwner = 256

	// tellAfter is after which time of waiting that is told.
	tellAfter = time.Second

	// minLockWait is how long is tried at least: what was just closed may take a moment.
	minLockWait = 10 * time.Millisecond
)

// lock makes this Store the only one of its directory, and says so in the lock file.
// After the timeout the error, ErrUnavailable, names who has it.
func lock(ctx context.Context, root *os.Root, opts Options) (func() error, error) {
	timeout := max(opts.LockTimeout, minLockWait)
	unlock, err := lockWithin(ctx, root, min(timeout, tellAfter))
	if timeout > tellAfter && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		if opts.Waiting != nil {
			opts.Waiting(owner(root))
		}
		unlock, err = lockWithin(ctx, root, timeout-tellAfter)
	}
	switch {
	case err == nil:
		writeOwner(root)
		return unlock, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the store %s is open in another process (%s): %w", root.Name(), owner(root), errdefs.ErrUnavailable)
	}
	return nil, fmt.Errorf("locking the store: %w", err)
}

// lockWithin waits for the lock for a time at most.
func lockWithin(ctx context.Context, root *os.Root, timeout time.Duration) (func() error, error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return durable.Lock(waiting, root, lockName)
}

// makeLock makes the lock file unless it is there.
func makeLock(root *os.Root) error {
	f, err := files.Create(root, lockName)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// writeOwner writes who has the lock, as far as that can be written: it is only told to
// who waits.
func writeOwner(root *os.Root) {
	f, err := rootfile.OpenFile(root, lockName, os.O_RDWR)
	if err != nil {
		return
	}
	defer f.Close()
	program := "unknown"
	if path, err := os.Executable(); err == nil {
		program = filepath.Base(path)
	}
	text := fmt.Sprintf("pid %d, program %.100q, since %s\n", os.Getpid(), program, time.Now().UTC().Format(time.RFC3339))
	if f.Truncate(0) == nil {
		_, _ = io.WriteString(f, text) // said above
	}
}

// owner returns what the lock file says.
func owner(root *os.Root) string {
	f, err := rootfile.Open(root, lockName)
	if err != nil {
		return "which one is not known"
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxOwner)) // what came is shown
	line, _, _ := strings.Cut(string(text), "\n")
	if line == "" {
		return "which one is not known"
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Sprintf("%q", line)
	}
	return line
}
