// Package journal keeps the journal of an embedded store: what has changed, in order,
// appended and synced before anything else knows of it.
//
//	<number>.log    a segment: entries, and zeros where there are none yet
//	<number>.snap   what there was before the segment of that number
//
// The number is 16 hexadecimal digits. docs/store-format.md has the bytes.
package journal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store/embedded/internal/files"
)

const (
	logMagic      = "dhow journal  1\n"
	snapshotMagic = "dhow snapshot 1\n"
	headerSize    = 44
	entryHeader   = 24

	// maxPayload is how large an entry may be; what says that it is larger is damaged.
	maxPayload = 1 << 30

	logSuffix      = ".log"
	snapshotSuffix = ".snap"
	newSnapshot    = "snapshot.new"
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by the package

// marker is what every entry of a file begins with: random bytes, which its header tells.
// Blobs are in entries, and who makes one must not be able to make what passes for an entry
// where the one around it is damaged.
type marker [8]byte

func newMarker() (m marker) {
	_, _ = rand.Read(m[:]) // never fails
	return m
}

// known reports whether a marker was read: zeros are what a file has where nothing is.
func (m marker) known() bool { return m != marker{} }

// Position is where an entry begins, or the next one is going to.
type Position struct {
	Segment  uint64
	Offset   int64
	Sequence uint64 // of that entry
}

// String says where that is.
func (p Position) String() string {
	return fmt.Sprintf("byte %d of %s", p.Offset, logName(p.Segment))
}

func logName(n uint64) string      { return fmt.Sprintf("%016x", n) + logSuffix }
func snapshotName(n uint64) string { return fmt.Sprintf("%016x", n) + snapshotSuffix }

// header is what the header of a file says, beside its magic and its number.
type header struct {
	first  uint64 // the sequence of the first entry
	marker marker
}

// appendHeader appends what a file begins with.
func appendHeader(b []byte, magic string, number uint64, h header) []byte {
	at := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, h.first)
	b = append(b, h.marker[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli()))
}

// parseHeader returns what the header of a file says, and whether it begins as it should.
func parseHeader(b []byte, magic string, number uint64) (h header, ok bool) {
	if len(b) < headerSize {
		return header{}, false
	}
	h = header{first: binary.LittleEndian.Uint64(b[24:]), marker: marker(b[32:40])}
	return h, h.marker.known() && string(b[:headerSize]) == string(appendHeader(nil, magic, number, h))
}

// readHeader reads the header of a file. If that is damaged, so is what ok says, and the
// marker is that of the first entry: the zero marker if none is there.
func readHeader(file io.ReaderAt, magic string, number uint64) (h header, ok bool, err error) {
	var head [headerSize + len(marker{})]byte
	n, err := file.ReadAt(head[:], 0)
	if err := notEOF(err); err != nil {
		return header{}, false, err
	}
	if h, ok = parseHeader(head[:n], magic, number); !ok {
		h = header{marker: marker(head[headerSize:])}
	}
	return h, ok, nil
}

// appendEntry appends an entry.
func appendEntry(b []byte, m marker, sequence uint64, payload []byte) []byte {
	b = append(b, m[:]...)
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload))) //nolint:gosec // checked by Append
	b = binary.LittleEndian.AppendUint64(b, sequence)
	sum := crc32.Checksum(b[at:], castagnoli())
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(sum, castagnoli(), payload))
	return append(b, payload...)
}

// entry is what the header of an entry says.
type entry struct {
	length   int64
	sequence uint64
	sum      uint32
}

// parseEntry reads an entry's header; not ok is what is none.
func parseEntry(b []byte, m marker) (e entry, ok bool) {
	if len(b) < entryHeader || marker(b[:8]) != m {
		return entry{}, false
	}
	e = entry{
		length:   int64(binary.LittleEndian.Uint32(b[8:])),
		sequence: binary.LittleEndian.Uint64(b[12:]),
		sum:      binary.LittleEndian.Uint32(b[20:]),
	}
	return e, e.length <= maxPayload
}

// fits reports whether the payload is that of the entry with this header.
func (e entry) fits(header, payload []byte) bool {
	sum := crc32.Checksum(header[8:20], castagnoli())
	return crc32.Update(sum, castagnoli(), payload) == e.sum
}

// Files are the numbers of the files in a journal's directory, in order.
type Files struct {
	Segments  []uint64
	Snapshots []uint64
	Strays    []string // what has no name of a journal's
}

// List lists the files of a journal.
func List(dir *os.Root) (Files, error) {
	d, err := dir.Open(".")
	if err != nil {
		return Files{}, files.Kind(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return Files{}, fmt.Errorf("reading the directory of the journal: %w", err)
	}
	slices.Sort(names)
	var f Files
	for _, name := range names {
		if n, ok := number(name, logSuffix); ok {
			f.Segments = append(f.Segments, n)
		} else if n, ok := number(name, snapshotSuffix); ok {
			f.Snapshots = append(f.Snapshots, n)
		} else {
			f.Strays = append(f.Strays, name)
		}
	}
	return f, nil
}

// Size returns how many bytes the files of a journal have before a segment.
func Size(dir *os.Root, segment uint64) (total int64, err error) {
	list, err := List(dir)
	if err != nil {
		return 0, err
	}
	var names []string
	for _, n := range list.Segments {
		if n < segment {
			names = append(names, logName(n))
		}
	}
	for _, n := range list.Snapshots {
		names = append(names, snapshotName(n))
	}
	for _, name := range names {
		info, err := dir.Lstat(name)
		if err != nil {
			return 0, files.Kind(err)
		}
		total += info.Size()
	}
	return total, nil
}

// Remove removes a segment.
func Remove(dir *os.Root, segment uint64) error { return files.Remove(dir, logName(segment)) }

// IsName reports whether a file in a journal's directory has a name of the journal's.
func IsName(name string) bool {
	_, segment := number(name, logSuffix)
	_, snapshot := number(name, snapshotSuffix)
	return segment || snapshot || name == newSnapshot
}

func number(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 || strings.ToLower(digits) != digits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil
}

// damaged returns an ErrDataLoss about the journal.
func damaged(format string, args ...any) error {
	return fmt.Errorf("the journal is damaged: %s: %w", fmt.Errorf(format, args...).Error(), errdefs.ErrDataLoss)
}
