package blob

import (
	"io"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/verify"
)

// TestRangesOrOneStream decides by how fast the beginning of a blob came, and by what
// else is being read.
func TestRangesOrOneStream(t *testing.T) {
	t.Parallel()
	const mega = 1_000_000
	for name, tt := range map[string]struct {
		opts   Options
		moved  int64
		waited time.Duration
		large  int32 // blobs that are read, this one included
		want   int
	}{
		"a fast stream":                   {moved: 4 * mega, waited: 40 * time.Millisecond, large: 1, want: 1},
		"a slower one":                    {moved: 4 * mega, waited: 41 * time.Millisecond, large: 1, want: 8},
		"slow, beside another one":        {moved: 4 * mega, waited: time.Second, large: 2, want: 4},
		"fast enough together":            {moved: 4 * mega, waited: 80 * time.Millisecond, large: 2, want: 1},
		"slow, beside two":                {moved: 4 * mega, waited: time.Second, large: 3, want: 2},
		"slow, beside seven":              {moved: 4 * mega, waited: time.Second, large: 8, want: 1},
		"slow, beside many":               {moved: 4 * mega, waited: time.Minute, large: 100, want: 0},
		"no stream is fast enough":        {opts: Options{FastEnough: -1}, moved: 4 * mega, waited: 1, large: 1, want: 8},
		"a reader that is slower than it": {moved: 4 * mega, waited: 0, large: 1, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Repository{opts: tt.opts.filled()}
			r.large.Store(tt.large)
			if got := (&source{repo: r}).ranges(tt.moved, tt.waited); got != tt.want {
				t.Errorf("%d ranges, want %d", got, tt.want)
			}
		})
	}
}

// TestFastStreamIsLeftAlone costs one request for the beginning and one for the rest,
// and does not count as being read any more when it is closed.
func TestFastStreamIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := pattern{4 << 20}
	desc := p.describe(t)
	s := serveBlob(t, p, p.size)
	r := s.repo(t, "team/app", Options{RangeSize: 512 << 10, RangesAbove: 1 << 20, FastEnough: 1})
	for _, get := range []func() error{
		func() error {
			in, err := r.Open(t.Context(), desc, 0)
			if err != nil {
				return err
			}
			if err := verify.Stream(t.Context(), in, desc.Digest, desc.Size); err != nil {
				return err
			}
			return in.Close()
		},
		func() error { return r.FetchTo(t.Context(), desc, &memory{}, 0) },
		func() error { // given up in the middle
			in, err := r.Open(t.Context(), desc, 1)
			if err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, in, 400<<10); err != nil {
				return err
			}
			return in.Close()
		},
	} {
		if err := get(); err != nil {
			t.Fatal(err)
		}
		s.wantAsked(t, "GET", "GET")
		if n := r.large.Load(); n != 0 {
			t.Errorf("%d blobs are being read", n)
		}
	}
}
