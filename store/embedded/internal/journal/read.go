package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// Visitor is shown what is in a journal.
type Visitor struct {
	// Entry is shown the payload of each entry, which is valid until it returns. Its
	// error ends the reading.
	Entry func(at Position, payload []byte) error
	// Damage is shown each place that is damaged; the reading goes on with the next
	// entry that is whole. A nil Damage has the first one end it, as ErrDataLoss.
	Damage func(what error) error
}

func (v Visitor) damage(format string, args ...any) error {
	if err := damaged(format, args...); v.Damage == nil {
		return err
	} else {
		return v.Damage(err)
	}
}

// Read reads the entries from a position on, and returns where the next one is going to
// be. A last entry that was not written to its end is not there: it is how a crash
// leaves it. Nor is a last segment in which nothing was written.
func Read(ctx context.Context, dir *os.Root, from Position, v Visitor) (Position, error) {
	list, err := List(dir)
	if err != nil {
		return from, err
	}
	at := from
	for {
		last := !slices.ContainsFunc(list.Segments, func(n uint64) bool { return n > at.Segment })
		if !last { // or all that comes is as good as none
			if last, err = blankEnd(dir, list, at.Segment); err != nil {
				return at, err
			}
		}
		if at, err = readSegment(ctx, dir, at, last, v); err != nil || last {
			return at, err
		}
		at = Position{Segment: at.Segment + 1, Offset: headerSize, Sequence: at.Sequence}
	}
}

// readSegment reads one segment from a position on.
func readSegment(ctx context.Context, dir *os.Root, from Position, last bool, v Visitor) (Position, error) {
	f, err := rootfile.Open(dir, logName(from.Segment))
	if errdefs.IsNotFound(err) {
		return from, v.damage("%s is missing", logName(from.Segment))
	}
	if errdefs.IsInvalidArgument(err) { // something else is in its place
		return from, v.damage("%w", err)
	}
	if err != nil {
		return from, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return from, err
	}
	h, ok, err := readHeader(f, logMagic, from.Segment)
	if err != nil {
		return from, err
	}
	r := &reader{ctx: ctx, file: f, name: logName(from.Segment), marker: h.marker, size: info.Size(), last: last, v: v}
	if r.size < from.Offset {
		return from, v.damage("%s has %d bytes, of which there were %d", r.name, r.size, from.Offset)
	}
	if !ok || from.Offset == headerSize && h.first != from.Sequence {
		if err := v.damage("%s does not begin as it should", r.name); err != nil {
			return from, err
		}
	}
	return r.entries(from)
}

// reader reads the entries of one file.
type reader struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	file    *os.File
	name    string
	marker  marker
	size    int64
	last    bool // of the journal
	v       Visitor
	payload []byte
}

// entries shows the entries from a position on, and returns where they end. Without their
// marker there are none.
func (r *reader) entries(at Position) (Position, error) {
	if !r.marker.known() {
		return at, nil
	}
	in := bufio.NewReaderSize(io.NewSectionReader(r.file, at.Offset, r.size-at.Offset), 256<<10)
	for {
		if err := r.ctx.Err(); err != nil {
			return at, err
		}
		length, ok, err := r.entry(in, at.Sequence)
		if err != nil {
			return at, err
		}
		if ok {
			if err := r.v.Entry(at, r.payload); err != nil {
				return at, fmt.Errorf("%s: %w", at, err)
			}
			at.Offset += length
			at.Sequence++
			continue
		}
		next, found, err := r.find(at)
		if err != nil {
			return at, err
		}
		if !found && r.last {
			return at, nil // nothing comes, or what a crash has left of an entry
		}
		if !found {
			return at, r.end(at)
		}
		err = r.v.damage("%s has %d bytes that are no entry at byte %d; entries %d to %d are gone",
			r.name, next.Offset-at.Offset, at.Offset, at.Sequence, next.Sequence-1)
		if err != nil {
			return at, err
		}
		at = next
		in.Reset(io.NewSectionReader(r.file, at.Offset, r.size-at.Offset))
	}
}

// entry reads the next entry into r.payload; not ok is what is none of that sequence.
func (r *reader) entry(in *bufio.Reader, sequence uint64) (length int64, ok bool, err error) {
	head, err := in.Peek(entryHeader)
	if err != nil {
		return 0, false, notEOF(err)
	}
	e, ok := parseEntry(head, r.marker)
	if !ok || e.sequence != sequence || e.length > r.size {
		return 0, false, nil
	}
	header := [entryHeader]byte(head)
	if _, err := in.Discard(entryHeader); err != nil {
		return 0, false, err
	}
	if int64(cap(r.payload)) < e.length {
		r.payload = make([]byte, e.length)
	}
	r.payload = r.payload[:e.length]
	if _, err := io.ReadFull(in, r.payload); err != nil {
		return 0, false, notEOF(err)
	}
	return entryHeader + e.length, e.fits(header[:], r.payload), nil
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// end checks what comes after the last whole entry of a file.
func (r *reader) end(at Position) error {
	used, err := lastByte(r.file, at.Offset, r.size)
	if err == nil && used > at.Offset {
		err = r.v.damage("%s has %d bytes at its end that are no entry", r.name, used-at.Offset)
	}
	return err
}

// find returns the position of the first whole entry from a place on that may
// be the next one or a later one, if any.
func (r *reader) find(after Position) (Position, bool, error) {
	buf := make([]byte, min(1<<20, max(1<<10, r.size-after.Offset)))
	for at := after.Offset; at < r.size; {
		n, err := r.file.ReadAt(buf, at)
		if notEOF(err) != nil {
			return after, false, err
		}
		for i := 0; ; i++ {
			found := bytes.Index(buf[i:n], r.marker[:])
			if found < 0 {
				break
			}
			i += found
			if e, ok := r.wholeAt(at + int64(i)); ok && e.sequence >= after.Sequence {
				return Position{Segment: after.Segment, Offset: at + int64(i), Sequence: e.sequence}, true, nil
			}
		}
		if err := r.ctx.Err(); err != nil {
			return after, false, err
		}
		if n < len(buf) {
			break
		}
		at += int64(n - len(r.marker) + 1)
	}
	return after, false, nil
}

// wholeAt reads the entry at an offset, and reports whether it is one.
func (r *reader) wholeAt(at int64) (entry, bool) {
	head := make([]byte, entryHeader)
	if _, err := r.file.ReadAt(head, at); err != nil {
		return entry{}, false
	}
	e, ok := parseEntry(head, r.marker)
	if !ok || at+entryHeader+e.length > r.size {
		return entry{}, false
	}
	payload := make([]byte, e.length)
	if _, err := r.file.ReadAt(payload, at+entryHeader); err != nil {
		return entry{}, false
	}
	return e, e.fits(head, payload)
}
