package copy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/dhowhq/dhow/transport"
)

// Run carries a plan out: all nodes, children before parents, several at once;
// then the signatures; then the names. The source and the destination must be
// those for which the plan was made.
//
// An error ends the run at once, and no name has moved; what has been put stays
// where the destination keeps it, so that a repeated run has less to do. Content
// that does not match its digest is errdefs.ErrDataLoss, content that the source
// lacks errdefs.ErrUnavailable.
func Run(ctx context.Context, dst transport.Destination, src transport.Source, plan *Plan, opts Options) (*Receipt, error) {
	return run(ctx, dst, src, plan, nil, opts)
}

// run is Run for a plan that more, if not nil, returns the whole of while its beginning
// is carried out.
func run(ctx context.Context, dst transport.Destination, src transport.Source, plan *Plan, more func(context.Context) (*Plan, error), opts Options) (*Receipt, error) {
	r := &runner{src: src, dst: dst, plan: plan, done: make([]outcome, len(plan.Ops)), track: newTracker(plan, opts.Events)}
	r.has, _ = dst.(transport.Presence)
	r.log = opts.log()
	r.log.Debug("running a plan", "root", plan.Root.Digest, "nodes", len(plan.Ops), "left", len(plan.Left))

	err := r.nodes(ctx, more, opts)
	if err == nil {
		err = r.finish(ctx)
	}
	r.track.close(err)
	return r.receipt(), err
}

// runner is the state of one Run.
type runner struct {
	src   transport.Source
	dst   transport.Destination
	has   transport.Presence // nil where the destination cannot tell
	plan  *Plan
	track *tracker
	ahead *readAhead // nil where nodes are put several at once
	log   *slog.Logger

	mu        sync.Mutex
	done      []outcome // by operation
	notes     []string
	committed bool
}

// outcome is what became of one operation; the zero value is not done yet.
type outcome struct {
	action   Action
	reason   string
	verifier transport.Verifier
}

// nodes puts all nodes.
func (r *runner) nodes(ctx context.Context, more func(context.Context) (*Plan, error), opts Options) error {
	q := newQueue(opts.Parallel)
	if _, ok := r.dst.(transport.Sequential); ok {
		q = newSequence()
		r.ahead = newReadAhead(ctx, r.src)
		defer r.ahead.close()
	}
	if err := r.enqueue(ctx, q, r.plan.Ops); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, q.stop)
	defer stop()

	var wg sync.WaitGroup
	for range q.workers {
		wg.Go(func() {
			for t := q.next(); t != nil; t = q.next() {
				if err := r.node(ctx, q, t); err != nil {
					cancel(err)
					return
				}
				r.ahead.drop(t.op)
				q.finished(t)
			}
		})
	}
	if err := r.grow(ctx, q, more); err != nil {
		cancel(err)
	}
	q.end()
	wg.Wait()
	return context.Cause(ctx)
}

// grow goes on with the whole plan when it is there, of which the beginning is the same.
func (r *runner) grow(ctx context.Context, q *queue, more func(context.Context) (*Plan, error)) error {
	if more == nil {
		return nil
	}
	plan, err := more(ctx)
	if err != nil {
		return err
	}
	begun := len(r.plan.Ops)
	if !slices.EqualFunc(r.plan.Ops, plan.Ops[:min(begun, len(plan.Ops))], func(a, b Op) bool { return a.Key() == b.Key() }) {
		return fmt.Errorf("the plan for %s is another one than was begun: %w", plan.Root.Digest, errdefs.ErrInternal)
	}
	r.mu.Lock()
	r.plan = plan
	r.done = append(r.done, make([]outcome, len(plan.Ops)-begun)...)
	r.mu.Unlock()
	r.track.grow(plan.Ops[begun:])
	return r.enqueue(ctx, q, plan.Ops[begun:])
}

