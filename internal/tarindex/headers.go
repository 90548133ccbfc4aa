package tarindex

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Fields of a header block.
const (
	sizeAt, sizeEnd = 124, 136
	sumAt, sumEnd   = 148, 156
	typeAt          = 156

	// saturated is what some writers put into the size field where the size is too
	// large for it and said elsewhere.
	saturated = 1<<33 - 1
)

const (
	paxSize   = "size"
	paxSparse = "GNU.sparse."
)

// isSparse reports whether an entry's bytes are not in one piece.
func isSparse(hdr *tar.Header) bool {
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, paxSparse) {
			return true
		}
	}
	return hdr.Typeflag == tar.TypeGNUSparse
}

// checkGlobal refuses records that would hold for all entries to come: archive/tar does not
// apply them, other readers do.
func checkGlobal(hdr *tar.Header) error {
	for key := range hdr.PAXRecords {
		if key == "path" || key == "linkpath" || key == paxSize || strings.HasPrefix(key, paxSparse) {
			return fmt.Errorf("a global header sets %q: %w", key, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// checkHeaders looks at the blocks from which archive/tar made a header: those of its
// extensions, which begin at the first offset, and then its own, after which its bytes
// stand. A size, and how names are extended, must not be said in two ways.
func (s *scanner) checkHeaders(hdr *tar.Header, first, data int64) error {
	var pax, gnu bool
	var block [blockSize]byte
	for at := first; at < data-blockSize; {
		if _, err := s.r.ReadAt(block[:], at); err != nil {
			return err
		}
		switch block[typeAt] {
		case tar.TypeXHeader:
			pax = true
		case tar.TypeGNULongName, tar.TypeGNULongLink:
			gnu = true
		}
		size, ok := number(block[sizeAt:sizeEnd])
		if !ok || size > data {
			return fmt.Errorf("the size of an extended header: %w", errdefs.ErrInvalidArgument)
		}
		at += blockSize + wholeBlocks(size)
	}
	if pax && gnu {
		return fmt.Errorf("it has extended headers of both PAX and GNU: %w", errdefs.ErrInvalidArgument)
	}
	said := hdr.PAXRecords[paxSize]
	if said == "" {
		return nil
	}
	if _, err := s.r.ReadAt(block[:], data-blockSize); err != nil {
		return err
	}
	size, ok := number(block[sizeAt:sizeEnd])
	if !ok || size != 0 && size != saturated && said != strconv.FormatInt(size, 10) {
		return fmt.Errorf("its size is %s by one header and %d by another: %w", said, size, errdefs.ErrInvalidArgument)
	}
	return nil
}

// HeaderSize is how many bytes IsHeader looks at.
const HeaderSize = blockSize

// IsHeader reports whether a file that begins with these bytes begins with a header of a tar
// archive: whether its checksum is right.
func IsHeader(block []byte) bool {
	if len(block) < blockSize {
		return false
	}
	sum := int64(8 * ' ')
	for i, b := range block[:blockSize] {
		if i < sumAt || i >= sumEnd {
			sum += int64(b)
		}
	}
	said, ok := number(block[sumAt:sumEnd])
	return ok && said == sum
}

// number reads a number of a header, octal or, with the first bit set, binary.
func number(field []byte) (int64, bool) {
	if field[0]&0x80 != 0 {
		n := int64(field[0] & 0x7f)
		for _, b := range field[1:] {
			if n >= 1<<55 {
				return 0, false
			}
			n = n<<8 | int64(b)
		}
		return n, true
	}
	text := strings.Trim(string(field), " \x00")
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(text, 8, 64)
	return n, err == nil && n >= 0
}

// isZero reports whether the block at an offset is the first one of an end mark.
func (s *scanner) isZero(at int64) bool {
	var block [blockSize]byte
	_, err := s.r.ReadAt(block[:], at)
	return err == nil && bytes.Equal(block[:], make([]byte, blockSize))
}
