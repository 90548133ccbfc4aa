package blobfile

import (
	"context"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/containerd/errdefs"
)

// groupSize is from how many files on one sync of the whole file system goes before
// those of the files, which then have nothing left to write.
const groupSize = 64

// Publish makes verified content durable under its digests, all or nothing, and ends its
// Ingests. First the bytes are synced, then the files renamed, then each directory is
// synced once, and so is every directory above that may be new. A blob that is there
// already is replaced; whatever else is in its place is set aside.
//
// With an error nothing is visible that was not before, when what the call has begun has
// ended; but a file that has replaced a blob stays. Files whose sync has failed, or that
// of a directory, are removed, and their Ingests have ended: the kernel may have dropped
// what was written, and would not say so again. All others are as before. Content that
// was not verified is ErrFailedPrecondition, a file that somebody has changed ErrDataLoss,
// one digest twice ErrInvalidArgument.
//
// If the context ends, either its error is returned, or nil because all was done.
func (d *Dir) Publish(ctx context.Context, files []*Ingest) error {
	if len(files) == 0 {
		return ctx.Err()
	}
	p := &publication{d: d, shards: map[string]*folder{}}
	seen := map[*Ingest]bool{}
	for _, in := range files {
		if seen[in] { // it would wait for itself
			return fmt.Errorf("publishing %.256q twice: %w", in.ref, errdefs.ErrInvalidArgument)
		}
		seen[in] = true
		p.files = append(p.files, &moving{in: in})
	}
	if err := d.startJob(); err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		err := p.run(ctx)
		d.jobDone() // first: a Close that comes after Publish must not find a job
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		if p.outcome.CompareAndSwap(undecided, givenUp) {
			return fmt.Errorf("publishing %d files: %w", len(files), ctx.Err())
		}
		return <-result // all is done but a little cleaning up
	}
}

// The outcomes of a publication, of which the job and its caller choose one.
const (
	undecided = iota
	givenUp
	done
)

type publication struct {
	d       *Dir
	files   []*moving
	shards  map[string]*folder // by path
	outcome atomic.Int32
}

// moving is a file of a publication.
type moving struct {
	in       *Ingest
	info     fs.FileInfo // of the file, before it was synced
	place    place
	shard    *folder
	renamed  bool
	replaced bool // another file
}

func (p *publication) run(ctx context.Context) error {
	for i, m := range p.files {
		if err := m.in.enter(ctx); err != nil {
			p.leave(i)
			return fmt.Errorf("publishing %.256q: %w", m.in.ref, err)
		}
	}
	defer p.leave(len(p.files))
	defer p.closeShards()
	err := p.move(ctx)
	if err == nil && !p.outcome.CompareAndSwap(undecided, done) {
		p.undo()
		err = fmt.Errorf("publishing %d files: %w", len(p.files), ctx.Err())
	}
	if err == nil {
		p.end()
	}
	return err
}

// leave gives up the first n Ingests.
func (p *publication) leave(n int) {
	for _, m := range p.files[:n] {
		m.in.leave()
	}
}

func (p *publication) closeShards() {
	for _, s := range p.shards {
		s.close()
	}
}

// end ends the Ingests of what is published.
func (p *publication) end() {
	for _, m := range p.files {
		m.in.decide(published)
		if info, err := m.shard.root.Lstat(m.place.hex); err == nil {
			p.d.verified.add(m.place.blob, info)
		}
	}
}

// undo takes the names away, and makes the files what they were before.
func (p *publication) undo() {
	for _, m := range p.files {
		switch {
		case !m.renamed:
		case m.replaced:
			m.in.decide(published) // a blob was there before, and still is
		default:
			if err := p.d.ops.rename(m.shard, m.place.hex, p.d.ingest, m.in.name); err != nil {
				p.d.log.Warn("a file stays that was not to be published", "blob", m.place.blob, "error", told(err))
				m.in.decide(published)
			}
		}
	}
}

// discard removes what has its names, of which it is not known whether they last.
func (p *publication) discard() {
	for _, m := range p.files {
		m.in.decide(dropped)
		if m.replaced {
			continue
		}
		if err := m.shard.remove(m.place.hex); err != nil {
			p.d.log.Warn("a file stays that was not to be published", "blob", m.place.blob, "error", err)
		}
	}
}
