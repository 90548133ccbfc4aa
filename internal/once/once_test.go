package once_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/dhowhq/dhow/internal/once"
)

func TestStepIsDoneOnce(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	s, calls := once.New(), 0
	if err := s.Do(t.Context(), func() error { calls++; return boom }); !errors.Is(err, boom) {
		t.Errorf("error %v, want that of the step", err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := s.Do(t.Context(), func() error { calls++; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if calls != 2 {
		t.Errorf("%d calls, want one that failed and one that did not", calls)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s, inside, end := once.New(), make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- s.Do(context.Background(), func() error { close(inside); <-end; return nil })
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Do(ctx, func() error { t.Error("two at a time"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	close(end)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
