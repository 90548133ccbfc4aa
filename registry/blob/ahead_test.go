package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// TestAheadReadsWhileTheRegistryIsAsked has a registry answer only when the content is
// open, or only when it has waited for that in vain.
func TestAheadReadsWhileTheRegistryIsAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size  int
		push  PushOptions
		other bool // the registry has had another blob
		ahead bool
	}{
		"a small blob":                 {size: 300_000, push: PushOptions{Ahead: true}, ahead: true},
		"verified elsewhere":           {size: 300_000, push: PushOptions{Ahead: true, Verify: VerifyAtDestination}, ahead: true},
		"of the largest size":          {size: aheadUpTo, push: PushOptions{Ahead: true}, ahead: true},
		"larger":                       {size: aheadUpTo + 1, push: PushOptions{Ahead: true}},
		"not wanted":                   {size: 300_000},
		"the registry probably has it": {size: 300_000, push: PushOptions{Ahead: true, MountFrom: "team/other"}},
		"the registry has had a blob":  {size: 300_000, push: PushOptions{Ahead: true}, other: true},
		"nothing":                      {size: 0, push: PushOptions{Ahead: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened := make(chan struct{})
			var once sync.Once
			f := &fake{}
			f.script = func(f *fake, w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.Method == http.MethodPost && tt.other && f.nth(r, http.MethodPost, 1):
					w.WriteHeader(http.StatusCreated) // it has that one
					return true
				case r.Method == http.MethodPost && tt.ahead:
					select {
					case <-opened:
					case <-time.After(10 * time.Second):
						t.Error("the content is not read while the registry is asked")
					}
				case r.Method == http.MethodPost:
					select {
					case <-opened:
						t.Error("the content is read while the registry is asked")
					case <-time.After(20 * time.Millisecond):
					}
				}
				return false
			}
			s := serve(t, f)
			repo := s.repo(t, "team/app", Options{PostUpTo: -1})
			if tt.other {
				data, desc := random(60, 10)
				if out, err := repo.Push(t.Context(), desc, opener(data), tt.push); err != nil || out.Action == "copied" {
					t.Fatalf("%+v, %v", out, err)
				}
			}
			data, desc := random(61, tt.size)
			open := func(_ context.Context, from int64) (io.ReadCloser, error) {
				once.Do(func() { close(opened) })
				return io.NopCloser(bytes.NewReader(data[from:])), nil
			}
			if _, err := repo.Push(t.Context(), desc, open, tt.push); err != nil {
				t.Fatal(err)
			}
			if f.mu.Lock(); !bytes.Equal(f.stored[desc.Digest.String()], data) {
				t.Error("it is not stored")
			}
			f.mu.Unlock()
		})
	}
}

// TestAheadOfWhatIsThere has the registry answer that it has the blob while the source
// hangs: nobody waits for that.
func TestAheadOfWhatIsThere(t *testing.T) {
	t.Parallel()
	s := serve(t, &fake{script: always(http.MethodPost, http.StatusCreated)})
	window := NewWindow(4 * slabSize)
	repo := s.repo(t, "team/app", Options{PostUpTo: -1, Window: window})
	_, desc := random(62, slabSize+1)
	hang := func(ctx context.Context, _ int64) (io.ReadCloser, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if out, err := repo.Push(t.Context(), desc, hang, PushOptions{Ahead: true}); err != nil || out.Action != "reused" {
		t.Errorf("%+v, %v", out, err)
	}
	if free := len(window.slabs); free != 4 {
		t.Errorf("%d of 4 pieces of memory are free", free)
	}
}

// TestAheadIsBounded pushes more than the window has room for, at once: some wait, and
// what is damaged is told as ever.
func TestAheadIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, &fake{script: always(http.MethodPut, http.StatusCreated)})
	window := NewWindow(8 * slabSize)
	repo := s.repo(t, "team/app", Options{PostUpTo: -1, Window: window})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			data, desc := random(uint64(70+i), 2*slabSize+i)
			if i%4 == 3 {
				data[len(data)-1]++
			}
			_, err := repo.Push(t.Context(), desc, opener(data), PushOptions{Ahead: true})
			if damaged := i%4 == 3; errors.Is(err, errdefs.ErrDataLoss) != damaged || err == nil == damaged {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	if free := len(window.slabs); free != 8 {
		t.Errorf("%d of 8 pieces of memory are free", free)
	}
}
