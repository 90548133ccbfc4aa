package verify_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/verify"
)

func TestStream(t *testing.T) {
	t.Parallel()
	data := strings.Repeat("Dhow", 100_000) // more than a buffer
	size := int64(len(data))
	d := digest.FromString(data)
	broken := errors.New("the cable was cut")
	for name, tc := range map[string]struct {
		src  io.Reader
		want digest.Digest
		size int64
		kind error
		text string
	}{
		"right":                {strings.NewReader(data), d, size, nil, ""},
		"size not known":       {strings.NewReader(data), d, verify.Unknown, nil, ""},
		"sha512":               {strings.NewReader(data), digest.SHA512.FromString(data), size, nil, ""},
		"sha384, byte by byte": {iotest.OneByteReader(strings.NewReader("x")), digest.SHA384.FromString("x"), 1, nil, ""},
		"data with EOF":        {iotest.DataErrReader(strings.NewReader(data)), d, size, nil, ""},
		"B05 empty":            {strings.NewReader(""), digest.FromString(""), 0, nil, ""},
		"B01 shorter":          {strings.NewReader(data[1:]), d, size, errdefs.ErrDataLoss, "size is 399999 bytes, want 400000"},
		"B02 longer":           {strings.NewReader(data + "x"), d, size, errdefs.ErrDataLoss, "more than 400000 bytes"},
		"B02 longer, with EOF": {iotest.DataErrReader(strings.NewReader(data + "x")), d, size, errdefs.ErrDataLoss, "more than 400000 bytes"},
		"B03 other bytes":      {strings.NewReader("x" + data[1:]), d, size, errdefs.ErrDataLoss, digest.FromString("x" + data[1:]).String()},
		"B03 size not known":   {strings.NewReader(data + "x"), d, verify.Unknown, errdefs.ErrDataLoss, d.String()},
		"B06 size 0":           {strings.NewReader(data), d, 0, errdefs.ErrDataLoss, "more than 0 bytes"},
		"B07 size 2^63-1":      {strings.NewReader(data), d, math.MaxInt64, errdefs.ErrDataLoss, "size is 400000 bytes, want 9223372036854775807"},
		"B09 no digest":        {strings.NewReader(data), "", size, errdefs.ErrInvalidArgument, ""},
		"B11 other algorithm":  {strings.NewReader(data), "md5:d41d8cd98f00b204e9800998ecf8427e", size, errdefs.ErrNotImplemented, "md5"},
		"reader fails":         {iotest.ErrReader(broken), d, size, broken, d.String()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := verify.Stream(t.Context(), tc.src, tc.want, tc.size)
			if tc.kind == nil && err != nil || !errors.Is(err, tc.kind) || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("Stream: %v; want %v with %q", err, tc.kind, tc.text)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := verify.Stream(ctx, strings.NewReader(data), d, size); !errors.Is(err, context.Canceled) {
		t.Errorf("Stream with a context that has ended: %v", err)
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		size    int64
		seen    int
		n, want int
	}{
		"one byte more than the size":  {10, 0, 100, 11},
		"one byte more than the rest":  {10, 8, 100, 3},
		"all seen":                     {10, 10, 100, 1},
		"a buffer of the rest":         {10, 8, 2, 2},
		"a buffer of one more":         {10, 8, 3, 3},
		"a buffer that is short":       {10, 0, 2, 2},
		"size 0":                       {0, 0, 100, 1},
		"size 2^63-1":                  {math.MaxInt64, 0, 100, 100},
		"size 2^63-1, some of it seen": {math.MaxInt64, 8, 100, 100},
		"size not known":               {verify.Unknown, 8, 100, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := verify.New(digest.FromString("x"), tc.size)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Write(bytes.Repeat([]byte("x"), tc.seen)); err != nil {
				t.Fatal(err)
			}
			if got := v.Room(tc.n); got != tc.want || v.Seen() != int64(tc.seen) {
				t.Errorf("Room = %d after %d bytes, want %d after %d", got, v.Seen(), tc.want, tc.seen)
			}
		})
	}
}

func TestClone(t *testing.T) {
	t.Parallel()
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		v, err := verify.New(alg.FromString("one and two"), 11)
		if err != nil {
			t.Fatal(err)
		}
		write := func(v *verify.Verifier, text string) {
			t.Helper()
			if _, err := io.WriteString(v, text); err != nil {
				t.Fatal(err)
			}
		}
		write(v, "one ")
		clone, err := v.Clone()
		if err != nil || clone.Seen() != 4 {
			t.Fatalf("%s: a clone that has seen %d bytes, %v", alg, clone.Seen(), err)
		}
		write(v, "or none")
		write(clone, "and two")
		if err := clone.Finish(); err != nil {
			t.Errorf("%s: the clone: %v", alg, err)
		}
		if err := v.Finish(); !errors.Is(err, errdefs.ErrDataLoss) {
			t.Errorf("%s: what was cloned: %v", alg, err)
		}
	}
}
