package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// memBatch wants blobs that are ready or visible.
type memBatch struct {
	m     *memory
	lease string
	wants map[digest.Digest]want
	open  bool
}

// want is what is to be known of a blob when it becomes visible.
type want struct{ facts *store.Facts }

func (b *memBatch) Put(ctx context.Context, desc ocispec.Descriptor, role image.Role, open store.Opener) (store.Put, error) {
	m := b.m
	if _, err := image.ParseDigest(string(desc.Digest)); err != nil {
		return "", err
	}
	for {
		leave, err := m.enter(ctx)
		if err != nil {
			return "", err
		}
		if data, there := b.there(desc.Digest); there {
			err := b.want(desc, role, data)
			leave()
			return store.Reused, err
		}
		wait := m.writing[desc.Digest]
		if wait == nil {
			break
		}
		leave()
		select {
		case <-wait:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	done := make(chan struct{})
	m.writing[desc.Digest] = done
	m.mu.Unlock()
	data, err := b.receive(ctx, desc, open)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.writing, desc.Digest)
	close(done)
	if err == nil {
		err = b.want(desc, role, data)
	}
	return store.Written, err
}

// there returns the bytes of a blob that is visible and can be believed, or ready.
func (b *memBatch) there(d digest.Digest) ([]byte, bool) {
	m := b.m
	if data, ready := m.ready[d]; ready && !m.is("batches share nothing") {
		return data, true
	}
	blob := m.blobs[d]
	if blob == nil {
		return nil, false
	}
	if !blob.verified && !m.is("what is there is believed") {
		if !m.good(d) {
			return nil, false
		}
		blob.verified = true
	}
	return blob.data, true
}

// receive reads a blob, from where an earlier Put has stopped.
func (b *memBatch) receive(ctx context.Context, desc ocispec.Descriptor, open store.Opener) ([]byte, error) {
	m, ref := b.m, desc.Digest.String()
	m.mu.Lock()
	p := m.partial[ref]
	if p == nil || m.is("nothing is resumed") {
		p = &memPartial{started: time.Now()}
	}
	m.mu.Unlock()
	data := p.data
	r, err := open(ctx, int64(len(data)))
	if err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(io.LimitReader(r, desc.Size+1-int64(len(data))))
	data = append(slices.Clip(data), rest...)
	err = errors.Join(err, r.Close())
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.partial, ref)
	if err != nil {
		if len(data) > 0 {
			m.partial[ref] = &memPartial{data: data, started: p.started, updated: time.Now()}
		}
		return nil, err
	}
	return data, nil
}

// want has the batch make a blob visible, and notes what is known of it.
func (b *memBatch) want(desc ocispec.Descriptor, role image.Role, data []byte) error {
	m := b.m
	if desc.Size >= 0 && int64(len(data)) != desc.Size || desc.Digest.Algorithm().FromBytes(data) != desc.Digest && !m.is("digests are not checked") {
		return fmt.Errorf("%s: %w", desc.Digest, errdefs.ErrDataLoss)
	}
	facts, err := m.derive(desc, role, data)
	if err != nil {
		return err
	}
	if was, there := b.wants[desc.Digest]; there && facts == nil {
		facts = was.facts
	}
	b.wants[desc.Digest] = want{facts}
	if _, err := m.visible(desc.Digest); err != nil || !m.is("batches hold nothing") {
		m.ready[desc.Digest] = data
	}
	if m.is("Put publishes") {
		m.show(desc.Digest, b.wants[desc.Digest])
	}
	return nil
}

// show makes a blob visible.
func (m *memory) show(d digest.Digest, w want) {
	blob := m.blobs[d]
	if blob == nil || !m.good(d) {
		created := time.Now()
		if blob != nil {
			created = blob.created
		}
		data := m.ready[d]
		blob = &memBlob{data: data, size: int64(len(data)), created: created}
	}
	blob.verified = true
	if w.facts != nil {
		blob.facts = w.facts
	}
	m.blobs[d] = blob
	delete(m.partial, d.String())
}

func (b *memBatch) Publish(ctx context.Context, moves ...store.Move) ([]store.Moved, error) {
	leave, err := b.m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	m := b.m
	l, err := m.lease(b.lease)
	if err != nil {
		return nil, err
	}
	before := map[digest.Digest]*memBlob{}
	for d, w := range b.wants {
		before[d] = m.blobs[d]
		if m.blobs[d] == nil || w.facts != nil || !m.blobs[d].verified {
			m.show(d, w)
		}
	}
	moved, err := m.move(moves)
	if err != nil && !m.is("Publish is not undone") {
		for d, blob := range before {
			if blob == nil {
				delete(m.blobs, d)
			}
		}
		return nil, err
	}
	for d := range b.wants {
		l.held[d] = true
	}
	clear(b.wants)
	m.tidy()
	return moved, err
}

// tidy forgets what was ready and nobody wants any more.
func (m *memory) tidy() {
	for d := range m.ready {
		wanted := false
		for b := range m.batches {
			_, wants := b.wants[d]
			wanted = wanted || wants
		}
		if !wanted {
			delete(m.ready, d)
		}
	}
}

func (b *memBatch) Close() error {
	m := b.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if !b.open {
		return nil
	}
	b.open = false
	delete(m.batches, b)
	for d := range b.wants {
		if m.blobs[d] == nil { // a repeated Put finds it
			m.partial[d.String()] = &memPartial{data: m.ready[d], started: time.Now(), updated: time.Now()}
		}
	}
	m.lost = true
	m.tidy()
	return nil
}

func (b *memBatch) Writer(ctx context.Context, ref string) (store.Writer, error) {
	leave, err := b.m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	p := b.m.partial[ref]
	switch {
	case p == nil:
		p = &memPartial{started: time.Now(), updated: time.Now()}
		b.m.partial[ref] = p
	case p.open && !b.m.is("many write under one ref"):
		return nil, fmt.Errorf("%q is being written: %w", ref, errdefs.ErrUnavailable)
	}
	p.open = true
	return &memWriter{b: b, ref: ref, p: p}, nil
}

// memWriter writes a partial blob.
type memWriter struct {
	b   *memBatch
	ref string
	p   *memPartial
}

func (w *memWriter) Write(p []byte) (int, error) {
	w.b.m.mu.Lock()
	defer w.b.m.mu.Unlock()
	w.p.data = append(slices.Clip(w.p.data), p...)
	w.p.updated = time.Now()
	return len(p), nil
}

func (w *memWriter) Offset() int64 { return int64(len(w.p.data)) }

func (w *memWriter) Reset() error {
	w.b.m.mu.Lock()
	defer w.b.m.mu.Unlock()
	w.p.data = nil
	return nil
}

func (w *memWriter) Digest(alg digest.Algorithm) (digest.Digest, error) {
	if !alg.Available() {
		return "", fmt.Errorf("algorithm %q: %w", alg, errdefs.ErrNotImplemented)
	}
	return alg.FromBytes(w.p.data), nil
}

func (w *memWriter) Commit(ctx context.Context, desc ocispec.Descriptor, role image.Role) error {
	if err := errors.Join(ctx.Err(), w.Close()); err != nil {
		return err
	}
	if _, err := image.ParseDigest(string(desc.Digest)); err != nil {
		return err
	}
	leave, err := w.b.m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if w.b.m.is("sizes are not committed") {
		desc.Size = -1
	}
	delete(w.b.m.partial, w.ref)
	return w.b.want(desc, role, w.p.data)
}

func (w *memWriter) Close() error {
	w.b.m.mu.Lock()
	defer w.b.m.mu.Unlock()
	w.p.open = false
	return nil
}
