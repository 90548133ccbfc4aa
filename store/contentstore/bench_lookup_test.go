package contentstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// BenchmarkLookup finds images of two platforms among many, by name, by digest and by
// 12 characters of it, in turns with a store of 1,000, and opens the store in a process of
// its own. containerd knows only names and targets: manifests and configs are compared
// with its targets.
func BenchmarkLookup(b *testing.B) {
	sizes := []int{1000}
	if long() {
		sizes = append(sizes, 10_000, 100_000)
	}
	if n, err := strconv.Atoi(os.Getenv("DHOW_BENCH_IMAGES")); err == nil {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) { lookup(b, n) })
	}
}

// few is how many images the store has that a larger one is compared with.
const few = 1000

func lookup(b *testing.B, n int) {
	b.Helper()
	dir := b.TempDir()
	fill(b, dir, n)
	opened, anonymous := openElsewhere(b, filepath.Join(dir, "dhow"))
	mine, other := newOurs(b, filepath.Join(dir, "dhow")), newTheirs(b, filepath.Join(dir, "containerd"))
	small := newOurs(b, filepath.Join(dir, "few"))
	for from := 0; from < few; from += group {
		small.write(b, makeImages(from, few))
	}
	for b.Loop() {
		b.ReportMetric(float64(opened)/float64(time.Millisecond), "ms-open")
		b.ReportMetric(float64(anonymous)/1e6, "MB-anonymous")
		theirs := map[string]time.Duration{}
		for what, filter := range map[string]string{"target": `target.digest==%s`, "id": `target.digest~="^sha256:%.12s"`} {
			theirs[what] = other.lookup(b, n, filter)
		}
		theirs["name"], theirs["manifest"], theirs["config"] = other.get(b, n), theirs["target"], theirs["target"]
		for what, find := range finders {
			beside(b, what, finding{mine, n, find}, finding{small, few, find}, theirs[what])
		}
	}
}

// finding is a way of finding one of n images.
type finding struct {
	in   *ours
	n    int
	find finder
}

// beside measures lookups in a store and in a small one, in turns, so that both have the same
// of what the machine does beside.
func beside(b *testing.B, what string, large, small finding, theirs time.Duration) {
	b.Helper()
	const ms = float64(time.Millisecond)
	first := median(large.times(b)) // each touches pages of the file that this process has not seen yet
	b.ReportMetric(float64(first)/ms, "ms-"+what+"-first")
	median(small.times(b))
	var all, beside []time.Duration
	var slowest time.Duration
	for range 5 {
		round := large.times(b)
		slowest = max(slowest, median(round))
		all, beside = append(all, round...), append(beside, small.times(b)...)
	}
	b.ReportMetric(float64(slowest)/ms, "ms-"+what+"-slowest")
	b.ReportMetric(float64(median(beside))/ms, "ms-"+what+"-few")
	b.ReportMetric(float64(median(all))/float64(median(beside)), "ratio-"+what+"-few")
	compare(b, what, median(all), theirs)
}

// fill makes both stores.
func fill(b *testing.B, dir string, n int) {
	b.Helper()
	mine, other := newOurs(b, filepath.Join(dir, "dhow")), newTheirs(b, filepath.Join(dir, "containerd"))
	for from := 0; from < n; from += group {
		named, targets := makeImages(from, n), map[string]ocispec.Descriptor{}
		for name, all := range named {
			targets[name] = all[4].desc
		}
		mine.write(b, named)
		other.name(b, targets)
	}
	_, err := store.Collect(context.Background(), mine)
	must(b, err)
	must(b, mine.Close())
	must(b, other.bolt.Close())
}

// group is how many images are written together.
const group = 500

// makeImages makes a group of n images, by their names.
func makeImages(from, n int) map[string][]blob {
	named := map[string][]blob{}
	for i := from; i < min(from+group, n); i++ {
		named[nameOf(i)] = makeIndex(nameOf(i))
	}
	return named
}

// finder finds an image by its name, or something of its blobs.
type finder func(r store.NameReader, name string, all []blob) ([]store.Record, error)

