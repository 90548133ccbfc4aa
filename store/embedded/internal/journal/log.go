package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

// A segment grows by a quarter of its size within these bounds, in zeros: to sync bytes
// that were there before costs a fraction of what it costs to sync a longer file.
const (
	minGrowth = 64 << 10
	maxGrowth = 4 << 20
)

// Log appends to a journal. Its methods are for one goroutine at a time.
type Log struct {
	dir     *os.Root
	file    *os.File
	marker  marker
	next    Position
	last    int64 // how many bytes the last entry has, until Undo
	size    int64 // of the file
	failed  error
	scratch []byte
}

// Create begins a journal, or a segment of one, whose first entry is going to be at the
// position that it returns.
func Create(dir *os.Root, segment, sequence uint64) (*Log, error) {
	l := &Log{dir: dir, marker: newMarker(), next: Position{Segment: segment, Offset: headerSize, Sequence: sequence}, size: minGrowth}
	var err error
	if l.file, err = files.Create(dir, logName(segment)); err != nil {
		return nil, err
	}
	head := appendHeader(make([]byte, 0, minGrowth), logMagic, segment, header{sequence, l.marker})
	_, err = l.file.Write(head[:minGrowth])
	if err == nil {
		err = durable.SyncData(l.file)
	}
	if err == nil {
		err = files.SyncDir(dir)
	}
	if err != nil {
		err = files.Kind(fmt.Errorf("beginning the journal's %s: %w", logName(segment), err))
		return nil, errors.Join(err, l.file.Close(), dir.Remove(logName(segment)))
	}
	return l, nil
}

// Open opens the segment of a position for appending there. What comes after it is
// forgotten: only what no reader takes for an entry, or for a segment, may be there.
func Open(dir *os.Root, at Position) (*Log, error) {
	l := &Log{dir: dir, next: at}
	list, err := List(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range list.Segments {
		if n > at.Segment {
			if err := Remove(dir, n); err != nil {
				return nil, err
			}
		}
	}
	if l.file, err = rootfile.OpenFile(dir, logName(at.Segment), os.O_RDWR); err != nil {
		return nil, err
	}
	err = l.checkHeader()
	if err == nil {
		err = l.clear()
	}
	if err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

func (l *Log) checkHeader() error {
	h, ok, err := readHeader(l.file, logMagic, l.next.Segment)
	if err == nil && !ok {
		err = damaged("%s does not begin as it should", logName(l.next.Segment))
	}
	l.marker = h.marker
	return err
}

// clear overwrites what comes after the end with zeros, unless it is zeros.
func (l *Log) clear() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	l.size = info.Size()
	if l.size < l.next.Offset {
		return damaged("%s has %d bytes, of which there were %d", logName(l.next.Segment), l.size, l.next.Offset)
	}
	used, err := lastByte(l.file, l.next.Offset, l.size)
	if err != nil || used == l.next.Offset {
		return err
	}
	if _, err := l.file.WriteAt(make([]byte, used-l.next.Offset), l.next.Offset); err != nil {
		return files.Kind(err)
	}
	return durable.SyncData(l.file)
}

// lastByte returns the position after the last byte in a range that is not zero, or
// the beginning of the range.
func lastByte(f io.ReaderAt, from, to int64) (int64, error) {
	last, buf, zeros := from, make([]byte, minGrowth), make([]byte, minGrowth)
	for at := from; at < to; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			last = at + int64(len(bytes.TrimRight(buf[:n], "\x00")))
		}
		at += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return last, err
		}
		if n == 0 {
			break
		}
	}
	return last, nil
}

// Next is where the next entry is going to be.
func (l *Log) Next() Position { return l.next }

// Size is how many bytes the segment has in use.
func (l *Log) Size() int64 { return l.next.Offset }

// Append makes an entry durable. With an error there is none, unless the journal has
// failed for good: then whether there is one shows when it is read again.
func (l *Log) Append(payload []byte) error {
	if l.failed != nil {
		return l.failed
	}
	if len(payload) == 0 || len(payload) > maxPayload {
		return fmt.Errorf("an entry of %d bytes in the journal: %w", len(payload), errdefs.ErrResourceExhausted)
	}
	l.scratch = appendEntry(l.scratch[:0], l.marker, l.next.Sequence, payload)
	if cap(l.scratch) > maxGrowth {
		defer func() { l.scratch = nil }()
	}
	end := l.next.Offset + int64(len(l.scratch))
	if err := l.grow(end); err != nil {
		return files.Kind(fmt.Errorf("making the journal longer: %w", err))
	}
	if _, err := l.file.WriteAt(l.scratch, l.next.Offset); err != nil {
		l.last = end - l.next.Offset
		return errors.Join(files.Kind(fmt.Errorf("writing the journal: %w", err)), l.erase())
	}
	if err := durable.SyncData(l.file); err != nil {
		return l.fail(err)
	}
	l.last = end - l.next.Offset
	l.next.Offset = end
	l.next.Sequence++
	return nil
}

// grow makes the file have room up to an end, and more if the disk has.
func (l *Log) grow(end int64) error {
	if end <= l.size {
		return nil
	}
	more := min(max(l.size/4, minGrowth), maxGrowth)
	err := l.zero(max(end, l.size+more))
	if err != nil && files.IsFull(err) && l.size < end {
		err = l.zero(end)
	}
	if l.size >= end {
		return nil
	}
	return err
}

func (l *Log) zero(end int64) error {
	zeros := make([]byte, min(end-l.size, maxGrowth))
	for l.size < end {
		n, err := l.file.WriteAt(zeros[:min(int64(len(zeros)), end-l.size)], l.size)
		l.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// Undo takes back the entry that was appended last.
func (l *Log) Undo() error {
	if l.failed != nil {
		return l.failed
	}
	if l.last == 0 {
		return nil
	}
	l.next.Offset -= l.last
	l.next.Sequence--
	return l.erase()
}

// erase overwrites with zeros what was appended and does not count.
func (l *Log) erase() error {
	n := l.last
	l.last = 0
	if n == 0 {
		return nil
	}
	_, err := l.file.WriteAt(make([]byte, n), l.next.Offset)
	if err == nil {
		err = durable.SyncData(l.file)
	}
	if err != nil {
		return l.fail(err)
	}
	return nil
}

// fail ends the use of the journal: the kernel may have dropped what was not synced, and
// would not say so again.
func (l *Log) fail(err error) error {
	l.failed = fmt.Errorf("the journal cannot be written any more, open the store again: %w", files.Kind(err))
	return l.failed
}

// Failed reports whether the journal has failed for good: see Append.
func (l *Log) Failed() bool { return l.failed != nil }

// Rotate begins the next segment and returns a Log of it; l is closed.
func (l *Log) Rotate() (*Log, error) {
	if l.failed != nil {
		return nil, l.failed
	}
	next, err := Create(l.dir, l.next.Segment+1, l.next.Sequence)
	if err != nil {
		return nil, err
	}
	return next, l.file.Close()
}

// Close closes the journal.
func (l *Log) Close() error { return l.file.Close() }
