package contentstore_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"

	"github.com/dhowhq/dhow/store"
)

// BenchmarkCollect collects with nothing to collect, and after half of the images have
// lost their names, while somebody writes a small blob every few milliseconds.
func BenchmarkCollect(b *testing.B) {
	ctx := context.Background()
	n := size()
	for b.Loop() {
		mine, other := newOurs(b, filepath.Join(b.TempDir(), "dhow")), newTheirs(b, filepath.Join(b.TempDir(), "containerd"))
		for i := range n {
			all := makeManifest(nameOf(i), "amd64", 5)
			mine.write(b, map[string][]blob{nameOf(i): all})
			other.write(b, nameOf(i), all)
		}
		collectOurs := func() (c store.Collected) {
			c, err := store.Collect(ctx, mine)
			must(b, err)
			return c
		}
		collectTheirs := func() {
			_, err := other.db.GarbageCollect(other.ctx)
			must(b, err)
		}
		collectOurs()
		collectTheirs()
		compare(b, "nothing", took(func() { collectOurs() }), took(collectTheirs))
		for i := range n / 2 {
			_, err := mine.Move(ctx, store.Move{Name: nameOf(2 * i), Forget: true})
			must(b, err)
			must(b, other.images.Delete(other.ctx, nameOf(2*i)))
		}
		var c store.Collected
		var one, two time.Duration
		delayed := whileWriting(b, mine.writeOne, func() { one = took(func() { c = collectOurs() }) })
		delayedTheirs := whileWriting(b, other.writeOne, func() { two = took(collectTheirs) })
		if want := n / 2 * 7; c.Blobs != want {
			b.Errorf("%d blobs have gone, want %d", c.Blobs, want)
		}
		compare(b, "half", one, two)
		compare(b, "delay", delayed, delayedTheirs)
		b.ReportMetric(float64(c.Longest)/float64(time.Millisecond), "ms-locked")
	}
}

// writeOne writes a new small blob.
func (s *ours) writeOne(b *testing.B, i int) {
	b.Helper()
	name := fmt.Sprintf("docker.io/library/during-%d:latest", i)
	s.write(b, map[string][]blob{name: makeManifest(name, "amd64", 0)})
}

func (s *theirs) writeOne(b *testing.B, i int) {
	b.Helper()
	all := makeManifest(fmt.Sprintf("docker.io/library/during-%d:latest", i), "amd64", 0)
	must(b, content.WriteBlob(s.ctx, s.db.ContentStore(), fmt.Sprint("during", i), bytes.NewReader(all[0].data), all[0].desc))
}

// whileWriting does something while another one writes, and returns how much longer
// the slowest write took than the median before.
func whileWriting(b *testing.B, write func(b *testing.B, i int), do func()) time.Duration {
	b.Helper()
	var before []time.Duration
	for i := range 20 {
		before = append(before, took(func() { write(b, i) }))
	}
	stop, slowest := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var longest time.Duration
		for i := 20; ; i++ {
			longest = max(longest, took(func() { write(b, i) }))
			select {
			case <-stop:
				slowest <- longest
				return
			case <-time.After(3 * time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	return max(<-slowest-median(before), 0)
}