// finders are the ways in which an image is found.
var finders = map[string]finder{
	"name": func(r store.NameReader, name string, _ []blob) ([]store.Record, error) {
		rec, err := r.Get(name)
		return []store.Record{rec}, err
	},
	"target": func(r store.NameReader, _ string, all []blob) ([]store.Record, error) {
		return r.Target(all[4].desc.Digest)
	},
	"manifest": func(r store.NameReader, _ string, all []blob) ([]store.Record, error) {
		return r.Containing(all[1].desc.Digest)
	},
	"config": func(r store.NameReader, _ string, all []blob) ([]store.Record, error) {
		return r.Containing(all[2].desc.Digest)
	},
	"id": func(r store.NameReader, _ string, all []blob) ([]store.Record, error) {
		found, err := r.Prefix(all[4].desc.Digest.Encoded()[:12], 2)
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("%d digests: %w", len(found), err)
		}
		return r.Target(found[0])
	},
}

// times returns how long it took to find images, each in a View of its own.
func (f finding) times(b *testing.B) []time.Duration {
	b.Helper()
	const tries = 5000
	times := make([]time.Duration, 0, tries)
	for i := range tries {
		name := nameOf(i * 7919 % f.n)
		all := makeIndex(name)
		times = append(times, took(func() {
			must(b, f.in.View(context.Background(), func(r store.NameReader) error {
				found, err := f.find(r, name, all)
				if err == nil && (len(found) != 1 || found[0].Name != name) {
					err = fmt.Errorf("found %v", found)
				}
				return err
			}))
		}))
	}
	return times
}

// get returns the median time of finding one by name.
func (s *theirs) get(b *testing.B, n int) time.Duration {
	b.Helper()
	var times []time.Duration
	for i := range 1000 {
		times = append(times, took(func() {
			_, err := s.images.Get(s.ctx, nameOf(i*7919%n))
			must(b, err)
		}))
	}
	return median(times)
}

// lookup does so by a filter.
func (s *theirs) lookup(b *testing.B, n int, filter string) time.Duration {
	b.Helper()
	var times []time.Duration
	for i := range 5 {
		d := makeIndex(nameOf(i * 7919 % n))[4].desc.Digest
		id := d.String()
		if strings.Contains(filter, "~=") {
			id = d.Encoded()
		}
		times = append(times, took(func() {
			found, err := s.images.List(s.ctx, fmt.Sprintf(filter, id))
			must(b, err)
			if len(found) != 1 {
				b.Fatalf("%d images found", len(found))
			}
		}))
	}
	return median(times)
}

// openedVariable is set, to a directory, in a process that opens a store and looks a
// name up.
const openedVariable = "DHOW_TEST_OPENED"

// seen is what that process tells.
type seen struct {
	Opened    time.Duration
	Anonymous int64
}

func openElsewhere(b *testing.B, dir string) (time.Duration, int64) {
	b.Helper()
	cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestOpened$", "-test.v")
	cmd.Env = append(os.Environ(), openedVariable+"="+dir)
	out, err := cmd.CombinedOutput()
	_, text, found := strings.Cut(string(out), "seen: ")
	var s seen
	line, _, _ := strings.Cut(text, "\n")
	if err == nil && found {
		err = json.Unmarshal([]byte(line), &s)
	}
	if err != nil || !found {
		b.Fatalf("opening the store in another process: %v\n%s", err, out)
	}
	return s.Opened, s.Anonymous
}

// TestOpened is what another process does.
func TestOpened(t *testing.T) {
	dir := os.Getenv(openedVariable)
	if dir == "" {
		t.Skip("for another process")
	}
	var s store.Store
	opened := took(func() {
		var err error
		if s, err = embedded.Open(t.Context(), dir, embedded.Options{}); err != nil {
			t.Fatal(err)
		}
	})
	for i := range 1000 {
		err := s.View(t.Context(), func(r store.NameReader) error { _, err := r.Get(nameOf(i)); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, text, _ := strings.Cut(string(status), "RssAnon:")
	var kb int64
	if _, err := fmt.Sscanf(text, "%d kB", &kb); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(seen{opened, kb * 1024})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seen: %s", data)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
