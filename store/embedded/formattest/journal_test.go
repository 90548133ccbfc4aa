package formattest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	logMagic      = "dhow journal  1\n"
	snapshotMagic = "dhow snapshot 1\n"
	fileHeader    = 44
	entryHeader   = 24
)

// entry is one of a journal's file.
type entry struct {
	offset, sequence uint64
	payload          []byte
}

// readSegment reads a file of the journal by the section "journal/" of the page. What
// comes after the last entry is returned too.
func readSegment(path, magic string) (number, first uint64, entries []entry, rest []byte, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, nil, nil, err
	}
	if len(data) < fileHeader || string(data[:16]) != magic || binary.LittleEndian.Uint32(data[40:]) != sum(data[:40]) {
		return 0, 0, nil, nil, fmt.Errorf("%s has no header: %.44x", path, data)
	}
	number, first = binary.LittleEndian.Uint64(data[16:]), binary.LittleEndian.Uint64(data[24:])
	marker := string(data[32:40])
	if name := fmt.Sprintf("%016x", number); !strings.HasPrefix(filepath.Base(path), name) {
		return 0, 0, nil, nil, fmt.Errorf("%s has the number %s", path, name)
	}
	at := uint64(fileHeader)
	for sequence := first; ; sequence++ {
		b := data[at:]
		if len(b) < entryHeader || string(b[:8]) != marker || binary.LittleEndian.Uint64(b[12:]) != sequence {
			return number, first, entries, b, nil
		}
		end := entryHeader + uint64(binary.LittleEndian.Uint32(b[8:]))
		if end > uint64(len(b)) || binary.LittleEndian.Uint32(b[20:]) != sum(b[8:20], b[entryHeader:end]) {
			return number, first, entries, b, nil
		}
		entries = append(entries, entry{at, sequence, b[entryHeader:end]})
		at += end
	}
}

// position is where the next entry is going to be.
type position struct{ segment, offset, sequence uint64 }

func (s state) position() position { return position{s.segment, s.offset, s.sequence} }

// readJournal reads the journal: its snapshot, if there is one, and then the segments. Of
// these it shows only what comes at or after a position; zero: everything.
func readJournal(dir string, from position, show func(change any) error) (end position, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return end, err
	}
	numbers := map[string][]uint64{}
	for _, f := range files {
		parts := regexp.MustCompile(`^([0-9a-f]{16})\.(log|snap)$`).FindStringSubmatch(f.Name())
		if parts == nil {
			return end, fmt.Errorf("%s is no file of a journal", f.Name())
		}
		n, err := strconv.ParseUint(parts[1], 16, 64)
		if err != nil {
			return end, err
		}
		numbers[parts[2]] = append(numbers[parts[2]], n)
	}
	logs, snapshots := numbers["log"], numbers["snap"]
	if len(snapshots) > 0 {
		n := snapshots[len(snapshots)-1]
		logs = slices.DeleteFunc(logs, func(log uint64) bool { return log < n })
		if err := readSnapshot(filepath.Join(dir, fmt.Sprintf("%016x.snap", n)), from, show); err != nil {
			return end, err
		}
	}
	for i, n := range logs {
		number, first, entries, rest, err := readSegment(filepath.Join(dir, fmt.Sprintf("%016x.log", n)), logMagic)
		if err != nil {
			return end, err
		}
		if i == 0 && len(snapshots) == 0 && first != 0 {
			return end, fmt.Errorf("segment %d begins with entry %d, and there is no snapshot", number, first)
		}
		if i > 0 && (number != end.segment+1 || first != end.sequence) {
			return end, fmt.Errorf("segment %d begins with entry %d; want %+v", number, first, end)
		}
		if len(bytes.Trim(rest, "\x00")) > 0 {
			return end, fmt.Errorf("segment %d ends in %.40x", number, rest)
		}
		end = position{number, fileHeader, first}
		for _, e := range entries {
			end = position{number, e.offset + entryHeader + uint64(len(e.payload)), e.sequence + 1}
			if number < from.segment || number == from.segment && e.offset < from.offset {
				continue
			}
			if err := changes(e.payload, show); err != nil {
				return end, fmt.Errorf("segment %d, entry %d: %w", number, e.sequence, err)
			}
		}
	}
	return end, nil
}

// readSnapshot reads a snapshot, whose last entry counts those before it.
func readSnapshot(path string, from position, show func(change any) error) error {
	_, first, entries, rest, err := readSegment(path, snapshotMagic)
	if err != nil {
		return err
	}
	last := len(entries) - 1
	if last < 0 || first != 0 || len(rest) > 0 || string(entries[last].payload) != "end\n"+string(binary.LittleEndian.AppendUint64(nil, uint64(last))) {
		return fmt.Errorf("%s begins with entry %d and ends in %+v, %.40x", path, first, entries[max(last, 0):], rest)
	}
	if from != (position{}) {
		return nil
	}
	for _, e := range entries[:last] {
		if err := changes(e.payload, show); err != nil {
			return fmt.Errorf("%s, entry %d: %w", path, e.sequence, err)
		}
	}
	return nil
}

// The changes that an entry is made of.
type (
	putBlob struct {
		digest string
		blob   blob
		facts  *facts
	}
	dropBlob struct{ digest string }
	putFacts struct {
		digest string
		facts  facts
	}
	putName struct {
		key    string
		record record
	}
	dropName struct{ key string }
	putLease struct {
		id    string
		lease lease
	}
	dropLease struct{ id string }
	hold      struct {
		number, part uint64
		digests      []string
	}
)

// changes decodes an entry's payload.
func changes(payload []byte, show func(change any) error) error {
	d := &decoder{rest: payload}
	for len(d.rest) > 0 {
		c := d.change()
		if d.err != nil {
			return d.err
		}
		if err := show(c); err != nil {
			return err
		}
	}
	return d.done()
}

func (d *decoder) change() any {
	switch kind := d.byte(); kind {
	case 1:
		return d.putBlob()
	case 2:
		return dropBlob{d.present()}
	case 3:
		return putFacts{d.present(), d.facts()}
	case 4:
		return putName{d.text(), d.record()}
	case 5:
		return dropName{d.text()}
	case 6:
		return putLease{d.text(), d.lease()}
	case 7:
		return dropLease{d.text()}
	case 8:
		return hold{d.number(), d.number(), d.digests()}
	default:
		d.fail("change of kind %d", kind)
		return nil
	}
}

func (d *decoder) putBlob() putBlob {
	c := putBlob{digest: d.present()}
	c.blob.created, c.blob.number = d.time(), d.number()
	if c.blob.number == 0 {
		c.blob.size = d.number()
	} else {
		c.blob.bytes = d.text()
		c.blob.size = uint64(len(c.blob.bytes))
	}
	if d.flag() {
		f := d.facts()
		c.facts = &f
	}
	return c
}
