package embedded_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// mutants returns the files of a store that rot, by what they are.
func mutants(t *testing.T, dir string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for kind, pattern := range map[string]string{"blob": "blobs/*/*/*", "database": "catalog.db", "journal": "journal/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatal(found, err)
		}
		for _, path := range found {
			name, err := filepath.Rel(dir, path)
			if err != nil {
				t.Fatal(err)
			}
			all[kind] = append(all[kind], name)
		}
	}
	return all
}

// worn makes a store that has all that a store may have, its journal a snapshot too.
func worn(t *testing.T) (dir string, src *source, want map[string]string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	s := openStore(t, dir, embedded.Options{})
	src = sample(t, s)
	closeStore(t, s)
	if err := truncate("journal/0000000000000001.log", 10_000)(dir); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, embedded.Options{})
	check(t, s, embedded.CheckOptions{Repair: true})
	src.write(t, s, map[string]ocispec.Descriptor{"quay.io/x/later:1": src.Image(testimage.Image{Name: "later"})})
	b, lease := newBatch(t, s)
	w, err := b.Writer(t.Context(), "partial")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []interface{ Close() error }{w, b} {
		closeStore(t, c)
	}
	if err := s.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	want = everything(t, s, src)
	closeStore(t, s)
	return dir, src, want
}

// everything is answers, and what was not written to its end.
func everything(t *testing.T, s *embedded.Store, src *source) map[string]string {
	t.Helper()
	all := answers(t, s, src)
	partial, err := s.Partial(t.Context())
	for i := range partial {
		partial[i].Started, partial[i].Updated = time.Time{}, time.Time{} // of the file
	}
	all["partial"] = text(partial, err)
	return all
}

// TestMutations changes files of a store, as a disk does that rots. What changes an answer
// is found, no wrong bytes are read, and a repair, or writing the same again, makes
// everything as it was.
func TestMutations(t *testing.T) {
	t.Parallel()
	rounds := 24
	if long() {
		rounds = 500
	}
	seed := uint64(time.Now().UnixNano())
	dir, src, want := worn(t)
	files, live := mutants(t, dir), livePages(t, dir)
	var all tally
	t.Run("rounds", func(t *testing.T) {
		for n := range rounds {
			t.Run(fmt.Sprintf("seed %d, %d", seed, n), func(t *testing.T) {
				t.Parallel()
				m := mutation{r: rand.New(rand.NewPCG(seed, uint64(n))), dir: copyOf(t, dir), src: src.copy(), want: want, live: live}
				m.file = slices.Sorted(maps.Keys(files))[n%len(files)]
				kinds := slices.Sorted(maps.Keys(mutators))
				m.kind = kinds[n/len(files)%len(kinds)]
				m.mutate(t, files[m.file])
				all.add(m.try(t))
			})
		}
	})
	all.print(t)
}

// mutation is one of a store.
type mutation struct {
	r          *rand.Rand
	dir        string
	src        *source
	want       map[string]string
	file, kind string
	path       string
	live       []int // pages of the database
}

// mutate changes one of some files.
func (m *mutation) mutate(t *testing.T, files []string) {
	t.Helper()
	m.path = files[m.r.IntN(len(files))]
	path := filepath.Join(m.dir, m.path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var other []byte
	if second := files[m.r.IntN(len(files))]; second != m.path && m.kind == "swapped" {
		other, err = os.ReadFile(filepath.Join(m.dir, second))
		if err == nil {
			err = os.WriteFile(filepath.Join(m.dir, second), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if data = mutators[m.kind](m.r, data, m.picker(data), other); data == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// try opens the store, sometimes for reading only before that, asks it, checks it and
// repairs it, and returns what came of it.
func (m *mutation) try(t *testing.T) result {
	t.Helper()
	what := fmt.Sprintf("%s of %s", m.kind, m.path)
	if m.r.IntN(4) == 0 {
		s := openStore(t, m.dir, embedded.Options{ReadOnly: true})
		m.wantFound(t, what+", for reading only", everything(t, s, m.src), check(t, s, embedded.CheckOptions{}))
		closeStore(t, s)
	}
	s := openStore(t, m.dir, embedded.Options{})
	defer closeStore(t, s)
	r := result{file: m.file, kind: m.kind}
	got, report := everything(t, s, m.src), check(t, s, embedded.CheckOptions{})
	r.changed, r.found = m.wantFound(t, what, got, report), len(report.Findings) > 0
	check(t, s, embedded.CheckOptions{Repair: true})
	r.repaired = maps.Equal(m.want, everything(t, s, m.src))
	if !r.repaired && !slices.ContainsFunc(report.Findings, func(f embedded.Finding) bool { return f.Remedy == embedded.ByWriting }) {
		t.Errorf("%s: findings %v; want one that says that a repair does not heal it", what, report.Findings)
	}
	rewrite(t, s, m.src, m.want)
	wantAnswers(t, what+", repaired and written again", m.want, everything(t, s, m.src))
	wantSound(t, s)
	return r
}

// wantFound checks that there are findings if an answer has changed.
func (m *mutation) wantFound(t *testing.T, what string, got map[string]string, report embedded.Report) (changed bool) {
	t.Helper()
	changed = !maps.Equal(m.want, got)
	if changed && len(report.Findings) == 0 {
		t.Errorf("%s has changed answers, and nothing was found:\n%.2000s", what, cmp.Diff(m.want, got))
	}
	return changed
}

// result is what came of one mutation.
type result struct {
	file, kind               string
	changed, found, repaired bool
}

// tally counts results.
type tally struct {
	mu  sync.Mutex
	all []result
}

func (c *tally) add(r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, r)
}

// print writes the table that is in docs/reliability.md.
func (c *tally) print(t *testing.T) {
	t.Helper()
	rows := map[string]*[5]int{}
	for _, r := range c.all {
		for _, name := range []string{r.file + " | " + r.kind, "~all | "} {
			if rows[name] == nil {
				rows[name] = &[5]int{}
			}
			for i, counts := range []bool{true, r.changed, r.found, r.repaired, !r.repaired} {
				if counts {
					rows[name][i]++
				}
			}
		}
	}
	var out strings.Builder
	out.WriteString("\n| file | mutation | tried | changed an answer | found | healed by repair | healed by writing again |\n|---|---|--:|--:|--:|--:|--:|\n")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&out, "| %s |", strings.TrimPrefix(name, "~"))
		for _, n := range rows[name] {
			fmt.Fprintf(&out, " %d |", n)
		}
		out.WriteString("\n")
	}
	t.Log(out.String())
	if sum := rows["~all | "]; sum[1] == 0 || sum[3] == 0 || sum[4] == 0 {
		t.Error("no mutation has changed an answer, or was healed in one of the ways")
	}
}

// rewrite writes again what a store had.
func rewrite(t *testing.T, s *embedded.Store, src *source, want map[string]string) {
	t.Helper()
	b, lease := newBatch(t, s)
	for _, n := range slices.Clone(src.nodes) {
		if want["bytes of "+n.Desc.Digest.String()] == "ok" {
			src.put(t, b, n.Desc, n.Role)
		}
	}
	if _, err := b.Publish(t.Context()); err != nil {
		t.Error("Publish:", err)
	}
	closeStore(t, b)
	if err := s.Release(t.Context(), lease); err != nil {
		t.Error("Release:", err)
	}
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Error("Collect:", err)
	}
}
