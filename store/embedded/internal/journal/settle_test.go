package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestSettle: what is there stays as it is, from the beginning or from the middle of it
// on, in all segments.
func TestSettle(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	before := map[uint64][]byte{}
	for n := range uint64(3) {
		before[n+1] = bytes.Repeat([]byte{byte('a' + n), 0, 7}, 1+int(n)*200_000)
		if err := dir.WriteFile(logName(n+1), before[n+1], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.Mkdir(logName(4), 0o700); err != nil { // for Read to tell
		t.Fatal(err)
	}
	for _, from := range []Position{{Segment: 1}, {Segment: 1, Offset: 2}, {Segment: 2, Offset: 300_001}, {Segment: 3, Offset: 1 << 40}, {Segment: 9}} {
		if err := Settle(t.Context(), dir, from); err != nil {
			t.Errorf("%s: %v", from, err)
		}
		for n, want := range before {
			got, err := os.ReadFile(filepath.Join(path, logName(n)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: segment %d has %d other bytes, %v", from, n, len(got), err)
			}
		}
	}
}
