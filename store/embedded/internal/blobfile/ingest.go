package blobfile

import (
	"context"
	"fmt"
	"hash"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/durable"
)

const (
	// Small is up to how many bytes an Ingest keeps what was written in memory, where
	// Bytes finds it, and not in a file.
	Small = 64 << 10

	// writeBackWindow is after how many bytes the kernel is told to begin to write
	// them to disk, so that little is left to do for the sync at the end.
	writeBackWindow = 8 << 20
)

// Ingest is one piece of content that is being written. Its methods are for one
// goroutine at a time. It ends by Close, Abort or Dir.Publish, after which only Bytes
// and Content can be used, and Close and Abort do nothing.
//
// A method whose context has ended may have left work behind; the next one waits for
// it, but for Close and Abort, which have it end the Ingest.
type Ingest struct {
	d    *Dir
	ref  string
	name string // of its file

	turn  chan struct{} // holds a token for who uses what is below "state"
	ended chan struct{} // closed by Close, Abort, Publish or bad content
	gone  chan struct{} // closed when the ref is free

	mu     sync.Mutex
	ending ending

	offset  atomic.Int64 // size, for others to see
	started atomic.Int64 // Unix nanoseconds
	updated atomic.Int64 // when it grew, Unix nanoseconds

	// state

	size    int64
	small   []byte   // all bytes, if inSmall
	inSmall bool     // no more than Small bytes were written
	filed   int64    // bytes in the file; size, unless inSmall
	file    *os.File // nil if not open
	made    bool     // there is a file
	noted   bool     // there is a sidecar
	pushed  int64    // bytes that the kernel was told to write to disk

	algorithm digest.Algorithm
	hash      hash.Hash
	hashed    int64 // bytes that hash has seen

	content      digest.Digest // what was verified; empty if nothing was
	contentBytes int64
}

// Ref is the one that was given to Create.
func (in *Ingest) Ref() string { return in.ref }

// Ended reports whether the Ingest has ended.
func (in *Ingest) Ended() bool {
	select {
	case <-in.ended:
		return true
	default:
		return false
	}
}

// Offset is how many bytes there are.
func (in *Ingest) Offset() int64 { return in.offset.Load() }

// Content returns the digest and size that Fill or Verify have found to be right; empty
// if they have not, or since bytes came.
func (in *Ingest) Content() (want digest.Digest, size int64) { return in.content, in.contentBytes }

// Bytes returns all bytes that Fill or Verify have found to be right, if they are Small
// at most: else ok is false. They are not to be changed, and are valid after the Ingest
// has ended.
func (in *Ingest) Bytes() (data []byte, ok bool) {
	if in.content == "" || !in.inSmall {
		return nil, false
	}
	return slices.Clip(in.small), true
}

// Write appends bytes. After an error Offset tells how many of them were taken.
func (in *Ingest) Write(p []byte) (n int, err error) {
	err = in.use(context.Background(), func() error {
		if err := in.catchUp(context.Background()); err != nil {
			return err
		}
		n, err = in.append(p)
		_, _ = in.hash.Write(p[:n]) // never fails
		in.hashed += int64(n)
		return err
	})
	if err != nil {
		err = fmt.Errorf("writing %.256q: %w", in.ref, err)
	}
	return n, err
}

// append appends bytes, of which the hash knows nothing.
func (in *Ingest) append(p []byte) (int, error) {
	in.content, in.contentBytes = "", 0
	n, err := in.store(p)
	in.grown(int64(n))
	return n, err
}

// store is append but for what is noted of it.
func (in *Ingest) store(p []byte) (int, error) {
	if in.inSmall && len(in.small)+len(p) <= Small {
		in.small = append(in.small, p...)
		return len(p), nil
	}
	if err := in.spill(); err != nil {
		return 0, err
	}
	in.small, in.inSmall = nil, false
	n, err := in.file.WriteAt(p, in.size)
	in.filed += int64(n)
	if err != nil {
		err = told(err)
	}
	return n, err
}

// grown notes that there are n bytes more.
func (in *Ingest) grown(n int64) {
	in.size += n
	in.offset.Store(in.size)
	in.updated.Store(time.Now().UnixNano())
	if !in.inSmall && in.size-in.pushed >= writeBackWindow {
		in.startWriteBack()
	}
}

