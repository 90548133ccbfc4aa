package blobfile

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// MaxRef is how many bytes a ref may have.
const MaxRef = 1 << 10

// Create begins to write under a ref, or goes on with what is there of it: see Offset.
// One Ingest at a time may be open under a ref: another one is ErrUnavailable, but one
// that is just ending is waited for. A ref is any text of 1 to MaxRef bytes, else it is
// ErrInvalidArgument.
//
// The hash of the algorithm, of sha256 if it is empty, is taken while the bytes pass;
// that of another one would read them again. An unknown one is ErrNotImplemented.
func (d *Dir) Create(ctx context.Context, ref string, algorithm digest.Algorithm) (*Ingest, error) {
	if ref == "" || len(ref) > MaxRef {
		return nil, fmt.Errorf("a ref of %d bytes, not of 1 to %d: %w", len(ref), MaxRef, errdefs.ErrInvalidArgument)
	}
	algorithm, err := known(algorithm)
	if err != nil {
		return nil, err
	}
	in := newIngest(d, nameOf(ref))
	in.ref, in.algorithm, in.hash = ref, algorithm, algorithm.Hash()
	err = d.change(func() error {
		if err := d.claim(ctx, in); err != nil {
			return err
		}
		err := in.resume()
		if err != nil {
			in.release()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("beginning to write %.256q: %w", ref, err)
	}
	return in, nil
}

func newIngest(d *Dir, name string) *Ingest {
	now := time.Now()
	in := &Ingest{
		d: d, name: name, inSmall: true,
		turn: make(chan struct{}, 1), ended: make(chan struct{}), gone: make(chan struct{}),
	}
	in.started.Store(now.UnixNano())
	in.updated.Store(now.UnixNano())
	return in
}

// claim makes the Ingest the only one of its name.
func (d *Dir) claim(ctx context.Context, in *Ingest) error {
	for {
		d.mu.Lock()
		other := d.writing[in.name]
		if other == nil {
			d.writing[in.name] = in
		}
		d.mu.Unlock()
		if other == nil {
			return nil
		}
		if !other.Ended() {
			return fmt.Errorf("it is being written: %w", errdefs.ErrUnavailable)
		}
		select {
		case <-other.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// release makes the name free.
func (in *Ingest) release() {
	in.d.mu.Lock()
	delete(in.d.writing, in.name)
	in.d.mu.Unlock()
	close(in.gone)
}

// resume takes up what an Ingest before has left.
func (in *Ingest) resume() error {
	file, err := rootfile.OpenFile(in.d.ingest.root, in.name, os.O_RDWR)
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case errdefs.IsInvalidArgument(err), errdefs.IsPermissionDenied(err):
		in.d.log.Warn("removing what is in the place of a file that is being written", "error", err)
		return in.d.ingest.remove(in.name)
	case err != nil:
		return told(err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(told(err), file.Close())
	}
	if shared(info) {
		// It may be a blob too, by a file system that has lost half of a rename, or
		// be in a backup: it is nothing to write to.
		in.d.log.Warn("removing a file that is being written, and has another name", "name", in.name)
		return errors.Join(in.d.ingest.remove(in.name), file.Close())
	}
	in.made = true
	in.file, in.size, in.filed, in.pushed = file, info.Size(), info.Size(), info.Size()
	in.inSmall = false
	in.offset.Store(in.size)
	in.updated.Store(info.ModTime().UnixNano())
	if err := in.takeNote(info); err != nil {
		return errors.Join(err, in.closeFile())
	}
	if err := in.load(); err != nil {
		return errors.Join(err, in.closeFile())
	}
	return nil
}

// load takes what is in the file into memory, if it is small.
func (in *Ingest) load() error {
	if in.inSmall || in.size > Small {
		return nil
	}
	if err := in.openFile(); err != nil {
		return err
	}
	data := make([]byte, in.size)
	if n, err := in.file.ReadAt(data, 0); n < len(data) {
		return fmt.Errorf("reading again what was written: %w", told(err))
	}
	in.small, in.inSmall = data, true
	return nil
}

// takeNote reads the sidecar. The hash goes on where it was, if the file is what it was
// then, to the nanosecond; else it begins anew.
func (in *Ingest) takeNote(info fs.FileInfo) error {
	in.started.Store(info.ModTime().UnixNano())
	n, err := readNote(in.d.ingest.root, in.name)
	if err != nil || n.ref != in.ref {
		return in.nameLong()
	}
	in.noted = true
	in.started.Store(n.started.UnixNano())
	id, ok := identify(info)
	if !ok || n.state == nil || !n.of.sameFile(id) || n.algorithm != in.algorithm {
		return nil
	}
	h := in.algorithm.Hash()
	if u, ok := h.(encoding.BinaryUnmarshaler); ok && u.UnmarshalBinary(n.state) == nil {
		in.hash, in.hashed = h, in.size
	}
	return nil
}

// nameLong writes a sidecar if it takes one to tell the ref.
func (in *Ingest) nameLong() error {
	if _, ok := refOf(in.name); ok || in.noted {
		return nil
	}
	return in.writeNote(in.newNote())
}

// openFile opens the file, or makes it.
func (in *Ingest) openFile() error {
	if in.file != nil {
		return nil
	}
	if in.filed > 0 {
		return in.reopenFile()
	}
	if err := in.nameLong(); err != nil {
		return err
	}
	file, err := in.d.ingest.create(in.name)
	if errors.Is(err, fs.ErrExist) {
		if err := in.d.ingest.remove(in.name); err != nil {
			return err
		}
		file, err = in.d.ingest.create(in.name)
	}
	if err != nil {
		return fmt.Errorf("making a file: %w", told(err))
	}
	in.file, in.made = file, true
	return nil
}

// reopenFile opens the file that a failed Publish has closed.
func (in *Ingest) reopenFile() error {
	file, err := rootfile.OpenFile(in.d.ingest.root, in.name, os.O_RDWR)
	if err != nil {
		return planted(err, errdefs.ErrDataLoss)
	}
	in.file = file
	return nil
}

func (in *Ingest) closeFile() error {
	f := in.file
	in.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// removeFiles removes what there is of the Ingest.
func (in *Ingest) removeFiles() error {
	_ = in.closeFile() // its bytes are not wanted
	var errs []error
	if in.made {
		errs = append(errs, in.d.ingest.remove(in.name))
	}
	if in.noted {
		errs = append(errs, in.d.ingest.remove(in.name+noteSuffix))
	}
	in.made, in.noted = false, false
	return errors.Join(errs...)
}

// removeIngest removes a file that was being written, and its sidecar.
func (d *Dir) removeIngest(name string) error {
	return errors.Join(d.ingest.remove(name), d.ingest.remove(name+noteSuffix))
}
