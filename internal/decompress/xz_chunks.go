package decompress

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// xzChunks are the chunks of a block on their way to the library, which takes what LZMA2 does
// not allow: literals with so many contexts that 12 bytes need 6 MiB, a chunk of whose data
// some is left, and an end without its mark.
//
// The library reads the first byte of a header alone, the others together, and compressed data
// byte by byte. So it is seen here when it takes what is left of a chunk for the next one.
type xzChunks struct {
	r      io.Reader
	head   int  // how much of a header is to come
	left   int  // how much of the data
	stored bool // these are not compressed
	ended  bool // the mark was there
}

func (c *xzChunks) Read(p []byte) (n int, err error) {
	switch {
	case c.left > 0 && (c.stored || len(p) == 1):
		n, err = c.r.Read(p[:min(len(p), c.left)])
		c.left -= n
	case c.left > 0:
		return 0, errXZ
	case c.head == 0 && len(p) == 1:
		if n, err = c.r.Read(p); n > 0 {
			c.head, c.stored, c.ended = xzChunkHead(p[0]), p[0] < 0x80, p[0] == 0
		}
	case c.head > 0 && len(p) == c.head:
		if n, err = io.ReadFull(c.r, p); err == nil && !c.begin(p) {
			return 0, errXZ
		}
	default:
		return 0, errXZ
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// begin begins the data by the header, of which the first byte was read before, and returns
// whether LZMA2 allows it.
func (c *xzChunks) begin(head []byte) bool {
	const most = 4 // bits of context
	c.head = 0
	if c.stored {
		c.left = xzChunkSize(head)
		return true
	}
	c.left = xzChunkSize(head[2:])
	return len(head) < 5 || head[4]%9+head[4]/9%5 <= most
}

// xzHeld returns how much the block holds that begins in r, by the headers of its chunks, up to
// most; and most if it is longer than the buffer of r. No more is waited for than the block.
func xzHeld(r *bufio.Reader, most int64) (held int64) {
	for at := 0; held < most; {
		head, err := r.Peek(at + 1)
		if err == nil {
			head, err = r.Peek(at + 1 + xzChunkHead(head[at]))
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return most
		case err != nil:
			return held // that is all there is
		}
		control, sizes := head[at], head[at+1:]
		if len(sizes) == 0 {
			return held
		}
		at += 1 + len(sizes)
		held += int64(xzChunkSize(sizes))
		if control < 0x80 {
			at += xzChunkSize(sizes)
			continue
		}
		held += int64(control&0x1f) << 16
		at += xzChunkSize(sizes[2:])
	}
	return most
}

// xzChunkHead is how long the header of a chunk is behind its first byte.
func xzChunkHead(control byte) int {
	switch {
	case control >= 0xc0:
		return 5
	case control >= 0x80:
		return 4
	case control == 1 || control == 2:
		return 2
	}
	return 0 // the mark of the end, or what the library refuses
}

// xzChunkSize reads a size, which is never 0.
func xzChunkSize(p []byte) int { return int(binary.BigEndian.Uint16(p)) + 1 }
