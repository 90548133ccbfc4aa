package embedded

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/files"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

const (
	// maxGroup is how many callers share a transaction at most.
	maxGroup = 64
	// maxGroupLog is after how many bytes for the journal no more join.
	maxGroupLog = 8 << 20
)

// commits makes transactions of what callers want to write. What comes while one is being
// made durable shares the next one.
type commits struct {
	mu      sync.Mutex
	queue   []*op
	running bool
	ended   bool          // nothing is taken any more
	idle    chan struct{} // closed when nothing is running any more after the end
	gate    sync.Mutex    // held by who commits, and by who wants nothing to be committed
	wrote   bool          // in this session; only who holds the gate has it
}

// op is what one caller wants to write.
type op struct {
	ctx context.Context //nolint:containedctx // of the caller that waits
	// run writes, and may be called again if the transaction is to be repeated without
	// another one's part. It checks everything before it writes anything.
	run func(*catalog.Tx) error
	// after, if any, is told what came of it, before the caller is.
	after func(error)
	err   error
	done  chan error
}

// update runs one transaction, or a part of one. When the context ends, that may still
// happen or not.
func (s *Store) update(ctx context.Context, run func(*catalog.Tx) error) error {
	return s.submit(ctx, run, nil)
}

// submit is update; after is called exactly once with the outcome, maybe after submit
// has returned because the context has ended.
func (s *Store) submit(ctx context.Context, run func(*catalog.Tx) error, after func(error)) error {
	o := &op{ctx: ctx, run: run, after: after, done: make(chan error, 1)}
	err := s.refused()
	if err == nil {
		err = s.enqueue(o)
	}
	if err != nil {
		o.finish(err)
		return err
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) enqueue(o *op) error {
	c := &s.commits
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errClosed
	}
	c.queue = append(c.queue, o)
	if !c.running {
		c.running = true
		go s.commitAll()
	}
	return nil
}

func (o *op) finish(err error) {
	if o.after != nil {
		o.after(err)
	}
	o.done <- err
}

// commitAll commits until nothing is wanted any more.
func (s *Store) commitAll() {
	c := &s.commits
	for {
		c.mu.Lock()
		n := min(len(c.queue), maxGroup)
		group := c.queue[:n:n]
		c.queue = c.queue[n:]
		if n == 0 {
			c.running = false
			if c.ended {
				close(c.idle)
			}
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.gate.Lock()
		for len(group) > 0 {
			group = s.commitGroup(group)
		}
		c.gate.Unlock()
	}
}

// endCommits takes nothing any more, and waits until nothing is being committed.
func (s *Store) endCommits() {
	c := &s.commits
	c.mu.Lock()
	c.ended = true
	running := c.running
	if running {
		c.idle = make(chan struct{})
	}
	c.mu.Unlock()
	if running {
		<-c.idle
	}
}

// direct is update by who holds the gate.
func (s *Store) direct(run func(*catalog.Tx) error) error {
	o := &op{ctx: context.Background(), run: run, done: make(chan error, 1)}
	for rest := []*op{o}; len(rest) > 0; {
		rest = s.commitGroup(rest)
	}
	return <-o.done
}

// commitGroup commits some of a group of ops, tells their callers, and returns the rest.
// Its caller holds the gate.
func (s *Store) commitGroup(group []*op) (rest []*op) {
	if why := s.failing.Load(); why != nil { // since they were wanted
		for _, o := range group {
			o.finish(*why)
		}
		return nil
	}
	tx, err := s.catalog.Load().Update()
	if err != nil {
		err = s.noted(fmt.Errorf("beginning to write: %w", err))
		for _, o := range group {
			o.finish(err)
		}
		return nil
	}
	defer tx.Rollback()
	for i, o := range group {
		if len(tx.Log()) > maxGroupLog {
			group, rest = group[:i], group[i:]
			break
		}
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		before := tx.Writes()
		if o.err = o.run(tx); o.err != nil && tx.Writes() != before {
			// The transaction has a part of it. Those before it are done again.
			o.finish(s.noted(o.err))
			return append(append([]*op{}, group[:i]...), group[i+1:]...)
		}
	}
	if tx.Writes() > 0 {
		err = s.noted(s.commit(tx))
	}
	for _, o := range group {
		if o.err == nil {
			o.err = err
		}
		o.finish(s.noted(o.err))
	}
	return rest
}

// commit makes a transaction durable: its entry in the journal, and then itself.
func (s *Store) commit(tx *catalog.Tx) error {
	state, err := tx.State()
	if err != nil {
		return err
	}
	if !s.commits.wrote {
		state.Epoch, state.Boot, state.Clean = s.epoch.Load(), s.boot, false
	}
	logged := len(tx.Log()) > 0
	if logged {
		if err := s.journal.Append(tx.Log()); err != nil {
			if s.journal.Failed() { // even if that was for want of room
				return s.end(err)
			}
			return s.failed(err)
		}
		state.Journal = s.journal.Next()
	}
	tx.SetState(state)
	err = tx.Commit()
	if err == nil {
		s.commits.wrote = true
		return nil
	}
	err = files.Kind(fmt.Errorf("writing the database: %w", err))
	switch {
	case !logged:
		return s.failed(err)
	case s.reached(state.Journal):
		// Only the last sync has failed: the transaction may be on the disk, and so has to
		// be in the journal. The next Open sees whether it is.
		return s.end(err)
	}
	if undo := s.journal.Undo(); undo != nil {
		return s.end(fmt.Errorf("%w; and the journal has it already: %w", err, undo))
	}
	return s.failed(err)
}

// reached reports whether the database has come to a position of the journal, or cannot
// say so.
func (s *Store) reached(at journal.Position) bool {
	var state catalog.State
	err := s.catalog.Load().View(func(tx *catalog.Tx) (err error) {
		state, err = tx.State()
		return err
	})
	return err != nil || state.Journal == at
}

// failed ends the writing after an error, unless it was that the disk is full: a file that
// could not be made durable cannot be trusted until it was opened again.
func (s *Store) failed(err error) error {
	if errdefs.IsResourceExhausted(err) {
		return err
	}
	return s.end(err)
}

// end ends the writing after an error.
func (s *Store) end(err error) error {
	why := fmt.Errorf("the store %s can only be read until it is opened again: %w: %w", s.root.Name(), err, errdefs.ErrFailedPrecondition)
	s.failing.Store(&why)
	if s.refusal.CompareAndSwap(nil, &why) {
		s.log.Error("writing has failed", "directory", s.root.Name(), "error", err)
	}
	return err
}
