package journal

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

// Snapshot writes what there was before a segment, which then takes the place of all
// segments before that one.
type Snapshot struct {
	dir     *os.Root
	file    *os.File
	out     *bufio.Writer
	marker  marker
	number  uint64
	entries uint64
	scratch []byte
}

// NewSnapshot begins the snapshot that comes before a segment. One that was begun and
// not finished is forgotten.
func NewSnapshot(dir *os.Root, segment uint64) (*Snapshot, error) {
	if err := Forget(dir); err != nil {
		return nil, err
	}
	f, err := files.Create(dir, newSnapshot)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{dir: dir, file: f, out: bufio.NewWriterSize(f, 256<<10), marker: newMarker(), number: segment}
	_, err = s.out.Write(appendHeader(nil, snapshotMagic, segment, header{0, s.marker}))
	return s, err
}

// Forget removes a snapshot that was not finished.
func Forget(dir *os.Root) error { return files.Remove(dir, newSnapshot) }

// Add adds an entry.
func (s *Snapshot) Add(payload []byte) error {
	if len(payload) > maxPayload {
		return fmt.Errorf("an entry of %d bytes in a snapshot: %w", len(payload), errors.ErrUnsupported)
	}
	s.scratch = appendEntry(s.scratch[:0], s.marker, s.entries, payload)
	s.entries++
	if _, err := s.out.Write(s.scratch); err != nil {
		return files.Kind(fmt.Errorf("writing a snapshot: %w", err))
	}
	return nil
}

// Finish makes the snapshot durable and removes what it takes the place of.
func (s *Snapshot) Finish() error {
	count := binary.LittleEndian.AppendUint64([]byte("end\n"), s.entries)
	err := s.Add(count)
	if err == nil {
		err = s.out.Flush()
	}
	if err == nil {
		err = durable.SyncData(s.file)
	}
	if err := errors.Join(err, s.file.Close()); err != nil {
		return errors.Join(files.Kind(err), Forget(s.dir))
	}
	if err := s.dir.Rename(newSnapshot, snapshotName(s.number)); err != nil {
		return files.Kind(err)
	}
	if err := files.SyncDir(s.dir); err != nil {
		return err
	}
	return Tidy(s.dir)
}

// Cancel forgets the snapshot.
func (s *Snapshot) Cancel() error { return errors.Join(s.file.Close(), Forget(s.dir)) }

// Tidy removes the files that the last snapshot has taken the place of, and a snapshot
// that was not finished.
func Tidy(dir *os.Root) error {
	list, err := List(dir)
	if err != nil {
		return err
	}
	errs := []error{Forget(dir)}
	if n := len(list.Snapshots); n > 0 {
		first := list.Snapshots[n-1]
		for _, old := range list.Snapshots[:n-1] {
			errs = append(errs, files.Remove(dir, snapshotName(old)))
		}
		for _, old := range list.Segments {
			if old < first {
				errs = append(errs, files.Remove(dir, logName(old)))
			}
		}
	}
	return errors.Join(errs...)
}

// ReadSnapshot shows the entries of a snapshot.
func ReadSnapshot(ctx context.Context, dir *os.Root, number uint64, v Visitor) error {
	f, err := rootfile.Open(dir, snapshotName(number))
	if errdefs.IsInvalidArgument(err) { // something else is in its place
		return v.damage("%w", err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	name := snapshotName(number)
	h, ok, err := readHeader(f, snapshotMagic, number)
	if err != nil {
		return err
	}
	if !ok {
		if err := v.damage("%s does not begin as it should", name); err != nil {
			return err
		}
	}
	ended := false
	show := v
	show.Entry = func(at Position, payload []byte) error {
		if count, ok := bytesAfter(payload, "end\n"); ok && len(count) == 8 && binary.LittleEndian.Uint64(count) == at.Sequence {
			ended = true
			return nil
		}
		return v.Entry(at, payload)
	}
	r := &reader{ctx: ctx, file: f, name: name, marker: h.marker, size: info.Size(), v: show}
	at, err := r.entries(Position{Segment: number, Offset: headerSize})
	if err != nil {
		return err
	}
	if !ended || at.Offset != r.size {
		return v.damage("%s has no proper end", name)
	}
	return nil
}

func bytesAfter(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, false
	}
	return b[len(prefix):], true
}
