package durable

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// closeWait is how long Close waits for work that a cancelled call left behind,
// usually a sync, so that a process does not end before its files are removed.
// What takes longer, because a source does not return say, ends on its own.
const closeWait = 5 * time.Second

// Close removes what is held back, and the ingest directory. Work that a
// cancelled call left behind is waited for, but some seconds at most: it stops as
// soon as it can, and then cleans up after itself.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	if w.jobs == 0 {
		w.mu.Unlock()
		return w.cleanUp()
	}
	w.mu.Unlock()
	select {
	case <-w.idle:
	case <-time.After(w.wait):
	}
	return nil
}

// Do runs a job and waits for it as long as the context lasts. The job goes on
// after that, so it must clean up after itself; Close lets it end.
//
// All methods that write do so by a job. A caller that writes several files under
// a lock needs a job for all of it, lock and unlock included, and inside of it
// contexts that are not cancelled: else the lock could be free while the last
// write still goes on.
func (w *Writer) Do(ctx context.Context, job func() error) error {
	if err := w.startJob(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := job()
		w.jobDone() // first: a Close that comes after Do must not find a job
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("writing to %s: %w", w.root.Name(), ctx.Err())
	}
}

func (w *Writer) startJob() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.errClosed()
	}
	w.jobs++
	return nil
}

// checkOpen fails once Close was called.
func (w *Writer) checkOpen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.errClosed()
	}
	return nil
}

func (w *Writer) errClosed() error {
	return fmt.Errorf("writing to %s: %w", w.root.Name(), os.ErrClosed)
}

func (w *Writer) jobDone() {
	w.mu.Lock()
	w.jobs--
	last := w.closed && w.jobs == 0
	w.mu.Unlock()
	if !last {
		return
	}
	if err := w.cleanUp(); err != nil {
		w.log.Warn("cleaning up after a cancelled write", "error", err)
	}
	close(w.idle)
}

// cleanUp runs once, when the Writer is closed and no job is left.
func (w *Writer) cleanUp() error {
	var errs []error
	for t := range w.drafts {
		errs = append(errs, t.discard())
	}
	if w.filling != nil {
		errs = append(errs, w.filling.discard())
	}
	if w.ingest != nil {
		errs = append(errs, w.ingest.close())
	}
	return errors.Join(errs...)
}
