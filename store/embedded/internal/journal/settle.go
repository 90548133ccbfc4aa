package journal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

// Settle writes what is there from a position on once more, and syncs it: after a sync that
// failed, bytes can be read that the system is never going to write. What is missing is
// for Read to tell.
func Settle(ctx context.Context, dir *os.Root, from Position) error {
	list, err := List(dir)
	if err != nil {
		return err
	}
	for _, n := range list.Segments {
		start := int64(0)
		switch {
		case n < from.Segment:
			continue
		case n == from.Segment:
			start = from.Offset
		}
		if err := settle(ctx, dir, n, start); err != nil {
			return fmt.Errorf("writing %s once more: %w", logName(n), files.Kind(err))
		}
	}
	return files.SyncDir(dir)
}

func settle(ctx context.Context, dir *os.Root, segment uint64, start int64) error {
	f, err := rootfile.OpenFile(dir, logName(segment), os.O_RDWR)
	if errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	const most = 256 << 10
	in, out := bufio.NewReaderSize(io.NewSectionReader(f, start, 1<<62-start), most), io.NewOffsetWriter(f, start)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk, err := in.Peek(most)
		if len(chunk) == 0 {
			if err := notEOF(err); err != nil {
				return err
			}
			return durable.SyncData(f)
		}
		if _, err := out.Write(chunk); err != nil {
			return err
		}
		if _, err := in.Discard(len(chunk)); err != nil {
			return err
		}
	}
}
