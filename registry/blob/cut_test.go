package blob

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
	"github.com/dhowhq/dhow/internal/testregistry/process"
	"github.com/dhowhq/dhow/transport"
)

const cutSize, cutEvery = 4 << 20, 64 << 10

// wantMoved demands that hardly more bytes moved than a blob has.
func wantMoved(t *testing.T, what string, moved int64, desc ocispec.Descriptor) {
	t.Helper()
	if moved > desc.Size*11/10 {
		t.Errorf("%s: %d bytes moved, want at most 1.1 times %d", what, moved, desc.Size)
	}
}

func TestDownloadCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, name string, s *host) {
		t.Helper()
		data, desc := random(7, cutSize)
		if _, err := s.repo(t, "team/app", Options{}).Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
			t.Fatal(err)
		}
		for what, opts := range map[string]Options{
			"one stream": {},
			"ranges":     {RangesAbove: 1 << 20, RangeSize: 1 << 20, Ranges: 3},
		} {
			if what == "ranges" && name != "olareg" {
				continue // one is enough: what differs is how a range is answered
			}
			p := fault.New(s.Config.Handler, fault.Fault{CutAnswer: cutEvery})
			r := serve(t, p).repo(t, "team/app", opts)
			got, err := pull(t.Context(), r, desc, 0)
			counts := p.Counts()
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s: pulled %d bytes after %d cuts, %v", what, len(got), counts.Faults, err)
			}
			wantMoved(t, what, counts.Received(), desc)
			if name != "olareg" {
				continue
			}
			file := &memory{}
			if err := r.FetchTo(t.Context(), desc, file, 0); err != nil || !bytes.Equal(file.data, data) {
				t.Errorf("%s, into a file: %d bytes, %v", what, len(file.data), err)
			}
			wantMoved(t, what+", into a file", p.Counts().Received(), desc)
		}
	})
}

func TestUploadCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, name string, s *host) {
		t.Helper()
		data, desc := random(8, cutSize)
		p := fault.New(s.Config.Handler, fault.Fault{CutContent: cutEvery})
		src := &opened{data: data}
		out, err := serve(t, p).repo(t, "team/app", Options{}).Push(t.Context(), desc, src.open, PushOptions{})
		if name == "ggcr" { // it has no way to ask how far an upload has got
			if err == nil || !strings.Contains(err.Error(), "5 tries in a row") {
				t.Errorf("a registry that cannot be resumed: %v", err)
			}
			return
		}
		counts := p.Counts()
		if err != nil || out.Action != transport.Copied {
			t.Fatalf("%+v after %d cuts, %v", out, counts.Faults, err)
		}
		wantMoved(t, "upload", counts.Sent(), desc)
		s.wantBlob(t, "team/app", desc)
		t.Logf("%d cuts; the source was read %d times, %.2f of its bytes", counts.Faults, src.opens.Load(), float64(src.bytes.Load())/cutSize)
	})
}

// TestProcessCut has every connection between us and the real registry cut, in both
// directions: here each has more of a request on its way when it ends than a handler in
// process ever sees.
func TestProcessCut(t *testing.T) {
	t.Parallel()
	size := cutSize / 4
	if os.Getenv("DHOW_TEST_LONG") != "" {
		size = 64 << 20
	}
	behind := fault.To(process.Start(t, process.Plain).Host)
	s := serve(t, behind)
	data, desc := random(9, size)
	report := func(what string, began time.Time, moved int64, faults int) {
		t.Logf("%s of %d MiB: %d cuts, %.3f of its bytes moved, %.1f s", what, size>>20, faults, float64(moved)/float64(size), time.Since(began).Seconds())
		wantMoved(t, what, moved, desc)
	}

	began, p := time.Now(), fault.New(behind, fault.Fault{CutContent: cutEvery})
	if _, err := serve(t, p).wired(t, "team/app", Options{}).Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
		t.Fatalf("pushed, after %d cuts: %v", p.Counts().Faults, err)
	}
	counts := p.Counts()
	report("upload", began, counts.Sent(), counts.Faults)
	s.wantBlob(t, "team/app", desc)

	for what, opts := range map[string]Options{
		"download, one stream": {Ranges: 1},
		"download by ranges":   {RangesAbove: 1 << 18},
	} {
		began, p := time.Now(), fault.New(behind, fault.Fault{CutAnswer: cutEvery})
		got, err := pull(t.Context(), serve(t, p).wired(t, "team/app", opts), desc, 0)
		counts := p.Counts()
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%s: %d bytes after %d cuts, %v", what, len(got), counts.Faults, err)
		}
		report(what, began, counts.Received(), counts.Faults)
	}
}
