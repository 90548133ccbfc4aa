package blackbox_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/internal/testregistry/fault"
	"github.com/dhowhq/dhow/internal/testregistry/process"
)

// faulty is a source and a destination, which are processes, and an image at the
// source.
type faulty struct {
	source, destination *process.Registry
	root                ocispec.Descriptor
	large               map[digest.Digest]int64 // layers that cuts are noticed in, with their sizes
	bytes               int64                   // of all blobs
	copies              atomic.Int64
}

// sourceName is what the image is called at the source.
const sourceName = "team/app:1"

// newFaulty starts both and puts an image there: with large layers of that size for
// one platform, one of less than half for another, and small ones for more, so that
// faults that come by number meet everything.
func newFaulty(t *testing.T, layers, size int) *faulty {
	t.Helper()
	f := &faulty{source: process.Start(t, process.Plain), destination: process.Start(t, process.Plain), large: map[digest.Digest]int64{}}
	var s testimage.Store
	f.root = s.Index(
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Layers: layers, LayerSize: size}),
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}, LayerSize: size * 2 / 5}),
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "s390x"}, Layers: 3}),
		s.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "riscv64"}, Layers: 3}),
	)
	for _, d := range s.Digests() {
		n := int64(len(s.Get(d)))
		f.bytes += n
		if n >= int64(size)/3 {
			f.large[d] = n
		}
	}
	dir := t.TempDir()
	if err := s.WriteLayout(dir, testimage.Named{Name: "x", Desc: f.root}); err != nil {
		t.Fatal(err)
	}
	must(t, "copy", "-q", "--dest-tls-verify=false", "oci:"+dir+":x", "docker://"+f.source.Host+"/"+sourceName)
	return f
}

// isLarge reports whether a blob is one of the large ones.
func (f *faulty) isLarge(d digest.Digest) bool { return f.large[d] > 0 }

// repository returns the name of another repository for a copy.
func (f *faulty) repository() string { return fmt.Sprintf("copy%d", f.copies.Add(1)) }

// copyTo returns the arguments of a copy into a repository, from and to the hosts that
// are given.
func copyTo(source, destination, repository string) []string {
	return []string{
		"copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false",
		"docker://" + source + "/" + sourceName, "docker://" + destination + "/" + repository + ":1",
	}
}

// check demands that a repository of the destination has the image.
func (f *faulty) check(t *testing.T, repository string) {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "layout")
	must(t, "copy", "-q", "--src-tls-verify=false", "docker://"+f.destination.Host+"/"+repository+":1", "oci:"+layout+":x")
	if got := verify(t, layout, "x"); got.Digest != f.root.Digest {
		t.Errorf("the root is %s, want %s", got.Digest, f.root.Digest)
	}
	if err := os.RemoveAll(layout); err != nil {
		t.Error(err)
	}
}

// side says where the faults are.
type side int

const (
	atSource side = iota
	atDestination
)

// proxied starts a proxy at a side, and returns the hosts to be named.
func (f *faulty) proxied(t *testing.T, where side, what fault.Fault) (p *fault.Proxy, source, destination string) {
	t.Helper()
	source, destination = f.source.Host, f.destination.Host
	faulted := &source
	if where == atDestination {
		faulted = &destination
	}
	p = fault.New(fault.To(*faulted), what)
	*faulted = p.Start(t)
	return p, source, destination
}

// TestFaults copies between registries while one side fails in a way that passes. All
// copies have to end complete.
func TestFaults(t *testing.T) {
	t.Parallel()
	const mega = 1e6 // as those who measured peers counted
	runs, layers, size, every := 1, 1, 8<<20, int64(2*mega)
	resent := 1.5 // what was on its way through the proxy when it was cut is sent again
	if os.Getenv("DHOW_TEST_LONG") != "" {
		runs, layers, size, every, resent = 5, 3, 64<<20, 20*mega, 1.1
	}
	f := newFaulty(t, layers, size)
	for _, row := range []struct {
		name  string
		where side
		fault fault.Fault
		moved float64 // how often, at most, each byte moves; 0 is not said
	}{
		{"source cuts every blob", atSource, fault.Fault{CutAnswer: every}, 1.1},
		{"source cuts every connection", atSource, fault.Fault{CutConnection: every}, 1.1},
		{"source answers 503 to every fifth request", atSource, fault.Fault{Every: 5, Status: http.StatusServiceUnavailable}, 0},
		{"source answers 429 to every fifth request, Retry-After: 1", atSource, fault.Fault{Every: 5, Status: http.StatusTooManyRequests, RetryAfter: "1"}, 0},
		{"destination cuts every connection", atDestination, fault.Fault{CutContent: every}, resent},
		{"destination answers 503 to every seventh request", atDestination, fault.Fault{Every: 7, Status: http.StatusServiceUnavailable}, 0},
		{"destination answers 429 to every seventh request, Retry-After: 1", atDestination, fault.Fault{Every: 7, Status: http.StatusTooManyRequests, RetryAfter: "1"}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			if runs == 1 {
				t.Parallel() // more are timed
			}
			complete, took := 0, []time.Duration(nil)
			var total fault.Counts
			for try := range runs {
				p, source, destination := f.proxied(t, row.where, row.fault)
				repository := f.repository()
				began := time.Now()
				_, code := run(t, copyTo(source, destination, repository)...)
				took = append(took, time.Since(began))
				counts := p.Counts()
				total.Requests, total.Faults = total.Requests+counts.Requests, total.Faults+counts.Faults
				moved := float64(counts.Received()+counts.Sent()) / float64(f.bytes)
				if code == 0 {
					complete++
				}
				switch {
				case row.moved > 0 && moved > row.moved:
					t.Errorf("run %d: bytes moved %.2f times", try, moved)
				case counts.Faults == 0:
					t.Errorf("run %d: nothing went wrong: %d requests", try, counts.Requests)
				case code == 0 && try == 0:
					f.check(t, repository)
				}
				t.Logf("run %d: %.2f s, %d faults in %d requests, bytes moved %.2f times", try, took[try].Seconds(), counts.Faults, counts.Requests, moved)
			}
			slices.Sort(took)
			t.Logf("| %s | %d of %d complete | median %.2f s | %d faults in %d requests |", row.name, complete, runs, took[runs/2].Seconds(), total.Faults, total.Requests)
			if complete < runs {
				t.Errorf("only %d of %d runs ended complete", complete, runs)
			}
		})
	}
}
