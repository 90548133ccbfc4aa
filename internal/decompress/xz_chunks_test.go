package decompress_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// rawBlock is a block by its chunks, and how much they hold.
type rawBlock struct {
	chunks string
	size   int
}

// rawXZ is a stream of blocks without sizes and checks, for a dictionary of that size.
func rawXZ(dictionary byte, blocks ...rawBlock) []byte {
	flags := []byte{0, 0}
	out := withCRC(flags)
	out = append([]byte("\xfd7zXZ\x00"), out...)
	index := binary.AppendUvarint([]byte{0}, uint64(len(blocks)))
	for _, b := range blocks {
		header := withCRC([]byte{2, 0, 0x21, 1, dictionary, 0, 0, 0})
		out = padded(append(append(out, header...), b.chunks...))
		index = binary.AppendUvarint(index, uint64(len(header)+len(b.chunks)))
		index = binary.AppendUvarint(index, uint64(b.size))
	}
	index = withCRC(padded(index))
	footer := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), flags...)
	out = binary.LittleEndian.AppendUint32(append(out, index...), crc32.ChecksumIEEE(footer))
	return append(append(out, footer...), "YZ"...)
}

// withCRC has the checksum of data behind them.
func withCRC(data []byte) []byte {
	return binary.LittleEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
}

// padded has zeros behind data, for a length that 4 divides.
func padded(data []byte) []byte { return append(data, make([]byte, -len(data)&3)...) }

// zeroChunk is a chunk of compressed data that holds one zero byte. It needs 6 bytes, but says
// that it has more, and what its literals have for contexts.
func zeroChunk(more byte, lc, lp int) string {
	return string([]byte{0xe0, 0, 0, 0, 5 + more, byte(lp*9 + lc), 0, 0, 0, 0, 0, 0})
}

func TestXZChunks(t *testing.T) {
	t.Parallel()
	const stored, further = "\x01\x00\x03dhow", "\x02\x00\x03dhow"
	for name, tc := range map[string]struct {
		chunks, want string
		kind         error
	}{
		"stored":                             {stored + "\x00", "dhow", nil},
		"compressed and stored":              {zeroChunk(0, 3, 0) + further + "\x00", "\x00dhow", nil},
		"as many contexts as there may be":   {zeroChunk(0, 0, 4) + zeroChunk(0, 4, 0) + "\x00", "\x00\x00", nil},
		"one bit of contexts too many":       {zeroChunk(0, 4, 1) + "\x00", "\x00", errdefs.ErrInvalidArgument},
		"contexts of 6 MiB":                  {zeroChunk(0, 8, 4) + "\x00", "\x00", errdefs.ErrInvalidArgument},
		"no mark of the end":                 {stored + "\xc0\x00\x00\x00\x00\x5d\x00", "dhow", errdefs.ErrInvalidArgument},
		"a mark that is data":                {zeroChunk(1, 3, 0) + "\x00", "\x00", errdefs.ErrInvalidArgument},
		"a mark that is data, and more":      {zeroChunk(100, 3, 0) + "\x00", "\x00", errdefs.ErrInvalidArgument},
		"a first byte of a chunk that is so": {zeroChunk(1, 3, 0) + further + "\x00", "\x00dhow", errdefs.ErrInvalidArgument},
		"a chunk that is so":                 {zeroChunk(7, 3, 0) + further + "\x00", "\x00dhow", errdefs.ErrInvalidArgument},
		"a chunk of an unknown kind":         {"\x03" + stored + "\x00", "dhow", errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readXZ(t, rawXZ(0, rawBlock{tc.chunks, len(tc.want)}))
			if !errors.Is(err, tc.kind) || err == nil && string(got) != tc.want {
				t.Errorf("read %q, %v; want %q, %v", got, err, tc.want, tc.kind)
			}
		})
	}
}

// TestXZDictionaries reads small blocks that each ask for a large dictionary, as xz writes them.
func TestXZDictionaries(t *testing.T) { // not parallel: it looks at all memory
	const mib8, mib64, mib128 = 22, 28, 30
	dhow := rawXZ(mib8, rawBlock{"\x01\x00\x03dhow\x00", 4})
	half := "\xc3\x4f" + strings.Repeat("x", 0xc350) // 50,000 bytes
	block := rawBlock{"\x01" + half + "\x02" + half + "\x00", 100_000}
	for name, tc := range map[string]struct {
		data []byte
		want int
	}{
		"xz -9 --block-size=100000": {rawXZ(mib64, slices.Repeat([]rawBlock{block}, 30)...), 3_000_000},
		"33 streams":                {bytes.Repeat(dhow, 33), 33 * 4},
		"1000 streams, and 128 MiB": {bytes.Repeat(withDictionary(dhow, mib128), 1000), 1000 * 4},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := readXZ(t, tc.data)
		runtime.ReadMemStats(&after)
		if err != nil || len(got) != tc.want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, tc.want)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
			t.Errorf("%s: %d bytes were allocated to read %d", name, grown, len(tc.data))
		}
	}
}
