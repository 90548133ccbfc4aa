package embedded

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// understanding finds the facts that visible blobs, and those of a batch, lack: whoever
// has written a manifest as a layer must not have its own layers collected when it comes
// to be a manifest of an image.
type understanding struct {
	s     *Store
	put   map[digest.Digest]*wanted
	found map[digest.Digest]*store.Facts
	not   map[digest.Digest]bool // what was read, and is not what a document says
	at    journal.Position       // before anything was looked for
}

// understand finds the facts to be noted with a publication or with moves. That the target
// of a move is no manifest or list is ErrInvalidArgument.
func (s *Store) understand(ctx context.Context, blobs []*wanted, moves []move) (*understanding, error) {
	u := &understanding{s: s, put: map[digest.Digest]*wanted{}, found: map[digest.Digest]*store.Facts{}, not: map[digest.Digest]bool{}}
	for _, w := range blobs {
		u.put[w.digest] = w
	}
	err := s.view(ctx, func(tx *catalog.Tx) error {
		state, err := tx.State()
		u.at = state.Journal
		return err
	})
	if err != nil {
		return nil, err
	}
	var todo []*store.Facts
	for _, w := range blobs {
		f := u.ofBlob(w)
		if f == nil {
			var err error
			if f, err = u.asked(ctx, w); err != nil {
				return nil, err
			}
		}
		todo = append(todo, f)
	}
	for _, m := range moves {
		f, err := u.target(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("moving the name %.512q: %w", m.Name, err)
		}
		todo = append(todo, f)
	}
	if err := u.descend(ctx, todo); err != nil {
		return nil, err
	}
	return u, nil
}

// descend derives the facts that are lacking below documents.
func (u *understanding) descend(ctx context.Context, todo []*store.Facts) error {
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if f == nil {
			continue
		}
		for _, e := range f.Edges {
			below, err := u.below(ctx, e)
			if err != nil {
				return err
			}
			if below != nil {
				todo = append(todo, below)
			}
		}
	}
	return nil
}

// ofBlob returns the facts of a blob of the batch that are going to be noted anyway.
func (u *understanding) ofBlob(w *wanted) *store.Facts {
	u.s.pendings.mu.Lock()
	defer u.s.pendings.mu.Unlock()
	if w.facts != nil {
		return w.facts
	}
	return w.pending.facts
}

// asked derives the facts of a blob of the batch that was put as one without, but that a
// visible document calls a document.
func (u *understanding) asked(ctx context.Context, w *wanted) (*store.Facts, error) {
	var as []image.Edge
	err := u.s.view(ctx, func(tx *catalog.Tx) (err error) {
		as, err = tx.Understood(w.digest)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, e := range as {
		if f, err := u.below(ctx, e); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil //nolint:nilnil // nobody does
}

// target returns the facts of the target of a name, if they are new: else they and all
// below were understood when they came.
func (u *understanding) target(ctx context.Context, m move) (*store.Facts, error) {
	to := m.To
	if m.removes() {
		return nil, nil //nolint:nilnil // there is none
	}
	f, err := u.known(ctx, to.Digest)
	if err != nil {
		return nil, err
	}
	fresh := wants(document, f)
	if fresh {
		if f, err = u.derive(ctx, to, document); err != nil {
			return nil, fmt.Errorf("its target is no %s: %w", to.MediaType, err)
		}
		u.found[to.Digest] = f
	}
	if image.IsList(f.MediaType) != image.IsList(to.MediaType) {
		return nil, fmt.Errorf("its target %s is a %s, not a %s: %w", to.Digest, f.MediaType, to.MediaType, errdefs.ErrInvalidArgument)
	}
	if !fresh {
		return nil, nil //nolint:nilnil // said above
	}
	return f, nil
}

// below derives the facts of what a document says is a document or an image config, if
// it is there and has none. That it is no such thing is the document's fault.
func (u *understanding) below(ctx context.Context, e image.Edge) (*store.Facts, error) {
	k, err := kindOf(e.Role, e.Desc.MediaType)
	if err != nil || k == opaque {
		return nil, nil //nolint:nilerr,nilnil // a role that is not known is none
	}
	f, err := u.known(ctx, e.Desc.Digest)
	if err != nil || !wants(k, f) {
		return nil, err
	}
	f, err = u.derive(ctx, e.Desc, k)
	switch {
	case err == nil:
		u.found[e.Desc.Digest] = f
		return f, nil
	case ctx.Err() != nil || catalog.IsDamaged(err):
		return nil, err
	case errdefs.IsNotFound(err) && !u.visible(ctx, e.Desc.Digest):
		return nil, nil //nolint:nilnil // said above
	}
	u.not[e.Desc.Digest] = true
	u.s.log.Debug("a blob is not what a document says", "digest", e.Desc.Digest, "error", err)
	return nil, nil //nolint:nilnil // said above
}

// visible reports whether there is a record of a blob, be its file there or not.
func (u *understanding) visible(ctx context.Context, d digest.Digest) bool {
	err := u.s.view(ctx, func(tx *catalog.Tx) error {
		_, err := tx.Blob(d)
		return err
	})
	return err == nil
}

// known returns the facts that there are of a blob, or are going to be.
func (u *understanding) known(ctx context.Context, d digest.Digest) (*store.Facts, error) {
	if f := u.found[d]; f != nil {
		return f, nil
	}
	if w := u.put[d]; w != nil {
		if f := u.ofBlob(w); f != nil {
			return f, nil
		}
	}
	return u.s.factsOf(ctx, d)
}

// derive derives the facts of a blob of the batch, or of a visible one.
func (u *understanding) derive(ctx context.Context, desc ocispec.Descriptor, k kind) (*store.Facts, error) {
	w := u.put[desc.Digest]
	if w != nil && w.ingest != nil && u.s.pendings.stageOf(w.pending) != visible {
		desc.Size = w.size
		return u.s.deriveFrom(ctx, w.ingest, desc, k)
	}
	data, err := u.s.read(ctx, desc.Digest, k)
	if err != nil {
		return nil, err
	}
	return u.s.derive(data, k, desc)
}
