package decompress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/containerd/errdefs"
	"github.com/ulikunitz/xz/lzma"
)

// xzBlock is a block of a stream.
type xzBlock struct {
	data   *lzma.Reader2
	chunks *xzChunks
	check  hash.Hash // of what has been read; nil: none
	// What the header says of its sizes; -1: nothing.
	packedSaid, sizeSaid int64
	header               int64 // bytes
	begin                int64 // where the data begin
	size                 int64 // of what has been read
}

func (b *xzBlock) Read(p []byte) (int, error) {
	n, err := b.data.Read(p)
	b.size += int64(n)
	if b.check != nil {
		_, _ = b.check.Write(p[:n]) // never fails
	}
	return n, err
}

// newBlock begins a block by its header.
//
// The library clears a dictionary for each block, so that many small ones that ask for a large
// one each, as xz -9 --block-size writes them, would take far longer than their data. But no
// block uses more of it than it holds. What is cleared is therefore no more than what comes out,
// or 128 MiB for each buffer that is read, which takes about as long to decompress; once it may
// be 128 MiB for a block that is damaged.
func (x *xzReader) newBlock(header []byte) (*xzBlock, error) {
	body := header[:len(header)-4]
	if binary.LittleEndian.Uint32(header[len(body):]) != crc32.ChecksumIEEE(body) {
		return nil, errXZ
	}
	b := &xzBlock{packedSaid: -1, sizeSaid: -1, header: int64(len(header)), begin: x.in.n}
	dictionary, err := b.read(bytes.NewReader(body[1:]))
	if errors.Is(err, io.EOF) {
		err = errXZ // it says more than it has room for
	}
	if err != nil {
		return nil, err
	}
	if b.sizeSaid >= 0 {
		dictionary = min(dictionary, b.sizeSaid)
	}
	dictionary = xzHeld(x.in.r, dictionary)
	if b.check, err = x.newCheck(); err != nil {
		return nil, err
	}
	b.chunks = &xzChunks{r: &x.in}
	b.data, err = lzma.Reader2Config{DictCap: int(max(dictionary, lzma.MinDictCap))}.NewReader2(b.chunks)
	return b, err
}

// read reads a header behind its size, and returns how many bytes the dictionary has.
func (b *xzBlock) read(r *bytes.Reader) (dictionary int64, err error) {
	flags, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	for _, said := range []struct {
		flag byte
		size *int64
	}{{0x40, &b.packedSaid}, {0x80, &b.sizeSaid}} {
		if flags&said.flag == 0 {
			continue
		}
		n, err := xzNumber(r)
		if err != nil {
			return 0, err
		}
		*said.size = int64(n) //nolint:gosec // 63 bits
	}
	id, err := xzNumber(r)
	if err != nil {
		return 0, err
	}
	if flags&0x3f != 0 || id != xzLZMA2 {
		return 0, fmt.Errorf("it has filters, flags %#x and the first of them %#x: %w", flags, id, errdefs.ErrNotImplemented)
	}
	var properties [2]byte // of which there is one
	if _, err := io.ReadFull(r, properties[:]); err != nil || properties[0] != 1 {
		return 0, errXZ
	}
	if dictionary, err = lzma.DecodeDictCap(properties[1]); err != nil {
		return 0, errXZ
	}
	if dictionary > maxWindow {
		return 0, fmt.Errorf("it needs %d bytes of memory, at most %d are allowed: %w", dictionary, int64(maxWindow), errdefs.ErrResourceExhausted)
	}
	rest, err := io.ReadAll(r)
	if err != nil || !allZero(rest) {
		return 0, errXZ
	}
	return dictionary, nil
}

// endBlock checks what comes behind a block, and what its header has said.
func (x *xzReader) endBlock() error {
	b := x.block
	x.block = nil
	packed := x.in.n - b.begin
	if !b.chunks.ended || b.packedSaid >= 0 && b.packedSaid != packed || b.sizeSaid >= 0 && b.sizeSaid != b.size {
		return errXZ
	}
	padding := make([]byte, (4-packed%4)%4)
	if err := x.full(padding); err != nil {
		return err
	}
	if !allZero(padding) {
		return errXZ
	}
	unpadded := b.header + packed
	if b.check != nil {
		sum := make([]byte, b.check.Size())
		if err := x.full(sum); err != nil {
			return err
		}
		if !bytes.Equal(sum, b.check.Sum(nil)) {
			return errors.New("a block has not its checksum")
		}
		unpadded += int64(len(sum))
	}
	x.blocks++
	noteSizes(x.sizes, uint64(unpadded), uint64(b.size)) //nolint:gosec // not negative
	return nil
}
