package journal

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// blankEnd reports whether all that comes after a segment is one in which nothing was
// written, not even how it begins: a crash leaves that of one that was just made.
func blankEnd(dir *os.Root, list Files, segment uint64) (bool, error) {
	n := len(list.Segments)
	if n == 0 || list.Segments[n-1] != segment+1 {
		return false, nil
	}
	f, err := rootfile.Open(dir, logName(segment+1))
	if errdefs.IsInvalidArgument(err) {
		return false, nil // which is found when it is read
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	used, err := lastByte(f, 0, info.Size())
	return used == 0 || info.Size() < headerSize, err
}

// Start returns the position of a journal's first entry, and the number of the snapshot
// that comes before it, 0 if none does. A journal that there is not, or in which nothing
// was ever written, is ErrNotFound; one whose beginning is damaged or missing ErrDataLoss,
// beside as much as is known.
func Start(dir *os.Root) (at Position, snapshot uint64, err error) {
	list, err := List(dir)
	if err != nil {
		return Position{}, 0, err
	}
	if n := len(list.Snapshots); n > 0 {
		snapshot = list.Snapshots[n-1]
		at.Segment = snapshot
	} else if len(list.Segments) > 0 {
		at.Segment = list.Segments[0]
	}
	if at.Segment == 0 {
		return at, 0, fmt.Errorf("there is no journal: %w", errdefs.ErrNotFound)
	}
	blank, err := blankEnd(dir, list, at.Segment-1)
	if err != nil {
		return at, snapshot, err
	}
	if blank && snapshot == 0 {
		return Position{}, 0, fmt.Errorf("there is nothing in the journal: %w", errdefs.ErrNotFound)
	}
	at.Offset = headerSize
	f, err := rootfile.Open(dir, logName(at.Segment))
	if errdefs.IsNotFound(err) {
		return at, snapshot, damaged("%s is missing", logName(at.Segment))
	}
	if errdefs.IsInvalidArgument(err) {
		err = damaged("%w", err)
	}
	if err != nil {
		return at, snapshot, err
	}
	defer f.Close()
	h, ok, err := readHeader(f, logMagic, at.Segment)
	if err != nil {
		return at, snapshot, err
	}
	if !ok {
		return at, snapshot, damaged("%s does not begin as it should", logName(at.Segment))
	}
	at.Sequence = h.first
	if snapshot == 0 && h.first > 0 {
		return at, snapshot, damaged("what comes before %s is missing", logName(at.Segment))
	}
	return at, snapshot, nil
}

// Torn returns how many bytes there are after the end of a journal that are no entry:
// those of the last one that a crash has left, or damaged ones.
func Torn(dir *os.Root, end Position) (int64, error) {
	f, err := rootfile.Open(dir, logName(end.Segment))
	if errdefs.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	used, err := lastByte(f, end.Offset, info.Size())
	return used - end.Offset, err
}
