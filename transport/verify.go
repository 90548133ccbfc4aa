package transport

import (
	"errors"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/verify"
)

// Verify returns a reader of all bytes of desc that checks them while they are
// read: instead of io.EOF it returns errdefs.ErrDataLoss if they are not what the
// descriptor says. What was read before must not be trusted until then. A size
// of -1 is not known. Closing it closes r. The digest is that of the bytes, which
// for a signed schema 1 manifest is another one than its own.
func Verify(r io.ReadCloser, desc ocispec.Descriptor) (io.ReadCloser, error) {
	v, err := verify.New(desc.Digest, desc.Size)
	if err != nil {
		return nil, err
	}
	return &verifier{ReadCloser: r, check: v}, nil
}

type verifier struct {
	io.ReadCloser
	check *verify.Verifier
	err   error // what every further Read returns
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.ReadCloser.Read(p[:v.check.Room(len(p))])
	if _, bad := v.check.Write(p[:n]); bad != nil {
		v.err = bad
		return 0, bad
	}
	if errors.Is(err, io.EOF) {
		if bad := v.check.Finish(); bad != nil {
			err = bad
		}
	}
	v.err = err
	return n, err
}
