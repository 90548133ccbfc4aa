package blobfile

import (
	"context"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

const (
	// Small is up to how many bytes an Ingest keeps what was written in memory, where
	// Bytes finds it, and not in a file.
	Small = 64 << 10

	// MaxRef is how many bytes a ref may have.
	MaxRef = 1 << 10
)

// Ingest is one piece of content that is being written. Its methods are for one
// goroutine at a time. It ends by Close, Abort or Dir.Publish, after which only Bytes
// and Content can be used, and Close and Abort do nothing.
//
// A method whose context has ended may have left work behind; the next one waits for
// it, but for Close and Abort, which have it end the Ingest.
type Ingest struct{}

// Create begins to write under a ref, or goes on with what is there of it: see Offset.
// One Ingest at a time may be open under a ref: another one is ErrUnavailable, but one
// that is just ending is waited for. A ref is any text of 1 to MaxRef bytes, else it is
// ErrInvalidArgument.
//
// The hash of the algorithm, of sha256 if it is empty, is taken while the bytes pass;
// that of another one would read them again. An unknown one is ErrNotImplemented.
func (d *Dir) Create(ctx context.Context, ref string, algorithm digest.Algorithm) (*Ingest, error) {
	return nil, errdefs.ErrNotImplemented
}

// Ref is the one that was given to Create.
func (in *Ingest) Ref() string { return "" }

// Offset is how many bytes there are.
func (in *Ingest) Offset() int64 { return 0 }

// Write appends bytes. After an error Offset tells how many of them were taken.
func (in *Ingest) Write(p []byte) (int, error) { return 0, errdefs.ErrNotImplemented }

// Fill makes the Ingest content of that digest and size, of any size if it is negative.
// It calls open with its Offset, unless all is there, reads to the end and verifies.
// If bytes that were there before make the content a wrong one, it begins once again
// from the start. Content that is not what it should be is ErrDataLoss and removed: the
// Ingest has ended. With any other error what was read is kept.
//
// The reader is closed, after the return if the context has ended. If it has the method
// CopyTo of durable.FileCopier, the kernel copies.
func (in *Ingest) Fill(ctx context.Context, want digest.Digest, size int64, open func(ctx context.Context, from int64) (io.ReadCloser, error)) error {
	return errdefs.ErrNotImplemented
}

// Reset forgets all bytes.
func (in *Ingest) Reset() error { return errdefs.ErrNotImplemented }

// Digest returns the digest of the bytes so far, by an algorithm; empty: sha256.
func (in *Ingest) Digest(ctx context.Context, algorithm digest.Algorithm) (digest.Digest, error) {
	return "", errdefs.ErrNotImplemented
}

// Verify checks that the bytes are those of a digest and size; a negative size is not
// checked. If they are not, the error is ErrDataLoss, they are removed, and the Ingest
// has ended. Publish takes only what was verified and has not been written to since.
func (in *Ingest) Verify(ctx context.Context, want digest.Digest, size int64) error {
	return errdefs.ErrNotImplemented
}

// Content returns the digest and size that were verified; empty if none were.
func (in *Ingest) Content() (want digest.Digest, size int64) { return "", 0 }

// Bytes returns all bytes, if they are Small at most: else ok is false. They are not to
// be changed, and are valid after the Ingest has ended.
func (in *Ingest) Bytes() (data []byte, ok bool) { return nil, false }

// Close keeps what was written for the next Ingest of the ref; nothing, if that is no
// bytes. What takes long of that goes on after it, and the next Create of the ref waits.
func (in *Ingest) Close() error { return errdefs.ErrNotImplemented }

// Abort removes what was written.
func (in *Ingest) Abort() error { return errdefs.ErrNotImplemented }
