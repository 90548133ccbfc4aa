package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// loadNaming decides which names of images that were loaded move.
type loadNaming struct {
	places  []*loadPlace
	replace bool // names of other images move too

	moves []store.Move
	named []namedAt
}

// namedAt is a name of an image, and the move that it needs; -1 for none.
type namedAt struct {
	of     *loadPlace
	name   string
	before store.Record
	move   int
}

// publish makes all images visible, and moves their names.
func (l *loadNaming) publish(ctx context.Context, st *staging) error {
	moved, err := st.publish(ctx, func(v *view) ([]store.Move, error) {
		err := l.plan(v)
		return l.moves, err
	})
	if err != nil {
		return err
	}
	for _, n := range l.named {
		name := LoadedName{Name: n.name, Before: n.before}
		if n.move >= 0 {
			name.Before, name.Dangling = moved[n.move].Before, moved[n.move].Dangling
		}
		n.of.Names = append(n.of.Names, name)
	}
	for _, p := range l.places {
		for _, rec := range p.Kept {
			p.Notes = append(p.Notes, fmt.Sprintf("the archive says that %s is %s; here it is %s, and stays so", Familiar(rec), p.Target.Digest, rec.Target.Digest))
		}
	}
	return nil
}

// plan decides by what there is.
func (l *loadNaming) plan(v *view) error {
	l.moves, l.named = nil, nil
	taken := map[string]bool{} // by a later image, which wins
	for _, p := range slices.Backward(l.places) {
		p.Kept = nil
		for _, w := range p.wanted {
			if taken[w.Name] {
				continue
			}
			taken[w.Name] = true
			if err := l.name(v, p, w); err != nil {
				return err
			}
		}
	}
	for _, p := range l.places {
		if slices.ContainsFunc(l.moves, func(m store.Move) bool { return m.To.Digest == p.Target.Digest }) {
			continue
		}
		dangling, err := v.danglingMove(p.Target)
		if err != nil {
			return err
		}
		l.moves = append(l.moves, dangling...)
	}
	return nil
}

// name decides about one name.
func (l *loadNaming) name(v *view, p *loadPlace, w store.Move) error {
	rec, err := v.Get(w.Name)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	n := namedAt{of: p, name: w.Name, before: rec, move: -1}
	switch same := rec.Target.Digest == w.To.Digest; {
	case !same && err == nil && !l.replace:
		p.Kept = append(p.Kept, rec)
		return nil
	case !same:
		n.move = len(l.moves)
		w.If = store.Condition{Absent: err != nil, Digest: rec.Target.Digest}
		l.moves = append(l.moves, w)
	}
	if w.To.Digest == p.Target.Digest { // else it is what stands beside the image
		l.named = append(l.named, n)
	}
	return nil
}

// repositoryOf returns the repository of the first of full names; the zero Reference if
// there is none.
func repositoryOf(names []string) (ref.Reference, error) {
	if len(names) == 0 {
		return ref.Reference{}, nil
	}
	return ref.Parse(names[0])
}
