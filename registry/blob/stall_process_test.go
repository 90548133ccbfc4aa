package blob

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
	"github.com/dhowhq/dhow/internal/testregistry/process"
	"github.com/dhowhq/dhow/registry/wire"
)

// TestProcessStalled reads from the real registry over a line that dies without a word.
// What comes too slowly for the window is given up and gone on with elsewhere, but not
// for ever: a byte now and then is no progress.
func TestProcessStalled(t *testing.T) {
	t.Parallel()
	const window = 200 * time.Millisecond
	behind := fault.To(process.Start(t, process.Plain).Host)
	data, desc := random(10, 1<<20)
	if _, err := serve(t, behind).repo(t, "team/app", Options{}).Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		fault fault.Fault
		fails bool
	}{
		"once":                         {fault.Fault{StallAnswer: 1000, Stalls: 1}, false},
		"often, with progress between": {fault.Fault{StallAnswer: 1 << 17}, false},
		"for good":                     {fault.Fault{StallAnswer: 1}, true},
	} {
		for way, opts := range map[string]Options{"one stream": {Ranges: 1}, "ranges": {RangesAbove: 1000, RangeSize: 1 << 19, Ranges: 2}} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				r := serve(t, fault.New(behind, row.fault)).wiredBy(t, wire.Options{MinRate: wire.Rate{Window: window}}, "team/app", opts)
				began := time.Now()
				got, err := pull(ctx, r, desc, 0)
				took := time.Since(began)
				switch {
				case row.fails && (!errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "stalled")):
					t.Errorf("%v after %v", err, took)
				case !row.fails && (err != nil || !bytes.Equal(got, data)):
					t.Errorf("%d bytes, %v after %v", len(got), err, took)
				case took < window:
					t.Errorf("it took %v, less than the window", took)
				}
				t.Logf("%v (%.1f windows): %v", took, took.Seconds()/window.Seconds(), err)
			})
		}
	}
}
