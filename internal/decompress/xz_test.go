package decompress_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/dhowhq/dhow/internal/decompress"
)

// "dhow" as XZ Utils write it, with several checks and with a filter for machine code.
const (
	xzCRC64  = "fd377a585a000004e6d6b4460200210116000000742fe5a301000364686f7700760542f3c84337a900011c046f2c9cc11fb6f37d010000000004595a"
	xzSHA256 = "fd377a585a00000ae1fb0ca1020021011c00000010cf58cc01000364686f7700cca20389375d4779936ef929b48de7ebbd2b5f8616bbee9f2a25f948166bde8200013404c582c19c189b4b9a01000000000a595a"
	xzNone   = "fd377a585a000000ff12d9410200210116000000742fe5a301000364686f77000001140467a6450906729e7a010000000000595a"
	xzX86    = "fd377a585a000004e6d6b44602010400210116000d86351f01000364686f7700760542f3c84337a900011c046f2c9cc11fb6f37d010000000004595a"
)

// xzed is what another writer makes of data.
func xzed(t testing.TB, config xz.WriterConfig, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := config.NewWriter(&buf)
	if err == nil {
		_, err = w.Write(data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// withDictionary is a stream whose first block asks for a dictionary of another size.
func withDictionary(data []byte, size byte) []byte {
	data = slices.Clone(data)
	header := data[12 : 12+(int(data[12])+1)*4]
	header[bytes.Index(header, []byte{0x21, 1})+2] = size
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	return data
}

func TestXZ(t *testing.T) {
	t.Parallel()
	random := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	dhow := unhex(t, xzCRC64)
	two := append(slices.Clone(dhow), unhex(t, xzSHA256)...)
	blocks := xzed(t, xz.WriterConfig{BlockSize: 70_000}, random)
	for name, tc := range map[string]struct {
		data []byte
		want string
		kind error
	}{
		"CRC64":                     {dhow, "dhow", nil},
		"SHA-256":                   {unhex(t, xzSHA256), "dhow", nil},
		"no check":                  {unhex(t, xzNone), "dhow", nil},
		"CRC32":                     {xzed(t, xz.WriterConfig{CheckSum: xz.CRC32}, random), string(random), nil},
		"nothing":                   {xzed(t, xz.WriterConfig{}, nil), "", nil},
		"several blocks":            {blocks, string(random), nil},
		"two streams":               {two, "dhowdhow", nil},
		"two streams, zeros":        {append(append(slices.Clone(dhow), 0, 0, 0, 0, 0, 0, 0, 0), dhow...), "dhowdhow", nil},
		"zeros behind":              {append(slices.Clone(dhow), 0, 0, 0, 0), "dhow", nil},
		"a number of zeros":         {append(slices.Clone(dhow), 0, 0), "", errdefs.ErrInvalidArgument},
		"something behind":          {append(slices.Clone(dhow), "more"...), "", errdefs.ErrInvalidArgument},
		"a filter for machine code": {unhex(t, xzX86), "", errdefs.ErrNotImplemented},
		"a dictionary of 128 MiB":   {withDictionary(dhow, 30), "dhow", nil},
		"a dictionary of 192 MiB":   {withDictionary(dhow, 31), "", errdefs.ErrResourceExhausted},
		"a dictionary of 4 GiB":     {withDictionary(dhow, 40), "", errdefs.ErrResourceExhausted},
		"a dictionary of no size":   {withDictionary(dhow, 41), "", errdefs.ErrInvalidArgument},
		"the header alone":          {dhow[:12], "", errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readXZ(t, tc.data)
			if !errors.Is(err, tc.kind) || err == nil && string(got) != tc.want {
				t.Errorf("read %d bytes, %v; want %d, %v", len(got), err, len(tc.want), tc.kind)
			}
		})
	}
}

func readXZ(t *testing.T, data []byte) ([]byte, error) {
	t.Helper()
	r, err := decompress.NewReader(t.Context(), decompress.XZ, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestXZDamage cuts a stream off at each byte, and changes each: all of it is checked.
func TestXZDamage(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"one block":  xzed(t, xz.WriterConfig{CheckSum: xz.SHA256, DictCap: lzma.MinDictCap}, []byte("dhow")),
		"two blocks": xzed(t, xz.WriterConfig{BlockSize: 5, DictCap: lzma.MinDictCap}, []byte("dhow, dhow")),
		"compressed": xzed(t, xz.WriterConfig{DictCap: lzma.MinDictCap}, bytes.Repeat([]byte("dhow, "), 20)),
	} {
		if _, err := readXZ(t, data); err != nil {
			t.Fatal(name, err)
		}
		for i := range data {
			if got, err := readXZ(t, data[:i]); !errdefs.IsInvalidArgument(err) {
				t.Errorf("%s, the first %d bytes: %q, %v", name, i, got, err)
			}
			for bit := range 8 {
				wrong := slices.Clone(data)
				wrong[i] ^= 1 << bit
				if got, err := readXZ(t, wrong); err == nil {
					t.Errorf("%s, bit %d of byte %d: %q", name, bit, i, got)
				}
			}
		}
	}
}
