package blobfile

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// ending is how an Ingest ends.
type ending int

const (
	open      ending = iota // it has not ended
	kept                    // what was written stays for the next one
	dropped                 // it goes
	published               // it went
)

// stateMin is from how many bytes on Close syncs a file and notes the state of the hash:
// hashing fewer anew takes less than the sync.
const stateMin = 8 << 20

// use runs a job, which has the Ingest for itself, in the caller's goroutine.
func (in *Ingest) use(ctx context.Context, job func() error) error {
	return in.d.use(func() error { return in.alone(ctx, job) })
}

// do runs a job, which has the Ingest for itself, and waits for it as long as the
// context lasts.
func (in *Ingest) do(ctx context.Context, job func() error) error {
	return in.d.do(ctx, func() error { return in.alone(ctx, job) })
}

func (in *Ingest) alone(ctx context.Context, job func() error) error {
	if err := in.enter(ctx); err != nil {
		return err
	}
	defer in.leave()
	return job()
}

func (in *Ingest) enter(ctx context.Context) error {
	select {
	case <-in.ended:
		return errEnded
	default:
	}
	select {
	case in.turn <- struct{}{}:
		return nil
	case <-in.ended:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errEnded = fmt.Errorf("the ingest has ended: %w", fs.ErrClosed)

// leave is the end of a job. If the Ingest was ended meanwhile, it happens now.
func (in *Ingest) leave() {
	in.mu.Lock()
	over := in.ending != open
	if !over {
		<-in.turn
	}
	in.mu.Unlock()
	if !over {
		return
	}
	if err := in.finish(); err != nil {
		in.d.log.Warn("ending what was being written", "ref", in.ref, "error", err)
	}
}

// decide ends the Ingest, unless it has ended. Who holds the turn finishes it.
func (in *Ingest) decide(how ending) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ending != open {
		return false
	}
	in.ending = how
	close(in.ended)
	return true
}

// Close keeps what was written for the next Ingest of the ref; nothing, if that is no
// bytes. What takes long of that goes on after it, and the next Create of the ref waits.
func (in *Ingest) Close() error { return in.end(kept) }

// Abort removes what was written.
func (in *Ingest) Abort() error { return in.end(dropped) }

func (in *Ingest) end(how ending) error {
	if !in.decide(how) {
		return nil
	}
	select {
	case in.turn <- struct{}{}:
	default:
		return nil // a job that was left behind does it
	}
	if err := in.d.startJob(); err != nil {
		_ = in.closeFile() // what could be kept is in it
		in.release()
		return err
	}
	defer in.d.jobDone()
	if err := in.finish(); err != nil {
		return fmt.Errorf("ending what was written of %.256q: %w", in.ref, err)
	}
	return nil
}

// finish does what was decided, in a job, by who holds the turn and keeps it.
func (in *Ingest) finish() error {
	switch {
	case in.ending == published:
		in.made = false // it has gone
		err := in.removeFiles()
		in.release()
		return err
	case in.ending == dropped || in.size == 0:
		err := in.removeFiles()
		in.release()
		return err
	case in.size >= stateMin && in.hashed == in.size:
		in.d.fork(func() {
			defer in.release()
			if err := in.saveState(); err != nil {
				in.d.log.Warn("keeping what was written", "ref", in.ref, "error", err)
			}
		})
		return nil
	}
	err := in.spill()
	if err == nil {
		err = in.writeNote(in.newNote())
	}
	err = errors.Join(err, in.closeFile())
	if err == nil { // it grew when it was written to, not now
		grown := time.Unix(0, in.updated.Load())
		err = told(in.d.ingest.root.Chtimes(in.name, grown, grown))
	}
	in.release()
	return err
}

// saveState keeps a large file and the state of its hash. That is of use only if the
// bytes are what was hashed, and so they are synced before: a failed sync is final.
func (in *Ingest) saveState() error {
	if err := in.openFile(); err != nil { // a Publish that failed has closed it
		return err
	}
	if err := in.d.ops.syncData(in.file); err != nil {
		return errors.Join(fmt.Errorf("syncing it: %w", told(err)), in.removeFiles())
	}
	n := in.newNote()
	info, err := in.file.Stat()
	if err := errors.Join(err, in.closeFile()); err != nil {
		return told(err)
	}
	id, known := identify(info)
	if m, ok := in.hash.(encoding.BinaryMarshaler); ok && known && id.size == in.size {
		n.algorithm, n.of = in.algorithm, id
		if n.state, err = m.MarshalBinary(); err != nil {
			return err
		}
	}
	return in.writeNote(n)
}
