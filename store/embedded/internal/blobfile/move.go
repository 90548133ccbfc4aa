package blobfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

func (p *publication) move(ctx context.Context) error {
	seen := map[digest.Digest]bool{}
	for _, m := range p.files {
		if err := m.prepare(); err != nil {
			return fmt.Errorf("publishing %.256q: %w", m.in.ref, err)
		}
		if seen[m.place.blob] {
			return fmt.Errorf("publishing %s twice: %w", m.place.blob, errdefs.ErrInvalidArgument)
		}
		seen[m.place.blob] = true
	}
	if err := p.syncFiles(ctx); err != nil {
		return err
	}
	for _, m := range p.files {
		if err := p.openShard(m); err != nil {
			return fmt.Errorf("publishing %s: %w", m.place.blob, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publishing %d files: %w", len(p.files), err)
	}
	for _, m := range p.files {
		if err := p.rename(m); err != nil {
			p.undo()
			return fmt.Errorf("publishing %s: %w", m.place.blob, err)
		}
	}
	if err := p.syncDirs(); err != nil {
		p.discard()
		return err
	}
	return nil
}

// prepare has all bytes in the file, and the kernel begin to write them to disk.
func (m *moving) prepare() (err error) {
	in := m.in
	if in.content == "" {
		return fmt.Errorf("it was not verified: %w", errdefs.ErrFailedPrecondition)
	}
	if m.place, err = placeOf(in.content); err != nil {
		return err
	}
	if err := in.spill(); err != nil {
		return err
	}
	if m.info, err = in.file.Stat(); err != nil {
		return told(err)
	}
	if m.info.Size() != in.size {
		in.decide(dropped)
		return fmt.Errorf("the file has %d bytes, of %d that were written: %w", m.info.Size(), in.size, errdefs.ErrDataLoss)
	}
	in.startWriteBack()
	return nil
}

// syncFiles makes the bytes durable, and closes the files. A failure is final for its
// file.
func (p *publication) syncFiles(ctx context.Context) error {
	if len(p.files) > groupSize {
		if err := p.d.ops.syncFS(p.d.base.file); err != nil { // whose file it is, its own sync says
			p.d.log.Warn("syncing a file system", "of", p.d.base.root.Name(), "error", told(err))
		}
	}
	return parallel(len(p.files), func(i int) error {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("publishing %d files: %w", len(p.files), err)
		}
		m := p.files[i]
		err := p.d.ops.syncData(m.in.file)
		if err := errors.Join(err, m.in.closeFile()); err != nil {
			m.in.decide(dropped)
			return fmt.Errorf("syncing %s: %w", m.place.blob, told(err))
		}
		return nil
	})
}

func (p *publication) openShard(m *moving) (err error) {
	if m.shard = p.shards[m.place.dir()]; m.shard != nil {
		return nil
	}
	if m.shard, err = p.d.makeShard(m.place); err != nil {
		return err
	}
	p.shards[m.place.dir()] = m.shard
	return nil
}

// rename gives a file its name.
func (p *publication) rename(m *moving) error {
	there, err := p.d.ingest.root.Lstat(m.in.name)
	if err != nil || !os.SameFile(there, m.info) {
		m.in.decide(dropped)
		return fmt.Errorf("%s in %s is not the file that was written: %w", m.in.name, p.d.ingest.path, errdefs.ErrDataLoss)
	}
	info, err := m.shard.root.Lstat(m.place.hex)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return told(err)
	case info.Mode().IsRegular():
		m.replaced = true
	default:
		if err := p.d.setAside(m.place, m.shard); err != nil {
			return err
		}
	}
	if err := p.d.ops.rename(p.d.ingest, m.in.name, m.shard, m.place.hex); err != nil {
		return told(err)
	}
	m.renamed = true
	return nil
}

// syncDirs makes the names durable.
func (p *publication) syncDirs() error {
	d := p.d
	soiled := map[string]*folder{}
	d.mu.Lock()
	for name, shard := range p.shards {
		soiled[name] = shard
		above := path.Dir(name)
		if !d.lasting[name] {
			soiled[above] = d.algorithms[digest.Algorithm(path.Base(above))]
		}
		if !d.lasting[above] {
			soiled[blobsName] = d.blobs
		}
	}
	if !d.lasting[blobsName] {
		soiled["."] = d.base
	}
	d.mu.Unlock()
	var all []*folder
	for _, f := range soiled {
		all = append(all, f)
	}
	err := parallel(len(all), func(i int) error {
		if err := d.ops.syncDir(all[i].file); err != nil {
			return fmt.Errorf("syncing the directory %s: %w", all[i].path, told(err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range p.shards {
		d.lasting[name], d.lasting[path.Dir(name)], d.lasting[blobsName] = true, true, true
	}
	return nil
}

// syncers is how many syncs run at once; the file system joins them.
const syncers = 4

// parallel calls do for 0 to n-1, some at once, and returns the first error. After one it
// calls no more.
func parallel(n int, do func(i int) error) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		next   int
		failed error
	)
	claim := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		i = next
		next++
		return i, i < n && failed == nil
	}
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
	}
	for range min(n, syncers) {
		wg.Go(func() {
			for i, ok := claim(); ok; i, ok = claim() {
				if err := do(i); err != nil {
					fail(err)
				}
			}
		})
	}
	wg.Wait()
	return failed
}
