package crashtest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// ahead is how many operations a lane can have done at most that nobody has read of yet.
const ahead = 1000

// checker checks what is left of a store, and goes on where its writer was interrupted.
type checker struct {
	c     *contents
	seed  uint64
	store *embedded.Store
	plans [lanes]*planner // each at the state that was found
}

// recovered opens the store that a crash has left, checks everything, repeats what was
// interrupted, and returns where each lane is then. The store is open, until close.
func recovered(t *testing.T, c *contents, seed uint64, dir string, acknowledged [lanes]int) *checker {
	t.Helper()
	k := &checker{c: c, seed: seed}
	k.open(t, dir)
	for lane := range lanes {
		k.plans[lane] = k.find(t, lane, acknowledged[lane])
	}
	k.bytes(t)
	k.fsck(t)
	switch acknowledged[0] % 3 { // else what is left of a command is there when it is repeated
	case 0:
		k.another(t, dir)
		k.collected(t)
	case 1:
		k.collected(t)
	}
	for lane := range lanes {
		k.repeat(t, lane)
	}
	k.bytes(t)
	k.collected(t)
	return k
}

func (k *checker) open(t *testing.T, dir string) {
	t.Helper()
	s, err := embedded.Open(t.Context(), dir, embedded.Options{Logger: logger(t)})
	if err != nil {
		t.Fatal("opening what is left:", err)
	}
	t.Cleanup(func() { _ = s.Close() }) // if close was not reached
	if err := s.Degraded(); err != nil {
		t.Fatal("what is left cannot be written to:", err)
	}
	k.store = s
}

// another does what another command does, which ends properly, and opens the store again.
func (k *checker) another(t *testing.T, dir string) {
	t.Helper()
	l, err := k.store.Lease(t.Context(), store.Lease{})
	if err == nil {
		err = k.store.Release(t.Context(), l.ID)
	}
	if err != nil {
		t.Fatal("another command:", err)
	}
	k.close(t)
	k.open(t, dir)
}

// logger has the store speak in the log of a test, which is shown when it fails.
func logger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// at returns how many operations each lane has done.
func (k *checker) at() (n [lanes]int) {
	for lane, p := range k.plans {
		n[lane] = p.n
	}
	return n
}

func (k *checker) close(t *testing.T) {
	t.Helper()
	if err := k.store.Close(); err != nil {
		t.Error("Close:", err)
	}
}

// find finds out what a lane has done: all that was acknowledged, and maybe more.
func (k *checker) find(t *testing.T, lane, acknowledged int) *planner {
	t.Helper()
	p := newPlanner(k.c, k.seed, lane, acknowledged)
	got := k.state(t, lane)
	want := p.m.clone()
	for range ahead {
		if same(p.m, got) {
			return p
		}
		p.next()
	}
	next := newPlanner(k.c, k.seed, lane, acknowledged)
	t.Fatalf("lane %d is neither as it was acknowledged after %d operations nor as later on; the next one is %s\n- acknowledged + there:\n%s",
		lane, acknowledged, next.next().kind, cmp.Diff(want, got, comparing()...))
	return nil
}

func comparing() []cmp.Option {
	return []cmp.Option{cmp.AllowUnexported(model{}), cmpopts.EquateEmpty(), cmp.Comparer(sameLease)}
}

// sameLease compares what is held.
func sameLease(a, b lease) bool {
	return slices.Equal(slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)))
}

func same(a, b *model) bool {
	return maps.Equal(a.names, b.names) && maps.Equal(a.dangling, b.dangling) && maps.EqualFunc(a.leases, b.leases, sameLease)
}

