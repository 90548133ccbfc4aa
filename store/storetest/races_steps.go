package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// racer is one worker of a race.
type racer struct {
	*world
	t     *testing.T
	id    int
	roots []ocispec.Descriptor
	below map[digest.Digest][]*image.Node // what is below the images and their manifests, and these
	rng   *rand.Rand
	kept  []keptReader
}

// keptReader is a reader that is read to its end some time later.
type keptReader struct {
	io.ReadCloser
	digest digest.Digest
}

// step does something.
func (r *racer) step(ctx context.Context) {
	steps := []func(context.Context) error{
		r.write, r.write, r.write, r.write, r.write, r.look, r.look, r.look, r.look, r.tag, r.tag, r.remove, r.remove, r.remove,
		r.prune, r.prune, r.gc, r.gc, r.gc, r.part, r.part, r.readKept, r.readKept, r.brief,
	}
	if err := steps[r.rng.IntN(len(steps))](ctx); err != nil {
		r.t.Errorf("worker %d: %v", r.id, err)
	}
}

// name returns one of some names.
func (r *racer) name() string { return fmt.Sprintf("docker.io/library/race%d:1", r.rng.IntN(8)) }

// pause gives way to the others, at times for longer.
func (r *racer) pause() {
	if r.rng.IntN(2) == 0 {
		time.Sleep(time.Duration(r.rng.IntN(2000)) * time.Microsecond)
	}
}

// root returns one of the images.
func (r *racer) root() ocispec.Descriptor { return r.roots[r.rng.IntN(len(r.roots))] }

// leased does something under a lease of its own.
func (r *racer) leased(ctx context.Context, do func(id string) error) error {
	l, err := r.Lease(ctx, store.Lease{Until: time.Now().Add(time.Hour), Process: r.rng.IntN(2) == 0})
	if err != nil {
		return fmt.Errorf("Lease: %w", err)
	}
	return errors.Join(do(l.ID), r.Release(ctx, l.ID))
}

// write writes an image, or one platform of it, and gives it a name, or gives up.
func (r *racer) write(ctx context.Context) error {
	root := r.root()
	nodes := r.below[root.Digest]
	if only := r.rng.IntN(3); only < 2 {
		nodes = append(slices.Clip(r.below[r.edges(r.t, root)[only].Desc.Digest]), &image.Node{Desc: root, Role: image.RoleIndex})
	}
	return r.leased(ctx, func(id string) (err error) {
		b, err := r.Begin(ctx, id)
		if err != nil {
			return fmt.Errorf("Begin: %w", err)
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		for _, n := range nodes {
			if _, err := b.Put(ctx, n.Desc, n.Role, r.src.opener(n.Desc)); err != nil {
				return fmt.Errorf("Put: %w", err)
			}
		}
		r.pause()
		var moves []store.Move
		switch r.rng.IntN(5) {
		case 0:
			return nil // given up
		case 1: // without a name
		default:
			moves = append(moves, store.Move{Name: r.name(), To: target(root), Forget: r.rng.IntN(2) == 0})
		}
		if _, err := b.Publish(ctx, moves...); err != nil {
			return fmt.Errorf("Publish: %w", err)
		}
		for _, n := range nodes {
			if err := r.check(ctx, n.Desc.Digest); err != nil {
				return fmt.Errorf("%s under its own lease: %w", n.Role, err)
			}
		}
		return nil
	})
}

// check reads a blob that must be there.
func (r *racer) check(ctx context.Context, d digest.Digest) error {
	want := r.src.Get(d)
	if r.rng.IntN(2) == 0 {
		at, err := r.OpenAt(ctx, d)
		if err != nil {
			return fmt.Errorf("OpenAt of %s: %w", d, err)
		}
		got := make([]byte, at.Size())
		_, err = io.ReadFull(io.NewSectionReader(at, 0, at.Size()), got)
		if err == nil && !bytes.Equal(got, want) {
			err = errors.New("other bytes")
		}
		return errors.Join(err, at.Close())
	}
	got, err := readAll(ctx, r, d, 0)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("other bytes")
	}
	if err != nil {
		return fmt.Errorf("Open of %s: %w", d, err)
	}
	return nil
}

// named holds what some name points at, and goes on if a name still does then.
func (r *racer) named(ctx context.Context, do func(rec store.Record) error) error {
	var all []store.Record
	err := r.View(ctx, func(names store.NameReader) (err error) {
		all, err = names.List("", 0)
		return err
	})
	if err != nil || len(all) == 0 {
		return err
	}
	rec := all[r.rng.IntN(len(all))]
	return r.leased(ctx, func(id string) error {
		if err := r.Hold(ctx, id, rec.Target.Digest); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("Hold: %w", err)
		}
		still := false
		err := r.View(ctx, func(names store.NameReader) error {
			found, err := names.Target(rec.Target.Digest)
			still = len(found) > 0
			return err
		})
		if err != nil || !still {
			return err
		}
		r.pause()
		return do(rec)
	})
}

