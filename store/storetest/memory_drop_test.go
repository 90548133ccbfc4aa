package storetest

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

var _ store.Dropper = (*memory)(nil)

func (m *memory) Drop(ctx context.Context, target digest.Digest, parts ...digest.Digest) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, part := range parts {
		if err := m.droppable(target, part); err != nil {
			return err
		}
		if m.is("parts are dropped one by one") {
			delete(m.blobs, part)
		}
	}
	for _, part := range parts {
		delete(m.blobs, part)
	}
	m.lost = true
	return nil
}

// droppable checks that a part can go.
func (m *memory) droppable(target, part digest.Digest) error {
	if _, err := m.visible(part); err != nil {
		return err
	}
	if records, err := (memNames{m}).Target(target); err != nil || len(records) == 0 || !m.documents(target)[part] {
		return notFound(fmt.Sprintf("%s below %s", part, target))
	}
	for key, rec := range m.names {
		root := rec.Target.Digest
		if (root != target || part == target) && m.documents(root)[part] && !m.is("others' parts are dropped") {
			return fmt.Errorf("%s is needed by %s: %w", part, key, errdefs.ErrFailedPrecondition)
		}
	}
	for id, l := range m.leases {
		for held := range l.held {
			if !l.over() && held != target && m.documents(held)[part] {
				return fmt.Errorf("%s is held by lease %s: %w", part, id, errdefs.ErrFailedPrecondition)
			}
		}
	}
	for b := range m.batches {
		if _, wants := b.wants[part]; wants {
			return fmt.Errorf("%s is being written: %w", part, errdefs.ErrFailedPrecondition)
		}
	}
	if m.readers[part] > 0 {
		return fmt.Errorf("%s is being read: %w", part, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// documents returns the manifests and lists below a digest, and itself.
func (m *memory) documents(root digest.Digest) map[digest.Digest]bool {
	found := map[digest.Digest]bool{root: true}
	for todo := []digest.Digest{root}; len(todo) > 0; {
		blob := m.blobs[todo[0]]
		todo = todo[1:]
		if blob == nil || blob.facts == nil {
			continue
		}
		for _, e := range blob.facts.Edges {
			d := e.Desc.Digest
			if (e.Role == image.RoleIndex || e.Role == image.RoleManifest || e.Role == image.RoleAttestation) && !found[d] {
				found[d] = true
				todo = append(todo, d)
			}
		}
	}
	return found
}
