package blobfile

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/containerd/errdefs"
)

// use runs a job in the caller's goroutine; the folders stay open for as long.
func (d *Dir) use(job func() error) error {
	if err := d.startJob(); err != nil {
		return err
	}
	defer d.jobDone()
	return job()
}

// change is use for a job that writes.
func (d *Dir) change(job func() error) error {
	if err := d.checkUnsealed(); err != nil {
		return err
	}
	return d.use(job)
}

func (d *Dir) checkUnsealed() error {
	if d.sealed {
		return fmt.Errorf("writing to %s, which is open for reading only: %w", d.base.root.Name(), errdefs.ErrFailedPrecondition)
	}
	return nil
}

// do runs a job that writes, and waits for it as long as the context lasts. The job goes
// on after that, and so looks at the context itself, and cleans up.
func (d *Dir) do(ctx context.Context, job func() error) error {
	if err := d.checkUnsealed(); err != nil {
		return err
	}
	if err := d.startJob(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := job()
		d.jobDone() // first: a Close that comes after do must not find a job
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fork has a job that runs leave another one behind.
func (d *Dir) fork(job func()) {
	d.mu.Lock()
	d.jobs++
	d.mu.Unlock()
	go func() {
		defer d.jobDone()
		job()
	}()
}

func (d *Dir) startJob() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("using the blobs in %s: %w", d.base.root.Name(), fs.ErrClosed)
	}
	d.jobs++
	return nil
}

func (d *Dir) jobDone() {
	d.mu.Lock()
	d.jobs--
	last := d.closed && d.jobs == 0
	d.mu.Unlock()
	if last {
		d.closeFolders()
		close(d.idle)
	}
}