// state asks the store for what there is of a lane.
func (k *checker) state(t *testing.T, lane int) *model {
	t.Helper()
	m := newModel()
	err := k.store.View(t.Context(), func(r store.NameReader) error {
		all, err := r.List("", 0)
		for _, rec := range all {
			is := record{rec.Target.Digest, rec.Labels[labelKey]}
			switch im, ours := k.image(lane, is.Target); {
			case !ours:
			case rec.Target.Size != im.root.Size || rec.Target.MediaType != im.root.MediaType:
				t.Errorf("%s points at %+v", rec.Key(), rec.Target)
			case rec.Dangling():
				m.dangling[is.Target] = is
			default:
				m.names[rec.Name] = is
			}
		}
		return err
	})
	if err != nil {
		t.Fatal("View:", err)
	}
	leases, err := k.store.Leases(t.Context())
	if err != nil {
		t.Fatal("Leases:", err)
	}
	for _, l := range leases {
		if !strings.HasPrefix(l.ID, fmt.Sprintf("%d-", lane)) {
			continue
		}
		held, err := k.store.Held(t.Context(), l.ID)
		if err != nil {
			t.Fatal("Held:", err)
		}
		m.leases[l.ID] = lease{}
		for _, d := range held {
			m.leases[l.ID][d] = false
		}
	}
	return m
}

// image returns a lane's image.
func (k *checker) image(lane int, root digest.Digest) (picture, bool) {
	for _, im := range k.c.images[lane] {
		if im.root.Digest == root {
			return im, true
		}
	}
	return picture{}, false
}

// bytes checks that every blob that shows is whole, and that those are there which have
// to be.
func (k *checker) bytes(t *testing.T) {
	t.Helper()
	there := map[digest.Digest]bool{}
	err := k.store.Walk(t.Context(), "", func(b store.Blob) error {
		there[b.Digest] = true
		if err := k.read(t.Context(), b); err != nil {
			t.Errorf("blob %s shows and is not right: %v", b.Digest, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal("Walk:", err)
	}
	for d, why := range k.needed(there) {
		if !there[d] {
			t.Errorf("blob %s is not there: %s", d, why)
		}
	}
}

// read reads a blob and hashes it, beside what the store does.
func (k *checker) read(ctx context.Context, b store.Blob) error {
	r, err := k.store.Open(ctx, b.Digest, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	v := b.Digest.Verifier()
	n, err := io.Copy(v, r)
	if err == nil && (n != b.Size || !v.Verified()) {
		err = fmt.Errorf("its %d bytes are not those of the digest: %w", n, errdefs.ErrDataLoss)
	}
	return err
}

// needed returns the blobs that have to be there, and why: what is recorded or held, and
// what belongs to any document that shows.
func (k *checker) needed(there map[digest.Digest]bool) map[digest.Digest]string {
	all := map[digest.Digest]string{}
	for lane, p := range k.plans {
		for _, im := range k.c.images[lane] {
			switch {
			case p.m.needed(im.root.Digest):
				im.need(all, "it belongs to "+string(im.root.Digest)+", which is kept")
			case there[im.root.Digest]:
				im.need(all, "it belongs to "+string(im.root.Digest)+", which shows")
			}
		}
		for id, l := range p.m.leases {
			for d, must := range l {
				if must {
					all[d] = "lease " + id + " holds it"
				}
			}
		}
	}
	return all
}

func (im picture) need(all map[digest.Digest]string, why string) {
	for _, n := range im.nodes {
		all[n.desc.Digest] = why
	}
}

// fsck has the store check itself.
func (k *checker) fsck(t *testing.T) {
	t.Helper()
	report, err := k.store.Check(t.Context(), embedded.CheckOptions{})
	if err != nil {
		t.Fatal("Check:", err)
	}
	for _, f := range report.Findings {
		t.Error("fsck:", f)
	}
}

// repeat repeats the command that was interrupted, or does the next one.
func (k *checker) repeat(t *testing.T, lane int) {
	t.Helper()
	p := k.plans[lane]
	o := p.next()
	if err := k.c.do(t.Context(), k.store, o); err != nil {
		t.Fatalf("lane %d: repeating operation %d: %v", lane, o.n, err)
	}
	if got := k.state(t, lane); !same(p.m, got) {
		t.Errorf("lane %d: operation %d was repeated, to %s\n- want + there:\n%s", lane, o.n, o.kind, cmp.Diff(p.m, got, comparing()...))
	}
}

// collected checks that a collection takes nothing that is needed, and that nothing is
// left then that fsck has to say anything about.
func (k *checker) collected(t *testing.T) {
	t.Helper()
	if _, err := store.Collect(t.Context(), k.store); err != nil {
		t.Fatal("Collect:", err)
	}
	k.fsck(t)
	k.bytes(t)
}
