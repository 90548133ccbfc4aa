package transport_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/transport"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	const right = "the bytes of a blob"
	desc := ocispec.Descriptor{Digest: digest.FromString(right), Size: int64(len(right))}
	unsized := desc
	unsized.Size = -1
	huge := desc
	huge.Size = math.MaxInt64
	broken := errors.New("the cable was cut")
	for name, tc := range map[string]struct {
		desc ocispec.Descriptor
		src  io.Reader
		want error
	}{
		"right":          {desc, strings.NewReader(right), nil},
		"byte by byte":   {desc, iotest.OneByteReader(strings.NewReader(right)), nil},
		"data with EOF":  {desc, iotest.DataErrReader(strings.NewReader(right)), nil},
		"size not known": {unsized, strings.NewReader(right), nil},
		"size 2^63-1":    {huge, strings.NewReader(right), errdefs.ErrDataLoss},
		"other bytes":    {desc, strings.NewReader("The bytes of a blob"), errdefs.ErrDataLoss},
		"too few":        {desc, strings.NewReader(right[1:]), errdefs.ErrDataLoss},
		"too many":       {desc, strings.NewReader(right + "!"), errdefs.ErrDataLoss},
		"none":           {unsized, strings.NewReader(""), errdefs.ErrDataLoss},
		"reader fails":   {desc, io.MultiReader(strings.NewReader(right), iotest.ErrReader(broken)), broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := transport.Verify(io.NopCloser(tc.src), tc.desc)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if tc.want == nil && (err != nil || string(got) != right) || !errors.Is(err, tc.want) {
				t.Errorf("read %q, %v; want %v", got, err, tc.want)
			}
			if _, again := r.Read(make([]byte, 1)); tc.want != nil && !errors.Is(again, tc.want) {
				t.Errorf("the error is gone: %v", again)
			}
		})
	}
	if _, err := transport.Verify(io.NopCloser(strings.NewReader("")), ocispec.Descriptor{Digest: "sha256:../x"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("Verify by a digest that is not valid: %v", err)
	}
}

func ExampleVerify() {
	desc := ocispec.Descriptor{Digest: digest.FromString("what was promised"), Size: 17}
	r, err := transport.Verify(io.NopCloser(strings.NewReader("something elsewhat")), desc)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = io.ReadAll(r)
	fmt.Println(errdefs.IsDataLoss(err))
	// Output: true
}
