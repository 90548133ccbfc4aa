package containerd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// smallBlob is up to how many bytes a blob is kept in memory until it is published, and
// costs no open stream.
const smallBlob = 64 << 10

// complete is a blob that is complete and verified, and shared by the batches that want
// it. It is visible from Publish of the first of them on.
type complete struct {
	desc  ocispec.Descriptor
	data  []byte  // of a small blob or a document, as far as the batch has room
	in    *ingest // of any other one, open or ended
	heals bool    // what was there was damaged
	lease string  // of the batch that has found or written it; see meet

	labels map[string]string // of what was damaged and is removed; guarded by turn

	wanted int // by batches; guarded by ingests.mu

	turn lock // held while it is published or understood

	mu      sync.Mutex // what follows changes while turn is held too
	visible bool
	facts   *store.Facts // of a document: with it, what is visible has its labels
}

func newComplete(d digest.Digest, size int64, lease string) *complete {
	return &complete{desc: ocispec.Descriptor{Digest: d, Size: size}, lease: lease, labels: map[string]string{}, turn: newLock()}
}

// agrees checks that a blob has the size that is wanted, which a document may have.
func (c *complete) agrees(desc ocispec.Descriptor, role image.Role) error {
	if desc.Size >= 0 && desc.Size != c.desc.Size {
		return fmt.Errorf("%s has %d bytes, not %d: %w", desc.Digest, c.desc.Size, desc.Size, errdefs.ErrDataLoss)
	}
	if !isDocument(desc.MediaType, role) {
		return nil
	}
	return checkSize(desc.Digest, c.desc.Size, desc.MediaType)
}

// understand notes what is known of a document that is not visible, by its bytes.
func (c *complete) understand(data []byte, mediaType string) error {
	facts, err := derive(data, mediaType)
	if err != nil {
		return fmt.Errorf("document %s: %w", c.desc.Digest, err)
	}
	c.know(facts)
	return nil
}

func (c *complete) know(facts store.Facts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.facts = &facts
}

func (c *complete) show() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visible = true
}

// state returns whether the blob is visible, and its facts if it is a document.
func (c *complete) state() (visible bool, facts *store.Facts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.visible, c.facts
}

// ingests are what this store writes.
type ingests struct {
	s        *Store
	mu       sync.Mutex
	writing  map[digest.Digest]chan struct{} // closed when it is complete or given up
	ready    map[digest.Digest]*complete
	open     map[string]struct{}  // refs that are being written
	complete map[string]*complete // by refs, what is in ingests

	streams atomic.Int64 // that are open to what is complete
}

// maxStreams is how many complete blobs keep their streams open until they are published.
// containerd has to read any other one once more then; meanwhile another process can take
// its ingest.
const maxStreams = 256

func newIngests(s *Store) *ingests {
	return &ingests{
		s: s, writing: map[digest.Digest]chan struct{}{}, ready: map[digest.Digest]*complete{},
		open: map[string]struct{}{}, complete: map[string]*complete{},
	}
}

func (i *ingests) isOpen(ref string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, open := i.open[ref]
	return open
}

func (i *ingests) isComplete(ref string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.complete[ref] != nil
}

// claim waits until nobody writes a blob. Then either it is ready, and wanted by one
// more, or it is the caller's to write until done is called.
func (i *ingests) claim(ctx context.Context, d digest.Digest) (there *complete, done func(), err error) {
	for {
		i.mu.Lock()
		if c := i.ready[d]; c != nil {
			c.wanted++
			i.mu.Unlock()
			return c, nil, nil
		}
		wait := i.writing[d]
		if wait == nil {
			wait = make(chan struct{})
			i.writing[d] = wait
			i.mu.Unlock()
			return nil, func() {
				i.mu.Lock()
				defer i.mu.Unlock()
				delete(i.writing, d)
				close(wait)
			}, nil
		}
		i.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("waiting for %s, which another batch writes: %w", d, ctx.Err())
		}
	}
}

// share has a blob that is complete be found by other batches.
func (i *ingests) share(c *complete) {
	if c.in != nil {
		i.bound(c.in)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	c.wanted = 1
	i.ready[c.desc.Digest] = c
	if c.in != nil {
		i.complete[c.in.ref] = c
	}
}

// bound closes an ingest if there are enough that are open.
func (i *ingests) bound(in *ingest) {
	if in.ended {
		return
	}
	in.freed = func() { i.streams.Add(-1) }
	if i.streams.Add(1) > maxStreams {
		in.close()
	}
}

// forget has a blob no longer be found by other batches.
func (i *ingests) forget(c *complete) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ready[c.desc.Digest] == c {
		delete(i.ready, c.desc.Digest)
	}
}

// leave is called by a batch that wants a blob no more. The last one has what was not
// published kept for a repeated Put.
func (i *ingests) leave(ctx context.Context, c *complete) {
	i.mu.Lock()
	c.wanted--
	last := c.wanted == 0
	if last {
		if i.ready[c.desc.Digest] == c {
			delete(i.ready, c.desc.Digest)
		}
		if c.in != nil && i.complete[c.in.ref] == c {
			delete(i.complete, c.in.ref)
		}
	}
	i.mu.Unlock()
	if visible, _ := c.state(); !last || visible {
		return
	}
	if c.in != nil {
		c.in.close()
		return
	}
	i.keep(ctx, c)
}

// keep writes a small blob that was not published into an ingest. That is for comfort,
// and who closes a batch is not troubled with what comes of it.
func (i *ingests) keep(ctx context.Context, c *complete) {
	if _, facts := c.state(); facts != nil || len(c.data) == 0 {
		return // a document is read as a whole anyway
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	in, err := i.s.openIngest(ctx, putRef(c.desc.Digest, 0), c.desc.Size, "")
	if err == nil {
		if err = in.reset(ctx); err == nil {
			_, err = in.write(ctx, c.data)
		}
		in.close()
	}
	if err != nil && !errdefs.IsUnavailable(err) { // else another process writes it
		i.s.log.Warn("a complete blob that was not published is not kept", "digest", c.desc.Digest, "error", err)
	}
}
