package decompress

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/containerd/errdefs"
)

// xzReader reads the .xz file format, version 1.2.1: streams of blocks, each of which is data
// that the library reads. The library reads the format itself too, but takes as much memory
// for a block as its header asks for, up to 4 GiB.
type xzReader struct {
	in     counted
	flags  [2]byte // of the stream
	block  *xzBlock
	blocks uint64
	sizes  hash.Hash // of the sizes of the blocks so far, as the index is to have them
	ended  bool
	err    error
}

// counted counts what is read, which index and footer speak of.
type counted struct {
	r *bufio.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func newXZReader(r *bufio.Reader) *xzReader { return &xzReader{in: counted{r: r}} }

var errXZ = errors.New("it is no .xz file")

const (
	xzMagic  = "\xfd7zXZ\x00"
	xzFooter = "YZ"
	xzLZMA2  = 0x21

	// maxXZRead is how much is read at once. A byte may take 25 µs: each may be in a chunk
	// of its own, which begins with all probabilities anew.
	maxXZRead = 1 << 10
)

func (x *xzReader) Read(p []byte) (int, error) {
	for x.err == nil && len(p) > 0 {
		if x.block == nil {
			x.err = x.next()
			continue
		}
		n, err := x.block.Read(p[:min(len(p), maxXZRead)])
		if errors.Is(err, io.EOF) {
			err = x.endBlock()
		}
		x.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, x.err
}

// next begins the next block, or ends a stream or all of them.
func (x *xzReader) next() error {
	if x.sizes == nil {
		return x.begin()
	}
	var size [1]byte
	if err := x.full(size[:]); err != nil {
		return err
	}
	if size[0] == 0 {
		return x.end()
	}
	header := make([]byte, (int(size[0])+1)*4)
	header[0] = size[0]
	if err := x.full(header[1:]); err != nil {
		return err
	}
	var err error
	x.block, err = x.newBlock(header)
	return err
}

// full reads all of p; that it ends before is io.ErrUnexpectedEOF.
func (x *xzReader) full(p []byte) error {
	_, err := io.ReadFull(&x.in, p)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// begin reads the header of a stream, or the end after one.
func (x *xzReader) begin() error {
	var header [12]byte
	for { // between streams there may be zeros, four by four
		switch _, err := io.ReadFull(&x.in, header[:4]); {
		case errors.Is(err, io.EOF) && x.ended:
			return io.EOF
		case err != nil:
			return io.ErrUnexpectedEOF
		}
		if !x.ended || !allZero(header[:4]) {
			break
		}
	}
	if err := x.full(header[4:]); err != nil {
		return err
	}
	copy(x.flags[:], header[6:])
	switch {
	case string(header[:6]) != xzMagic, binary.LittleEndian.Uint32(header[8:]) != crc32.ChecksumIEEE(x.flags[:]):
		return errXZ
	case x.flags[0] != 0 || x.flags[1]&0xf0 != 0:
		return fmt.Errorf("its flags are %x: %w", x.flags, errdefs.ErrNotImplemented)
	}
	x.blocks, x.sizes = 0, sha256.New()
	_, err := x.newCheck()
	return err
}

// newCheck returns the hash that is behind each block.
func (x *xzReader) newCheck() (hash.Hash, error) {
	switch x.flags[1] {
	case 0:
		return nil, nil //nolint:nilnil // there is none
	case 1:
		return reversed{crc32.NewIEEE()}, nil
	case 4:
		return reversed{crc64.New(crc64.MakeTable(crc64.ECMA))}, nil
	case 10:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("its blocks have a check of kind %d: %w", x.flags[1], errdefs.ErrNotImplemented)
}

// reversed is a hash whose sum has the lowest byte first.
type reversed struct{ hash.Hash }

func (r reversed) Sum(b []byte) []byte {
	sum := r.Hash.Sum(nil)
	for i := range sum {
		b = append(b, sum[len(sum)-1-i])
	}
	return b
}

// end reads index and footer of a stream.
func (x *xzReader) end() error {
	index := xzIndex{x: x, crc: crc32.NewIEEE(), n: 1}
	_, _ = index.crc.Write([]byte{0}) // that tells it from a block; it never fails
	if err := index.read(); err != nil {
		return err
	}
	var footer [12]byte
	if err := x.full(footer[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(footer[:]) != crc32.ChecksumIEEE(footer[4:10]) || string(footer[10:]) != xzFooter ||
		!bytes.Equal(footer[8:10], x.flags[:]) || (int64(binary.LittleEndian.Uint32(footer[4:]))+1)*4 != index.n {
		return errXZ
	}
	x.sizes, x.ended = nil, true
	return nil
}

// xzIndex is the index of a stream, which says how large its blocks are.
type xzIndex struct {
	x   *xzReader
	crc hash.Hash32
	n   int64 // bytes, with the sum
}

func (i *xzIndex) ReadByte() (byte, error) {
	var b [1]byte
	if err := i.x.full(b[:]); err != nil {
		return 0, err
	}
	i.n++
	_, _ = i.crc.Write(b[:]) // never fails
	return b[0], nil
}

func (i *xzIndex) read() error {
	blocks, err := xzNumber(i)
	if err != nil {
		return err
	}
	if blocks != i.x.blocks {
		return errXZ
	}
	sizes := sha256.New()
	for range blocks {
		unpadded, err := xzNumber(i)
		if err != nil {
			return err
		}
		size, err := xzNumber(i)
		if err != nil {
			return err
		}
		noteSizes(sizes, unpadded, size)
	}
	for i.n%4 != 0 {
		if b, err := i.ReadByte(); err != nil || b != 0 {
			return errors.Join(err, errXZ)
		}
	}
	var sum [4]byte
	if err := i.x.full(sum[:]); err != nil {
		return err
	}
	i.n += int64(len(sum))
	if binary.LittleEndian.Uint32(sum[:]) != i.crc.Sum32() || !bytes.Equal(sizes.Sum(nil), i.x.sizes.Sum(nil)) {
		return errXZ
	}
	return nil
}

// noteSizes has a hash know of a block.
func noteSizes(h hash.Hash, unpadded, size uint64) {
	_, _ = h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, unpadded), size)) // never fails
}

// xzNumber reads a number: seven bits a byte, the lowest first, nine bytes at most.
func xzNumber(r io.ByteReader) (n uint64, err error) {
	const most = 9
	for i := range most {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			if b == 0 && i > 0 {
				return 0, errXZ
			}
			return n, nil
		}
	}
	return 0, errXZ
}

func allZero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }
