// Package verify checks a stream of bytes against a digest and a size while it
// passes by.
package verify

import (
	"context"
	_ "crypto/sha256" // for digest.SHA256
	_ "crypto/sha512" // for digest.SHA384 and digest.SHA512
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
)

// Unknown is the size of content whose size is not known.
const Unknown = -1

// Verifier is an io.Writer that is given all bytes of one piece of content, in
// order. It is not safe for concurrent use.
type Verifier struct {
	want digest.Digest
	size int64
	seen int64
	hash hash.Hash
}

// New returns a Verifier of content with that digest and size; Unknown, or any
// other negative size, leaves the size unchecked. A digest that is malformed is
// errdefs.ErrInvalidArgument, one of an unknown algorithm
// errdefs.ErrNotImplemented.
func New(want digest.Digest, size int64) (*Verifier, error) {
	d, err := image.ParseDigest(string(want))
	if err != nil {
		return nil, err
	}
	return &Verifier{want: d, size: size, hash: d.Algorithm().Hash()}, nil
}

// Write takes the next bytes. The first byte beyond the size is
// errdefs.ErrDataLoss.
func (v *Verifier) Write(p []byte) (int, error) {
	v.seen += int64(len(p))
	if v.size >= 0 && v.seen > v.size {
		return 0, fmt.Errorf("content of %s: size is more than %d bytes, want %d: %w", v.want, v.size, v.size, errdefs.ErrDataLoss)
	}
	return v.hash.Write(p)
}

// Room returns how many of n bytes are worth reading next: enough to see one
// byte beyond the size, and no more.
func (v *Verifier) Room(n int) int {
	if left := v.size - v.seen; v.size >= 0 && left < int64(n) {
		return int(left) + 1 // n at most; left+1 alone might overflow
	}
	return n
}

// Clone returns a Verifier that has seen the same bytes, and goes on by itself. A hash
// that cannot be cloned is errdefs.ErrNotImplemented; those of the standard library can.
func (v *Verifier) Clone() (*Verifier, error) {
	state, ok := v.hash.(hash.Cloner)
	if !ok {
		return nil, fmt.Errorf("cloning the hash of %s: %w", v.want, errdefs.ErrNotImplemented)
	}
	again, err := state.Clone()
	if err != nil {
		return nil, fmt.Errorf("cloning the hash of %s after %d bytes: %w", v.want, v.seen, err)
	}
	clone := *v
	clone.hash = again
	return &clone, nil
}

// Seen returns the number of bytes written so far.
func (v *Verifier) Seen() int64 { return v.seen }

// Finish is called after the last byte. Content that is too short or whose
// digest is another one is errdefs.ErrDataLoss; the message names both.
func (v *Verifier) Finish() error {
	if v.size >= 0 && v.seen != v.size {
		return fmt.Errorf("content of %s: size is %d bytes, want %d: %w", v.want, v.seen, v.size, errdefs.ErrDataLoss)
	}
	if got := digest.NewDigest(v.want.Algorithm(), v.hash); got != v.want {
		return fmt.Errorf("content of %s: digest is %s: %w", v.want, got, errdefs.ErrDataLoss)
	}
	return nil
}

// streamBuffer is the size of the buffer of one Stream.
const streamBuffer = 256 << 10

// Stream reads r to its end, or one byte beyond the size, and returns the errors
// of New, Write and Finish, of r, or of the context.
func Stream(ctx context.Context, r io.Reader, want digest.Digest, size int64) error {
	v, err := New(want, size)
	if err != nil {
		return err
	}
	for buf := make([]byte, streamBuffer); ; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verifying %s: %w", v.want, err)
		}
		n, err := r.Read(buf[:v.Room(len(buf))])
		if _, err := v.Write(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return v.Finish()
		}
		if err != nil {
			return fmt.Errorf("verifying %s: %w", v.want, err)
		}
	}
}