// tag gives an image another name.
func (r *racer) tag(ctx context.Context) error {
	return r.named(ctx, func(rec store.Record) error {
		_, err := r.Move(ctx, store.Move{Name: r.name(), To: rec.Target})
		if err != nil {
			return fmt.Errorf("a tag for what is held: %w", err)
		}
		return nil
	})
}

// remove removes a name, and what is dangling then stays or not.
func (r *racer) remove(ctx context.Context) error {
	_, err := r.Move(ctx, store.Move{Name: r.name(), Forget: r.rng.IntN(2) == 0})
	return err
}

// prune removes a dangling record that it has seen.
func (r *racer) prune(ctx context.Context) error {
	var first []store.Record
	err := r.View(ctx, func(names store.NameReader) (err error) {
		first, err = names.List("", 1)
		return err
	})
	if err != nil || len(first) == 0 || !first[0].Dangling() {
		return err
	}
	_, err = r.Move(ctx, store.Move{Name: first[0].Key(), If: store.Condition{Digest: first[0].Target.Digest}})
	if errdefs.IsFailedPrecondition(err) {
		return nil // another one was faster
	}
	return err
}

// gc collects a step or all.
func (r *racer) gc(ctx context.Context) error {
	if r.rng.IntN(2) == 0 {
		_, err := r.Collect(ctx)
		return err
	}
	_, err := store.Collect(ctx, r)
	return err
}

// look reads everything that is there of what a name points at, and at times keeps a
// reader open.
func (r *racer) look(ctx context.Context) error {
	return r.named(ctx, func(rec store.Record) error {
		if err := r.check(ctx, rec.Target.Digest); err != nil {
			return fmt.Errorf("the target of a name: %w", err)
		}
		for _, n := range r.below[rec.Target.Digest] {
			if n.Role != image.RoleManifest {
				continue
			}
			if _, err := r.Stat(ctx, n.Desc.Digest); errdefs.IsNotFound(err) {
				continue // this platform is not there
			}
			for _, below := range r.below[n.Desc.Digest] {
				if err := r.check(ctx, below.Desc.Digest); err != nil {
					return fmt.Errorf("%s below a name: %w", below.Role, err)
				}
			}
		}
		return r.keep(ctx, rec.Target.Digest)
	})
}

// keep opens a reader for later.
func (r *racer) keep(ctx context.Context, d digest.Digest) error {
	if len(r.kept) > 3 || r.rng.IntN(3) > 0 {
		return nil
	}
	opened, err := r.Open(ctx, d, 0)
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	r.kept = append(r.kept, keptReader{opened, d})
	return nil
}

// readKept reads what was opened some time ago.
func (r *racer) readKept(ctx context.Context) error {
	if len(r.kept) == 0 {
		return nil
	}
	k := r.kept[0]
	r.kept = r.kept[1:]
	if err := r.check(ctx, k.digest); err != nil {
		return fmt.Errorf("what a reader has open: %w", err)
	}
	got, err := io.ReadAll(k)
	if err == nil && !bytes.Equal(got, r.src.Get(k.digest)) {
		err = errors.New("other bytes")
	}
	if err := errors.Join(err, k.Close()); err != nil {
		return fmt.Errorf("an open reader of %s: %w", k.digest, err)
	}
	return nil
}

func (r *racer) closeKept() {
	for _, k := range r.kept {
		if err := k.Close(); err != nil {
			r.t.Errorf("worker %d: Close: %v", r.id, err)
		}
	}
}

// part writes a part of a blob under a ref, and goes on with it the next time.
func (r *racer) part(ctx context.Context) error {
	return r.leased(ctx, func(id string) (err error) {
		b, err := r.Begin(ctx, id)
		if err != nil {
			return fmt.Errorf("Begin: %w", err)
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		writer, err := b.Writer(ctx, fmt.Sprint("ref ", r.id))
		if err != nil {
			return fmt.Errorf("Writer: %w", err)
		}
		layer := r.edges(r.t, r.edges(r.t, r.roots[3*r.id%raceImages])[0].Desc)[1].Desc // always the same one
		rest := r.src.Get(layer.Digest)[writer.Offset():]
		n := r.rng.IntN(len(rest) + 1)
		if _, err := writer.Write(rest[:n]); err != nil {
			return errors.Join(fmt.Errorf("Write: %w", err), writer.Close())
		}
		if n < len(rest) {
			return writer.Close()
		}
		if err := writer.Commit(ctx, layer, image.RoleLayer); err != nil {
			return fmt.Errorf("Commit: %w", err)
		}
		if _, err := b.Publish(ctx); err != nil {
			return fmt.Errorf("Publish: %w", err)
		}
		return r.check(ctx, layer.Digest)
	})
}

// brief makes a lease that is over at once, and collects it.
func (r *racer) brief(ctx context.Context) error {
	_, err := r.Lease(ctx, store.Lease{Until: time.Now().Add(time.Millisecond)})
	if err != nil {
		return fmt.Errorf("Lease: %w", err)
	}
	var all []string
	leases, err := r.Leases(ctx)
	for _, l := range leases {
		all = append(all, l.ID)
	}
	if err == nil && !slices.IsSorted(all) {
		err = fmt.Errorf("leases are not in order: %q", all)
	}
	return err
}
