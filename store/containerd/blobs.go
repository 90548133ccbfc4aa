package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// info returns what containerd knows of visible content; errDamaged if it is damaged.
func (s *Store) info(ctx context.Context, d digest.Digest) (*contentapi.Info, error) {
	info, err := s.rawInfo(ctx, d)
	if err == nil && s.isDamaged(info) {
		return nil, fmt.Errorf("content %s: %w", d, errDamaged)
	}
	return info, err
}

// rawInfo returns what containerd knows of content, damaged or not.
func (s *Store) rawInfo(ctx context.Context, d digest.Digest) (*contentapi.Info, error) {
	if _, err := image.ParseDigest(d.String()); err != nil {
		return nil, err
	}
	answer, err := s.content.Info(ctx, &contentapi.InfoRequest{Digest: d.String()})
	if err != nil {
		return nil, fmt.Errorf("content %s: %w", d, err)
	}
	return answer.GetInfo(), nil
}

// blobOf says what there is in the words of package store.
func blobOf(info *contentapi.Info) store.Blob {
	return store.Blob{Digest: digest.Digest(info.GetDigest()), Size: info.GetSize(), Created: info.GetCreatedAt().AsTime()}
}

// Stat returns a visible blob. Its bytes are as containerd believes them to be.
func (s *Store) Stat(ctx context.Context, d digest.Digest) (store.Blob, error) {
	info, err := s.info(ctx, d)
	if err != nil {
		return store.Blob{}, err
	}
	return blobOf(info), nil
}

// Facts returns what is known of a document that a name contains, or that was written
// through this engine.
func (s *Store) Facts(ctx context.Context, d digest.Digest) (store.Facts, error) {
	info, err := s.info(ctx, d)
	if err != nil {
		return store.Facts{}, err
	}
	facts, known := s.docs.facts(d)
	if !known {
		mediaType := info.GetLabels()[labelDocument]
		if mediaType == "" {
			return store.Facts{}, fmt.Errorf("%s is not known as a document: %w", d, errdefs.ErrNotFound)
		}
		facts, err = s.learn(ctx, d, info.GetSize(), mediaType)
		if errdefs.IsDataLoss(err) {
			return store.Facts{}, fmt.Errorf("%v: %w", err, errDamaged) //nolint:errorlint // not that kind: it is not there any more
		}
		if err != nil {
			return store.Facts{}, err
		}
	}
	if facts.Config != "" && facts.Platform == nil { // its config may be there and not known
		if err := s.learnEdge(ctx, facts.Edges[0]); err != nil && !errdefs.IsDataLoss(err) {
			return store.Facts{}, err
		}
		if all, known := s.docs.facts(d); known {
			facts = all
		}
	}
	return facts, nil
}

// Walk calls f with the blobs of the namespace.
func (s *Store) Walk(ctx context.Context, after digest.Digest, f func(store.Blob) error) error {
	return s.list(ctx, func(info *contentapi.Info) error {
		if digest.Digest(info.GetDigest()) <= after || s.isDamaged(info) {
			return nil
		}
		return f(blobOf(info))
	})
}

// list calls f with the content of the namespace, damaged or not, that one of the filters
// lets through; without filters with all.
func (s *Store) list(ctx context.Context, f func(*contentapi.Info) error, filters ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list, err := s.content.List(ctx, &contentapi.ListContentRequest{Filters: filters})
	if err != nil {
		return fmt.Errorf("listing content: %w", err)
	}
	for {
		part, err := list.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing content: %w", errgrpc.ToNative(err))
		}
		for _, info := range part.GetInfo() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(info); err != nil {
				return err
			}
		}
	}
}

// Open returns the bytes of a blob, which are hashed while they are read, those before
// the offset too.
func (s *Store) Open(ctx context.Context, d digest.Digest, from int64) (io.ReadCloser, error) {
	release, size, err := s.pin(ctx, d)
	if err != nil {
		return nil, err
	}
	if from < 0 || from > size {
		return nil, errors.Join(fmt.Errorf("offset %d of %s, which has %d bytes: %w", from, d, size, errdefs.ErrInvalidArgument), release())
	}
	r, err := s.newReader(ctx, d, size, release)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// OpenAt returns a blob for reading anywhere. It is read once to be verified, unless
// this process has done so or has written it.
func (s *Store) OpenAt(ctx context.Context, d digest.Digest) (store.ReaderAt, error) {
	release, size, err := s.pin(ctx, d)
	if err != nil {
		return nil, err
	}
	if !s.docs.verified(d) {
		if err := s.verify(ctx, d, size); err != nil {
			return nil, errors.Join(err, release())
		}
	}
	return &readerAt{s: s, ctx: ctx, digest: d, size: size, release: release}, nil
}

// pin keeps a blob that can be read from being collected, and returns its size. One that is
// damaged is ErrDataLoss: who reads is to know.
func (s *Store) pin(ctx context.Context, d digest.Digest) (release func() error, size int64, err error) {
	if _, err := s.readable(ctx, d); err != nil { // so that nothing absent is held
		return nil, 0, err
	}
	release, err = s.pins.hold(ctx, d)
	if err != nil {
		return nil, 0, fmt.Errorf("keeping %s: %w", d, err)
	}
	info, err := s.readable(ctx, d)
	if err != nil {
		return nil, 0, errors.Join(err, release())
	}
	return release, info.GetSize(), nil
}

// readable is info with ErrDataLoss for what is damaged.
func (s *Store) readable(ctx context.Context, d digest.Digest) (*contentapi.Info, error) {
	info, err := s.rawInfo(ctx, d)
	if err == nil && s.isDamaged(info) {
		return nil, fmt.Errorf("content %s was found damaged: %w", d, errdefs.ErrDataLoss)
	}
	return info, err
}

// readAll reads a document, whose size was checked.
func (s *Store) readAll(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	r, err := s.newReader(ctx, d, size, func() error { return nil })
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}