// enqueue adds operations to the queue. Each root is asked for before: if the destination
// has it with all that is below it, nothing below it need be asked about.
func (r *runner) enqueue(ctx context.Context, q *queue, ops []Op) error {
	roots := q.add(ops)
	r.ahead.add(ops)
	if r.has != nil {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(atOnce)
		for _, t := range roots {
			g.Go(func() error { return r.root(ctx, q, t) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	q.release()
	return nil
}

func (r *runner) root(ctx context.Context, q *queue, t *task) error {
	have, err := r.has.Has(ctx, t.op.Node)
	if err != nil {
		return r.failed(ctx, t, err)
	}
	if have == transport.Complete {
		q.finishedBelow(t, func(t *task) {
			r.ahead.drop(t.op)
			r.report(t, outcome{action: Reused, reason: "the destination is complete"})
		})
	}
	return nil
}

// node makes one node present.
func (r *runner) node(ctx context.Context, q *queue, t *task) error {
	r.track.started(t.op)
	if r.has != nil {
		have, err := r.has.Has(ctx, t.op.Node)
		if err != nil {
			return r.failed(ctx, t, err)
		}
		if have != transport.Absent {
			r.report(t, outcome{action: Reused})
			return nil
		}
	}
	s := &stream{run: r, op: t.op, drained: func() { q.drained(t) }}
	out, err := r.dst.Put(ctx, t.op.Node, s.open)
	if errdefs.IsDataLoss(err) && r.elsewhere(t.op) {
		out, err = r.dst.Put(ctx, t.op.Node, s.open)
	}
	switch {
	case err != nil && s.absent.Load() && isForeign(t.op.From.MediaType):
		r.report(t, outcome{action: Skipped, reason: "not at the source; a nondistributable layer is had from its URLs"})
		return nil
	case err != nil && s.absent.Load():
		return r.failed(ctx, t, unavailable(errors.New("missing at the source"), err))
	case err != nil:
		return r.failed(ctx, t, err)
	}
	o := outcome{action: Action(out.Action), reason: out.Note}
	if t.op.Data == nil { // else they were verified, or made, before
		o.verifier = out.Verifier
	}
	if o.action == Copied && t.op.Action != Copied {
		o.action, o.reason = t.op.Action, t.op.Reason
	}
	r.report(t, o)
	return nil
}

// elsewhere reports whether the source has the bytes of a node, which were damaged, from
// another server too.
func (r *runner) elsewhere(op *Op) bool {
	src, ok := r.src.(transport.Elsewhere)
	return ok && src.Distrust(op.From)
}

// report notes what became of a node.
func (r *runner) report(t *task, o outcome) {
	r.mu.Lock()
	r.done[t.index] = o
	r.mu.Unlock()
	r.track.finished(t.op, o)
	r.log.Debug("put a node", "role", t.op.Node.Role, "digest", t.op.Node.Desc.Digest, "action", o.action)
}

// failed says which node an error is about.
func (r *runner) failed(ctx context.Context, t *task, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err // it is about all nodes
	}
	n := t.op.Node
	where := ""
	if n.Parent != "" {
		where = fmt.Sprintf(" (%d of %s)", n.Index, n.Parent)
	}
	if t.op.Platform != "" {
		where += " for " + t.op.Platform
	}
	return fmt.Errorf("copying %s %s%s: %w", n.Role, n.Desc.Digest, where, err)
}

// finish writes the signatures and moves the names.
func (r *runner) finish(ctx context.Context) error {
	for _, d := range slices.Sorted(maps.Keys(r.plan.Signatures)) {
		w, ok := r.dst.(transport.SignatureWriter)
		if !ok {
			return fmt.Errorf("writing signatures: the destination keeps none: %w", errdefs.ErrNotImplemented)
		}
		if err := w.PutSignatures(ctx, d, r.plan.Signatures[d]); err != nil {
			return fmt.Errorf("writing the signatures of %s: %w", d, err)
		}
	}
	notes, err := r.dst.Commit(ctx, r.plan.Names)
	r.notes = notes
	if err != nil {
		return fmt.Errorf("moving names at the destination: %w", err)
	}
	r.committed = true
	r.log.Info("moved the names", "root", r.plan.Root.Digest, "names", len(r.plan.Names))
	r.track.committed()
	return nil
}

// receipt says what became of everything so far.
func (r *runner) receipt() *Receipt {
	rec := &Receipt{
		Version:    1,
		SourceRoot: r.plan.SourceRoot,
		Entries:    r.entries(),
		Notes:      slices.Concat(r.plan.Notes, r.notes),
	}
	if r.committed {
		rec.Root = r.plan.Root
		for _, n := range r.plan.Names {
			if n.Name != "" {
				rec.Names = append(rec.Names, Name{Name: n.Name, Digest: n.Desc.Digest})
			}
		}
	}
	rec.sum()
	return rec
}

// entries lists the operations that are done, roots first and parents before
// children, and then what stayed behind.
func (r *runner) entries() []Entry {
	at := make(map[NodeKey]int, len(r.plan.Ops))
	for i, op := range r.plan.Ops {
		at[op.Key()] = i
	}
	var order []int
	seen := make([]bool, len(r.plan.Ops))
	visit := func(key NodeKey) {
		if i, ok := at[key]; ok && !seen[i] {
			seen[i] = true
			order = append(order, i)
		}
	}
	for _, n := range r.plan.Names {
		visit(NodeKey{n.Desc.Digest, true})
	}
	for next := 0; next < len(order); next++ {
		for _, child := range r.plan.Ops[order[next]].Children {
			visit(child)
		}
	}
	entries := make([]Entry, 0, len(order)+len(r.plan.Left))
	for _, i := range order {
		if r.done[i].action != "" {
			e := r.plan.Ops[i].Entry()
			e.Action, e.Reason, e.Verifier = r.done[i].action, r.done[i].reason, r.done[i].verifier
			entries = append(entries, e)
		}
	}
	if r.committed {
		for _, d := range slices.Sorted(maps.Keys(r.plan.Signatures)) {
			for _, sig := range r.plan.Signatures[d] {
				entries = append(entries, signatureEntry(d, sig, Copied, ""))
			}
		}
	}
	return append(entries, r.plan.Left...)
}
