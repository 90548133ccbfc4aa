package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(writerVariable) != "" {
		os.Exit(runWriter())
	}
	os.Exit(isolate(m))
}

// long chooses between the number for make test and the one for make test-long.
func long(short, long int) int {
	if os.Getenv("DHOW_TEST_LONG") == "1" {
		return long
	}
	return short
}

// newSeed returns what everything random in a test follows from; DHOW_CRASH_SEED
// repeats one.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("DHOW_CRASH_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal("DHOW_CRASH_SEED:", err)
		}
		seed = n
	}
	t.Logf("DHOW_CRASH_SEED=%d", seed)
	return seed
}

// random returns a source of chance of its own.
func random(seed, part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }

// tally is a line of the table in docs/reliability.md.
func tally(t *testing.T, what string, points int, format string, args ...any) {
	t.Helper()
	failed := "0"
	if t.Failed() {
		failed = "see above"
	}
	t.Logf("| %s | %d | %s | %s |", what, points, failed, fmt.Sprintf(format, args...))
}
