package blobfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// Partial is content that was not published.
type Partial struct {
	Ref     string
	Offset  int64 // bytes that are there
	Started time.Time
	Updated time.Time
}

// Partial lists what was written and not published, be its Ingest open or not, in the
// order of the refs. Started is Updated if its Ingest was not closed. What has lost its
// ref, a long one by a power failure, is not listed: an Ingest of that ref finds it, and
// Expire takes it.
func (d *Dir) Partial(ctx context.Context) ([]Partial, error) {
	var all []Partial
	err := d.use(func() error {
		opened := map[string]bool{}
		d.mu.Lock()
		for name, in := range d.writing {
			opened[name] = true
			if in.ref != "" {
				all = append(all, in.partial())
			}
		}
		d.mu.Unlock()
		return d.eachIngest(ctx, func(name string, info fs.FileInfo) error {
			if opened[name] || !info.Mode().IsRegular() {
				return nil
			}
			n, err := readNote(d.ingest.root, name)
			if err != nil {
				n.started = info.ModTime()
			}
			if ref, ok := refOf(name); ok {
				n.ref = ref
			}
			if n.ref != "" {
				all = append(all, Partial{Ref: n.ref, Offset: info.Size(), Started: n.started, Updated: info.ModTime()})
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("looking for what is being written: %w", err)
	}
	slices.SortFunc(all, func(a, b Partial) int { return cmp.Compare(a.Ref, b.Ref) })
	return all, nil
}

func (in *Ingest) partial() Partial {
	return Partial{
		Ref: in.ref, Offset: in.Offset(),
		Started: time.Unix(0, in.started.Load()), Updated: time.Unix(0, in.updated.Load()),
	}
}

// eachIngest calls f with the files in the ingest directory, and whatever else is in
// their place.
func (d *Dir) eachIngest(ctx context.Context, f func(name string, info fs.FileInfo) error) error {
	return d.each(ctx, d.ingest, "", func(name string, info fs.FileInfo) error {
		if !isIngest(name) {
			return nil
		}
		return f(name, info)
	})
}

// Abort removes what was written under a ref. One that is open is ErrUnavailable, none
// ErrNotFound.
func (d *Dir) Abort(ctx context.Context, ref string) error {
	err := d.change(func() error {
		in := newIngest(d, nameOf(ref))
		in.decide(dropped) // others wait for it
		if err := d.claim(ctx, in); err != nil {
			return err
		}
		defer in.release()
		if _, err := d.ingest.root.Lstat(in.name); err != nil {
			return lookedUp(err)
		}
		return d.removeIngest(in.name)
	})
	if err != nil {
		return fmt.Errorf("removing what was written of %.256q: %w", ref, err)
	}
	return nil
}

// Expire removes what was last written to before a time and is not open: limit pieces of
// content at most, 0 is no limit. It returns how many, and their bytes, also beside an
// error.
func (d *Dir) Expire(ctx context.Context, before time.Time, limit int) (n int, bytes int64, err error) {
	var done tally
	err = d.do(ctx, func() error {
		err := d.eachIngest(ctx, func(name string, info fs.FileInfo) error {
			if !info.ModTime().Before(before) {
				return nil
			}
			size, err := d.expire(ctx, name, before)
			if err != nil || size < 0 {
				return err
			}
			if done.add(size) == limit {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("removing what was written and is old: %w", err)
	}
	n, bytes = done.get()
	return n, bytes, err
}

// expire removes one file, unless it is open, and returns its size; negative if it stays
// or was not there.
func (d *Dir) expire(ctx context.Context, name string, before time.Time) (int64, error) {
	in := newIngest(d, name)
	in.decide(dropped) // others wait for it
	switch err := d.claim(ctx, in); {
	case errdefs.IsUnavailable(err):
		return -1, nil
	case err != nil:
		return -1, err
	}
	defer in.release()
	info, err := d.ingest.root.Lstat(name) // somebody may have had it just before
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return -1, nil
	case err != nil:
		return -1, told(err)
	case !info.ModTime().Before(before):
		return -1, nil
	}
	return info.Size(), d.removeIngest(name)
}

var errEnough = errors.New("enough")

// tally counts what a job does, which may go on after its caller has left.
type tally struct {
	mu    sync.Mutex
	n     int
	bytes int64
}

func (t *tally) add(bytes int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	t.bytes += bytes
	return t.n
}

func (t *tally) get() (n int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n, t.bytes
}
