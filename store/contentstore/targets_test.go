package contentstore_test

import (
	"testing"
)

// target is a number that a benchmark must not exceed.
type target struct {
	metric string
	most   float64
}

// TestTargets runs the benchmarks at full size and compares what they report with what
// the store promises, on a machine that does nothing else.
func TestTargets(t *testing.T) {
	if !long() {
		t.Skip("minutes long, and of no use beside other tests: DHOW_TEST_LONG=1")
	}
	check(t, report(t, "100,000 images", func(b *testing.B) { b.Helper(); lookup(b, 100_000) }),
		target{"ms-open", 200}, target{"MB-anonymous", 100},
		target{"ms-name-slowest", 0.010}, target{"ratio-name-few", 4},
		target{"ms-target-slowest", 0.010}, target{"ratio-target-few", 4},
		target{"ms-manifest-slowest", 0.010}, target{"ratio-manifest-few", 4},
		target{"ms-config-slowest", 0.010}, target{"ratio-config-few", 4},
		target{"ms-id-slowest", 0.010}, target{"ratio-id-few", 4})
	check(t, report(t, "2,000 images of 7 small blobs", BenchmarkIngest), target{"ms-blob", 1})
	check(t, report(t, "1.6 GB", BenchmarkLarge), target{"ratio-image", 1.1})
	check(t, report(t, "collecting 14,000 blobs", BenchmarkCollect),
		target{"ratio-nothing", 0.5}, target{"ratio-half", 0.5}, target{"ms-locked", 50}, target{"ms-delay", 100})
}

// report runs a benchmark and returns its metrics.
func report(t *testing.T, what string, f func(b *testing.B)) map[string]float64 {
	t.Helper()
	r := testing.Benchmark(f)
	if r.N == 0 {
		t.Fatalf("%s: the benchmark has failed", what)
	}
	t.Logf("%s: %s", what, r)
	return r.Extra
}

func check(t *testing.T, got map[string]float64, targets ...target) {
	t.Helper()
	for _, want := range targets {
		value, ok := got[want.metric]
		if !ok || value > want.most {
			t.Errorf("%s is %.4g (there: %v), at most %.4g is promised", want.metric, value, ok, want.most)
		}
	}
}
