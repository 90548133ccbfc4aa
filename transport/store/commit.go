package store

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
	local "github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
)

// Commit makes everything that was put visible and durable, and moves the names with it,
// all or nothing. A name is a tag of the reference's repository; without a name in the
// reference the image dangles. What points there already stays as it is, and if nothing
// has changed nothing is written. A referrer needs no name, but one whose document does
// not name the subject goes when the destination is closed, which is noted.
//
// A manifest that is not there is errdefs.ErrFailedPrecondition, a name for two of them
// errdefs.ErrInvalidArgument.
func (d *Destination) Commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	notes, err := d.commit(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("committing to store:%s: %w", d.ref, err)
	}
	return notes, nil
}

func (d *Destination) commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	wanted, err := d.wanted(names)
	if err != nil {
		return nil, err
	}
	moves, own, err := d.moves(ctx, wanted)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	written := d.written
	d.mu.Unlock()
	if len(moves) > 0 || written {
		if err := d.publish(ctx, moves, &own); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	d.written, d.moved = false, own
	d.mu.Unlock()
	return d.strays(ctx, names)
}

// wanted returns where names shall point.
func (d *Destination) wanted(names []transport.Naming) ([]local.Move, error) {
	var wanted []local.Move
	at := map[string]ocispec.Descriptor{}
	for _, n := range names {
		if n.Subject != "" {
			continue
		}
		name, err := d.ref.record(n.Name)
		if err != nil {
			return nil, err
		}
		if name == "" {
			name = local.Record{Target: n.Desc}.Key()
		}
		to := ocispec.Descriptor{MediaType: n.Desc.MediaType, Digest: n.Desc.Digest, Size: n.Desc.Size}
		other, twice := at[name]
		switch {
		case !twice:
			at[name] = to
			wanted = append(wanted, local.Move{Name: name, To: to})
		case other.Digest != to.Digest:
			return nil, fmt.Errorf("the name %s is wanted for %s and for %s: %w", strictjson.Quote(name), other.Digest, to.Digest, errdefs.ErrInvalidArgument)
		}
	}
	return wanted, nil
}

// moves returns which names have to move, and what the reference's own points at now.
func (d *Destination) moves(ctx context.Context, wanted []local.Move) (moves []local.Move, own local.Moved, err error) {
	err = d.opts.Store.View(ctx, func(r local.NameReader) error {
		moves, own = nil, local.Moved{}
		for _, m := range wanted {
			rec, err := now(r, m)
			if err != nil {
				return err
			}
			if m.Name == d.name {
				own.Before = rec
			}
			if t := rec.Target; t.Digest != m.To.Digest || t.MediaType != m.To.MediaType || t.Size != m.To.Size {
				moves = append(moves, m)
			}
		}
		return nil
	})
	return moves, own, err
}

// now returns the record that a move is about, or none. What has a name need not dangle.
func now(r local.NameReader, m local.Move) (local.Record, error) {
	if m.Name[0] == '@' {
		records, err := r.Target(m.To.Digest)
		if err != nil || len(records) == 0 {
			return local.Record{}, err
		}
		return records[0], nil
	}
	rec, err := r.Get(m.Name)
	if errdefs.IsNotFound(err) {
		return local.Record{}, nil
	}
	return rec, err
}

// publish publishes the batch with the moves, and notes what became of the reference's
// own name.
func (d *Destination) publish(ctx context.Context, moves []local.Move, own *local.Moved) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	moved, err := d.batch.Publish(ctx, moves...)
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("it was not put: %v: %w", err, errdefs.ErrFailedPrecondition) //nolint:errorlint // it is the caller's mistake
	}
	if err != nil {
		return err
	}
	for i, m := range moves {
		if m.Name == d.name {
			*own = moved[i]
		}
	}
	return nil
}

// strays notes the referrers that nothing keeps.
func (d *Destination) strays(ctx context.Context, names []transport.Naming) ([]string, error) {
	var notes []string
	for _, n := range names {
		if n.Subject == "" {
			continue
		}
		facts, err := d.opts.Store.Facts(ctx, n.Desc.Digest)
		if errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("%s was not put: %w", n.Desc.Digest, errdefs.ErrFailedPrecondition)
		}
		if err != nil {
			return nil, err
		}
		if facts.Subject != n.Subject {
			notes = append(notes, fmt.Sprintf("%s is not kept beside %s, which it does not name as its subject", n.Desc.Digest, n.Subject))
		}
	}
	return notes, nil
}

// Moved returns what became of the reference's own name in the last Commit: the record
// that it had before, zero if there was none, and whether the target of that dangles
// now. A name that did not have to move has the record that it still is.
func (d *Destination) Moved() local.Moved {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.moved
}

// Name returns the name of the record that Commit moves for the reference itself; empty
// if it has none.
func (d *Destination) Name() string { return d.name }