func (in *Ingest) startWriteBack() {
	if in.file != nil && in.filed > in.pushed {
		durable.StartWriteBack(in.file, in.pushed, in.filed-in.pushed)
		in.pushed = in.filed
	}
}

// spill opens the file, makes it if there is none, and writes into it what is only in
// memory.
func (in *Ingest) spill() error {
	if err := in.openFile(); err != nil {
		return err
	}
	if !in.inSmall || in.filed == in.size {
		return nil
	}
	n, err := in.file.WriteAt(in.small[in.filed:], in.filed)
	in.filed += int64(n)
	if err != nil {
		return told(err)
	}
	return nil
}

// Spill has bytes that are in memory be in the file instead, so that they are a blob with
// a file of its own.
func (in *Ingest) Spill(ctx context.Context) error {
	err := in.use(ctx, func() error {
		if !in.inSmall {
			return nil
		}
		if err := in.spill(); err != nil {
			return err
		}
		in.small, in.inSmall = nil, false
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing %.256q: %w", in.ref, err)
	}
	return nil
}

// Reset forgets all bytes.
func (in *Ingest) Reset() error {
	err := in.use(context.Background(), in.reset)
	if err != nil {
		return fmt.Errorf("forgetting what was written of %.256q: %w", in.ref, err)
	}
	return nil
}

func (in *Ingest) reset() error {
	in.content, in.contentBytes = "", 0
	in.size, in.filed, in.pushed = 0, 0, 0
	in.small, in.inSmall = nil, true
	in.hash.Reset()
	in.hashed = 0
	in.offset.Store(0)
	in.updated.Store(time.Now().UnixNano())
	return in.removeFiles()
}

// Digest returns the digest of the bytes so far, by an algorithm; empty: sha256.
func (in *Ingest) Digest(ctx context.Context, algorithm digest.Algorithm) (d digest.Digest, err error) {
	algorithm, err = known(algorithm)
	if err != nil {
		return "", err
	}
	err = in.use(ctx, func() error {
		d, err = in.digest(ctx, algorithm)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hashing %.256q: %w", in.ref, err)
	}
	return d, nil
}

// known returns an algorithm that can be used, sha256 for an empty one.
func known(a digest.Algorithm) (digest.Algorithm, error) {
	switch a {
	case "":
		return digest.SHA256, nil
	case digest.SHA256, digest.SHA384, digest.SHA512:
		return a, nil
	}
	return "", fmt.Errorf("digest algorithm %.64q is unknown: %w", string(a), errdefs.ErrNotImplemented)
}

func (in *Ingest) digest(ctx context.Context, algorithm digest.Algorithm) (digest.Digest, error) {
	if algorithm == in.algorithm {
		if err := in.catchUp(ctx); err != nil {
			return "", err
		}
		return digest.NewDigest(algorithm, in.hash), nil
	}
	h := algorithm.Hash()
	if err := in.hashRange(ctx, h, 0); err != nil {
		return "", err
	}
	return digest.NewDigest(algorithm, h), nil
}

// hashBy has another algorithm go along from now on.
func (in *Ingest) hashBy(algorithm digest.Algorithm) {
	if algorithm != in.algorithm {
		in.algorithm, in.hash, in.hashed = algorithm, algorithm.Hash(), 0
	}
}

// catchUp has the hash see all bytes: those of an Ingest before this one, and those that
// the kernel has copied. One that has seen more begins anew.
func (in *Ingest) catchUp(ctx context.Context) error {
	if in.hashed > in.size {
		in.hash.Reset()
		in.hashed = 0
	}
	if in.hashed == in.size {
		return nil
	}
	from := in.hashed
	in.hashed = in.size + 1 // until it is known how many it were
	if err := in.hashRange(ctx, in.hash, from); err != nil {
		return err
	}
	in.hashed = in.size
	return nil
}

// hashRange hashes the bytes from an offset on.
func (in *Ingest) hashRange(ctx context.Context, h hash.Hash, from int64) error {
	if in.inSmall {
		_, _ = h.Write(in.small[from:]) // never fails
		return ctx.Err()
	}
	if err := in.openFile(); err != nil {
		return err
	}
	return in.d.hash(ctx, h, in.file, from, in.size)
}
