package service_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// resolver is what the races ask.
type resolver interface {
	Resolve(ctx context.Context, reference string) (service.Resolution, error)
	ResolveAll(ctx context.Context, reference string) (service.All, error)
	Repository(ctx context.Context, name string) ([]store.Record, error)
}

// races are repositories in each of which one writer moves names, and readers who look at
// them. The tags a and b of a repository move together, each time with a label that
// counts; c is tagged after a and removed again. So of any moment these hold, and an
// answer that is put together of two moments breaks one of them sooner or later:
//
//   - a and b are there, with one target and one count, which for one reader never falls;
//   - the records of a target are all of it, and of one repository;
//   - what is found by a digest has it.
type races struct {
	*fixture
	seed   uint64
	groups []*raceGroup
}

// raceGroup is a repository and the images that its names point at.
type raceGroup struct {
	name    string
	roots   []ocispec.Descriptor
	nodes   [][]*image.Node
	configs map[digest.Digest]digest.Digest // of the roots
}

const raceWriters = 16

func newRaces(t *testing.T) *races {
	t.Helper()
	r := &races{fixture: newFixture(t, service.Options{}), seed: rand.Uint64()}
	t.Logf("seed %d", r.seed)
	for i := range raceWriters {
		g := &raceGroup{name: fmt.Sprintf("docker.io/library/race%d", i), configs: map[digest.Digest]digest.Digest{}}
		for k := range 4 {
			m := r.image(t, "linux/amd64", fmt.Sprintf("%d-%d", i, k))
			root := r.src.Index(m)
			g.roots = append(g.roots, root)
			g.nodes = append(g.nodes, nodesOf(t, r.src, root, nil))
			g.configs[root.Digest] = r.config(t, m)
		}
		r.groups = append(r.groups, g)
		if err := r.move(t.Context(), g, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// move writes an image and points a and b at it.
func (r *races) move(ctx context.Context, g *raceGroup, k, count int) error {
	var moves []store.Move
	for _, tag := range []string{":a", ":b"} {
		moves = append(moves, store.Move{Name: g.name + tag, To: targetOf(g.roots[k]), Labels: map[string]string{"count": strconv.Itoa(count)}})
	}
	return ingest(ctx, r.store, r.src, moves, g.nodes[k]...)
}

// write is what the writer of a repository does until ctx ends.
func (r *races) write(ctx context.Context, i int) error {
	g, random := r.groups[i], rand.New(rand.NewPCG(r.seed, uint64(i)))
	for count := 1; ctx.Err() == nil; count++ {
		var err error
		switch random.IntN(4) {
		case 0:
			_, err = r.Tag(ctx, g.name+":a", g.name+":c")
		case 1:
			if _, err = r.Remove(ctx, g.name+":c", service.RemoveOptions{}); errdefs.IsNotFound(err) {
				err = nil
			}
		default:
			err = r.move(ctx, g, random.IntN(len(g.roots)), count)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("writer of %s: %w", g.name, err)
		}
	}
	return nil
}

// read asks until ctx ends, and returns the first answer that is wrong.
func (r *races) read(ctx context.Context, ask resolver, i int, answers *atomic.Int64) error {
	random := rand.New(rand.NewPCG(r.seed, 1000+uint64(i)))
	counts := map[string]int{}
	for ctx.Err() == nil {
		g := r.groups[random.IntN(len(r.groups))]
		root := g.roots[random.IntN(len(g.roots))].Digest
		questions := []func() error{
			func() error { return g.byName(ctx, ask, counts) },
			func() error { return g.byDigest(ctx, ask, root.String(), root, service.ByTarget) },
			func() error { return g.byDigest(ctx, ask, root.Encoded()[:16], root, service.ByTarget) },
			func() error { return g.byDigest(ctx, ask, g.configs[root].String(), root, service.ByConfig) },
			func() error { return g.all(ctx, ask, g.name+":b") },
			func() error { return g.all(ctx, ask, root.String()) },
			func() error { return g.repository(ctx, ask) },
		}
		if err := questions[random.IntN(len(questions))](); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		answers.Add(1)
	}
	return nil
}

func (g *raceGroup) byName(ctx context.Context, ask resolver, counts map[string]int) error {
	r, err := ask.Resolve(ctx, g.name+":a")
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(r.Record.Labels["count"])
	if err != nil || count < counts[g.name] || g.configs[r.Record.Target.Digest] == "" || r.Matched != service.ByName {
		return fmt.Errorf("by name: %+v after count %d", r, counts[g.name])
	}
	counts[g.name] = count
	return nil
}

func (g *raceGroup) byDigest(ctx context.Context, ask resolver, reference string, root digest.Digest, matched service.Matched) error {
	r, err := ask.Resolve(ctx, reference)
	if errdefs.IsNotFound(err) && strings.Contains(err.Error(), "No such image") {
		return nil
	}
	want := root
	if matched == service.ByConfig {
		want = g.configs[root]
	}
	if err != nil || r.Record.Target.Digest != root || r.Digest != want || r.Matched != matched || len(r.Warnings) > 0 {
		return fmt.Errorf("by %s: %+v, %w", reference, r, err)
	}
	return nil
}

func (g *raceGroup) all(ctx context.Context, ask resolver, reference string) error {
	all, err := ask.ResolveAll(ctx, reference)
	if errdefs.IsNotFound(err) && !strings.HasPrefix(reference, g.name) {
		return nil
	}
	if err != nil {
		return err
	}
	found := false
	for _, rec := range all.Records {
		if rec.Target.Digest != all.Record.Target.Digest || !rec.Dangling() && !strings.HasPrefix(rec.Name, g.name+":") {
			return fmt.Errorf("all of %s: record %+v of %+v", reference, rec, all)
		}
		found = found || rec.Key() == all.Record.Key() && rec.Labels["count"] == all.Record.Labels["count"]
	}
	if !found {
		return fmt.Errorf("all of %s: %s is not among %s", reference, all.Record.Key(), keys(all.Records))
	}
	return g.together(all.Records)
}

func (g *raceGroup) repository(ctx context.Context, ask resolver) error {
	records, err := ask.Repository(ctx, g.name)
	if err != nil {
		return err
	}
	if len(records) < 2 {
		return fmt.Errorf("the repository has only %s", keys(records))
	}
	return g.together(records)
}

// together checks that a and b are both there, with one target and count, or both not.
func (g *raceGroup) together(records []store.Record) error {
	state := map[string]string{}
	for _, rec := range records {
		state[rec.Name] = string(rec.Target.Digest) + " " + rec.Labels["count"]
	}
	if a, b := state[g.name+":a"], state[g.name+":b"]; a != b {
		return fmt.Errorf("a points at %q and b at %q", a, b)
	}
	return nil
}

// run has all writers write and readers read for some time, or until an answer is wrong,
// and returns why that is.
func (r *races) run(t *testing.T, ask resolver, long time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var all sync.WaitGroup
	var answers atomic.Int64
	const readers = 4
	wrong := make(chan error, raceWriters+readers)
	start := func(f func() error) {
		all.Go(func() {
			if err := f(); err != nil {
				wrong <- err
				cancel()
			}
		})
	}
	for i := range raceWriters {
		start(func() error { return r.write(ctx, i) })
	}
	for i := range readers {
		start(func() error { return r.read(ctx, ask, i, &answers) })
	}
	all.Wait()
	close(wrong)
	t.Logf("%d answers", answers.Load())
	var found []error
	for err := range wrong {
		found = append(found, err)
	}
	return errors.Join(found...)
}

// TestRaces checks that no answer is ever inconsistent while names move.
func TestRaces(t *testing.T) {
	long := 3 * time.Second
	if os.Getenv("DHOW_TEST_LONG") != "" {
		long = time.Minute
	}
	r := newRaces(t)
	if err := r.run(t, r.Service, long); err != nil {
		t.Error(err)
	}
}

// twoViews answers from two moments what is to be answered from one.
type twoViews struct{ *service.Service }

func (s twoViews) ResolveAll(ctx context.Context, reference string) (service.All, error) {
	first, err := s.Service.ResolveAll(ctx, reference)
	if err != nil {
		return first, err
	}
	second, err := s.Service.ResolveAll(ctx, reference)
	first.Records = second.Records
	return first, err
}

// TestRacesFindFaults shows that the races find a service that does not answer from one
// view.
func TestRacesFindFaults(t *testing.T) {
	r := newRaces(t)
	err := r.run(t, twoViews{r.Service}, time.Minute)
	if err == nil {
		t.Fatal("answers of two moments are not found out")
	}
	t.Log(err)
}
