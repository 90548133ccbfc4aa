package service_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/dhowhq/dhow/service"
)

// median returns the median of how long a call takes, after the first one.
func median(times int, call func(i int)) time.Duration {
	call(0)
	took := make([]time.Duration, times)
	for i := range took {
		start := time.Now()
		call(i + 1)
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[times/2]
}

// TestQuick is how long a list of 1,000 and of 10,000 images of two platforms may take, and
// to get one of 100,000 for a platform.
func TestQuick(t *testing.T) {
	if os.Getenv("DHOW_TEST_LONG") != "1" {
		t.Skip("takes minutes, and a machine that does nothing else: DHOW_TEST_LONG=1")
	}
	quick := func(what string, got, want time.Duration) {
		t.Logf("%s: %s", what, got)
		if got > want {
			t.Errorf("%s takes %s, at most %s are wanted", what, got, want)
		}
	}
	for n, most := range map[int]time.Duration{1000: 10 * time.Millisecond, 10_000: 100 * time.Millisecond} {
		s := service.New(manyImages(t, n, 0), service.Options{})
		quick("a list", median(21, func(int) { listAll(t, s, n) }), most)
	}
	const n = 100_000
	s := service.New(manyImages(t, n, 0), service.Options{})
	quick("to get one", median(20_001, func(i int) { getOne(t, s, i*7919%n) }), 20*time.Microsecond)
}
