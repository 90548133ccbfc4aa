package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

func (m *memory) Stat(ctx context.Context, d digest.Digest) (store.Blob, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return store.Blob{}, err
	}
	defer leave()
	return m.stat(d)
}

func (m *memory) stat(d digest.Digest) (store.Blob, error) {
	b, err := m.visible(d)
	if err != nil {
		return store.Blob{}, err
	}
	return store.Blob{Digest: d, Size: b.size, Created: b.created}, nil
}

func (m *memory) Facts(ctx context.Context, d digest.Digest) (store.Facts, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return store.Facts{}, err
	}
	defer leave()
	return m.factsOf(d)
}

// memReader is an open reader.
type memReader struct {
	*bytes.Reader
	end   error // instead of io.EOF
	close func() error
}

func (r *memReader) Close() error { return r.close() }

func (r *memReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = r.end
	}
	return n, err
}

// reader opens a visible blob.
func (m *memory) reader(d digest.Digest, from int64) (*memReader, error) {
	b, err := m.visible(d)
	if err != nil {
		return nil, err
	}
	if from < 0 || from > b.size {
		return nil, fmt.Errorf("offset %d of %d: %w", from, b.size, errdefs.ErrInvalidArgument)
	}
	if m.is("reads begin at 0") {
		from = 0
	}
	r := &memReader{bytes.NewReader(b.data[min(from, int64(len(b.data))):]), io.EOF, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.readers[d]--
		m.lost = true
		return nil
	}}
	if !m.good(d) && !m.is("damaged bytes are read") {
		b.verified, r.end = false, fmt.Errorf("%s: %w", d, errdefs.ErrDataLoss)
	}
	m.readers[d]++
	return r, nil
}

func (m *memory) Open(ctx context.Context, d digest.Digest, from int64) (io.ReadCloser, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return m.reader(d, from)
}

func (m *memory) OpenAt(ctx context.Context, d digest.Digest) (store.ReaderAt, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	r, err := m.reader(d, 0)
	if err != nil {
		return nil, err
	}
	if errors.Is(r.end, errdefs.ErrDataLoss) {
		m.readers[d]--
		return nil, r.end
	}
	return r, nil
}

func (m *memory) Walk(ctx context.Context, after digest.Digest, f func(store.Blob) error) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	all := m.digests()
	leave()
	for _, d := range all {
		if d <= after {
			continue
		}
		b, err := m.Stat(ctx, d)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err == nil {
			err = f(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// digests returns those of all visible blobs, sorted.
func (m *memory) digests() []digest.Digest {
	var all []digest.Digest
	for d := range m.blobs {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

func (m *memory) Partial(ctx context.Context) ([]store.Partial, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var all []store.Partial
	for ref, p := range m.partial {
		all = append(all, store.Partial{Ref: ref, Offset: int64(len(p.data)), Started: p.started, Updated: p.updated})
	}
	return all, nil
}

func (m *memory) Abort(ctx context.Context, ref string) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	p := m.partial[ref]
	switch {
	case p == nil:
		return notFound(ref)
	case p.open:
		return fmt.Errorf("%q is open: %w", ref, errdefs.ErrUnavailable)
	}
	delete(m.partial, ref)
	return nil
}

func (m *memory) Begin(ctx context.Context, id string) (store.Batch, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, err := m.lease(id); err != nil {
		return nil, err
	}
	b := &memBatch{m: m, lease: id, wants: map[digest.Digest]want{}, open: true}
	m.batches[b] = true
	return b, nil
}
