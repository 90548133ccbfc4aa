package journal_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store/embedded/internal/journal"
)

// place is the directory of a journal.
type place struct {
	*os.Root
	path string
}

func newPlace(t testing.TB) place {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return place{root, dir}
}

// segment returns the path of a segment.
func (p place) segment(n int) string { return filepath.Join(p.path, fmt.Sprintf("%016x.log", n)) }

func (p place) create(t testing.TB) *journal.Log {
	t.Helper()
	log, err := journal.Create(p.Root, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func payload(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 1+i*i*37%5000) }

func appendAll(t testing.TB, log *journal.Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := log.Append(payload(i)); err != nil {
			t.Fatal("Append:", err)
		}
	}
}

func closeLog(t testing.TB, log *journal.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Error("Close:", err)
	}
}

// read returns the numbers of the payloads in a journal, how many damages there were,
// and its end.
func (p place) read(t testing.TB) (found []int, damages int, end journal.Position) {
	t.Helper()
	v := journal.Visitor{
		Entry: func(_ journal.Position, b []byte) error {
			i := int(b[0]) - 1
			if !bytes.Equal(b, payload(i)) {
				t.Errorf("entry %d has %d other bytes", i, len(b))
			}
			found = append(found, i)
			return nil
		},
		Damage: func(what error) error {
			if !errdefs.IsDataLoss(what) {
				t.Error("Damage:", what)
			}
			damages++
			return nil
		},
	}
	at, snapshot, err := journal.Start(p.Root)
	if err != nil && !errdefs.IsDataLoss(err) {
		t.Fatal("Start:", err)
	}
	if snapshot > 0 {
		if err := journal.ReadSnapshot(t.Context(), p.Root, snapshot, v); err != nil {
			t.Error("ReadSnapshot:", err)
		}
	}
	end, err = journal.Read(t.Context(), p.Root, at, v)
	if err != nil {
		t.Error("Read:", err)
	}
	return found, damages, end
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func (p place) wantUpTo(t testing.TB, n int) journal.Position {
	t.Helper()
	found, damages, end := p.read(t)
	if !slices.Equal(found, upTo(n)) || damages > 0 {
		t.Errorf("entries %v and %d damages; want %d entries", found, damages, n)
	}
	return end
}

func TestWhatIsAppendedIsThere(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	log := p.create(t)
	appendAll(t, log, 0, 40) // more than a segment begins with
	end := p.wantUpTo(t, 40)
	if end != log.Next() {
		t.Errorf("the end is %+v; want %+v", end, log.Next())
	}
	closeLog(t, log)
	log, err := journal.Open(p.Root, end)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, log, 40, 80)
	p.wantUpTo(t, 80)
	if err := log.Undo(); err != nil {
		t.Error("Undo:", err)
	}
	if err := log.Undo(); err != nil {
		t.Error("second Undo:", err)
	}
	p.wantUpTo(t, 79)
	appendAll(t, log, 79, 81)
	p.wantUpTo(t, 81)
	closeLog(t, log)
	if info, err := os.Stat(p.segment(1)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestSegmentsAndSnapshots(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	log := p.create(t)
	appendAll(t, log, 0, 5)
	log, err := log.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, log, 5, 8)
	end := p.wantUpTo(t, 8)
	s, err := journal.NewSnapshot(p.Root, end.Segment)
	if err != nil {
		t.Fatal(err)
	}
	p.wantUpTo(t, 8)
	for i := range 5 {
		if err := s.Add(payload(i)); err != nil {
			t.Fatal("Add:", err)
		}
	}
	if err := s.Finish(); err != nil {
		t.Fatal("Finish:", err)
	}
	p.wantUpTo(t, 8)
	appendAll(t, log, 8, 9)
	p.wantUpTo(t, 9)
	closeLog(t, log)
	if _, err := os.Stat(p.segment(1)); err == nil {
		t.Error("the first segment is still there")
	}
	s, err = journal.NewSnapshot(p.Root, end.Segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Cancel(); err != nil {
		t.Error("Cancel:", err)
	}
	p.wantUpTo(t, 9)
}

// TestTornEntry: whatever a crash leaves of the last entry, those before it are there
// and the journal goes on after them.
func TestTornEntry(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	log := p.create(t)
	appendAll(t, log, 0, 3)
	before := log.Next()
	appendAll(t, log, 3, 4)
	after := log.Next()
	closeLog(t, log)
	whole, err := os.ReadFile(p.segment(1))
	if err != nil {
		t.Fatal(err)
	}
	for cut := before.Offset; cut < after.Offset; cut += 1 + (after.Offset-before.Offset)/50 {
		for name, torn := range map[string][]byte{
			"zeros":     append(slices.Clone(whole[:cut]), make([]byte, int64(len(whole))-cut)...),
			"cut":       whole[:cut],
			"an island": append(append(slices.Clone(whole[:before.Offset]), make([]byte, cut-before.Offset)...), whole[cut:]...),
		} {
			if cut == before.Offset && name == "an island" {
				continue
			}
			if err := os.WriteFile(p.segment(1), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			end := p.wantUpTo(t, 3)
			log, err := journal.Open(p.Root, end)
			if err != nil {
				t.Fatalf("%s at %d: %v", name, cut, err)
			}
			appendAll(t, log, 3, 6)
			closeLog(t, log)
			p.wantUpTo(t, 6)
		}
	}
}

// TestDamageIsFound: a damaged entry is told, and all others are still there.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	log := p.create(t)
	var ends []int64
	for i := range 10 {
		appendAll(t, log, i, i+1)
		ends = append(ends, log.Next().Offset)
	}
	closeLog(t, log)
	whole, err := os.ReadFile(p.segment(1))
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < ends[8]; at += 1 + at/40 {
		bad := slices.Clone(whole)
		bad[at] ^= 0x10
		if err := os.WriteFile(p.segment(1), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		want := upTo(10)
		if at >= 44 {
			want = slices.DeleteFunc(want, func(i int) bool { return at < ends[i] && (i == 0 || at >= ends[i-1]) })
		}
		found, damages, _ := p.read(t)
		if !slices.Equal(found, want) || damages == 0 && at >= 44 {
			t.Errorf("byte %d is damaged: entries %v and %d damages; want %v", at, found, damages, want)
		}
		first := journal.Position{Segment: 1, Offset: 44}
		ignore := func(journal.Position, []byte) error { return nil }
		if _, err := journal.Read(t.Context(), p.Root, first, journal.Visitor{Entry: ignore}); !errdefs.IsDataLoss(err) {
			t.Errorf("byte %d is damaged: Read: %v", at, err)
		}
	}
}

// TestEntryInABlob: what is an entry of another journal, or of one that somebody has made
// up, does not pass for one where the entry around it is torn or damaged.
func TestEntryInABlob(t *testing.T) {
	t.Parallel()
	other := newPlace(t)
	log := other.create(t)
	appendAll(t, log, 0, 9)
	end := log.Next().Offset
	closeLog(t, log)
	made, err := os.ReadFile(other.segment(1))
	if err != nil {
		t.Fatal(err)
	}

	p := newPlace(t)
	log = p.create(t)
	appendAll(t, log, 0, 3)
	before := log.Next().Offset
	if err := log.Append(append(made[:end:end], "and more"...)); err != nil {
		t.Fatal("Append:", err)
	}
	after := log.Next().Offset
	appendAll(t, log, 4, 6)
	closeLog(t, log)
	whole, err := os.ReadFile(p.segment(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int64{"its beginning": before, "its length": before + 8, "its end": after - 1} {
		bad := slices.Clone(whole)
		bad[at] ^= 1
		if err := os.WriteFile(p.segment(1), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if found, damages, _ := p.read(t); !slices.Equal(found, []int{0, 1, 2, 4, 5}) || damages != 1 {
			t.Errorf("%s is damaged: entries %v and %d damages; want all others, and 1", name, found, damages)
		}
		clear(bad[after-1:])
		clear(bad[before:][:44]) // the first page, say, has not come to the disk
		if err := os.WriteFile(p.segment(1), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		p.wantUpTo(t, 3)
	}
}

func TestMissingSegment(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	log := p.create(t)
	for i := range 3 {
		appendAll(t, log, i, i+1)
		var err error
		if log, err = log.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, log)
	if err := os.Remove(p.segment(2)); err != nil {
		t.Fatal(err)
	}
	if found, damages, _ := p.read(t); !slices.Equal(found, []int{0, 2}) || damages == 0 {
		t.Errorf("entries %v and %d damages; want 0 and 2", found, damages)
	}
	if _, err := journal.Open(p.Root, journal.Position{Segment: 2, Offset: 44}); !errdefs.IsNotFound(err) {
		t.Errorf("Open: %v", err)
	}
	if _, _, err := journal.Start(newPlace(t).Root); !errdefs.IsNotFound(err) {
		t.Errorf("Start of no journal: %v", err)
	}
}

func TestReadEndsWithTheContext(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	log := p.create(t)
	appendAll(t, log, 0, 3)
	closeLog(t, log)
	ctx, cancel := context.WithCancel(t.Context())
	v := journal.Visitor{Entry: func(journal.Position, []byte) error { cancel(); return nil }}
	if _, err := journal.Read(ctx, p.Root, journal.Position{Segment: 1, Offset: 44}, v); err != context.Canceled { //nolint:errorlint // unwrapped
		t.Errorf("Read: %v", err)
	}
}

// FuzzRead: whatever a segment holds, reading it ends, and what it shows was written.
func FuzzRead(f *testing.F) {
	p := newPlace(f)
	log := p.create(f)
	appendAll(f, log, 0, 4)
	closeLog(f, log)
	seed, err := os.ReadFile(p.segment(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed[:400])
	f.Add(seed[:44])
	f.Add(append(seed[:200:200], seed[44:400]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPlace(t)
		if err := os.WriteFile(p.segment(1), data, 0o600); err != nil {
			t.Fatal(err)
		}
		shown := 0
		end, err := journal.Read(t.Context(), p.Root, journal.Position{Segment: 1, Offset: 44}, journal.Visitor{
			Entry: func(at journal.Position, b []byte) error {
				if !bytes.Contains(data[at.Offset:], b) {
					t.Errorf("%s: an entry that is not there", at)
				}
				shown += 24 + len(b)
				return nil
			},
			Damage: func(error) error { return nil },
		})
		if len(data) >= 44 && err != nil || shown > len(data) || end.Offset < 44 {
			t.Errorf("%d bytes of entries in %d, end %v, error %v", shown, len(data), end, err)
		}
	})
}

// TestSegmentThatWasJustMade: what a crash leaves of the making of a segment is not there.
func TestSegmentThatWasJustMade(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][]byte{"empty": {}, "a part": []byte("dhow jour"), "zeros": make([]byte, 64<<10)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if err := os.WriteFile(p.segment(1), left, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := journal.Start(p.Root); !errdefs.IsNotFound(err) {
				t.Errorf("Start of nothing: %v", err)
			}
			if err := os.Remove(p.segment(1)); err != nil {
				t.Fatal(err)
			}
			log := p.create(t)
			appendAll(t, log, 0, 5)
			closeLog(t, log)
			if err := os.WriteFile(p.segment(2), left, 0o600); err != nil {
				t.Fatal(err)
			}
			log, err := journal.Open(p.Root, p.wantUpTo(t, 5))
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, log, 5, 7)
			if log, err = log.Rotate(); err != nil {
				t.Fatal(err)
			}
			appendAll(t, log, 7, 9)
			closeLog(t, log)
			p.wantUpTo(t, 9)
			if err := os.WriteFile(p.segment(2), left, 0o600); err != nil { // in which there was something
				t.Fatal(err)
			}
			at := journal.Position{Segment: 2, Offset: 44, Sequence: 7}
			if _, err := journal.Read(t.Context(), p.Root, at, journal.Visitor{}); len(left) < 44 && !errdefs.IsDataLoss(err) {
				t.Errorf("Read of a segment that is gone: %v", err)
			}
			if log, err := journal.Open(p.Root, at); !errdefs.IsDataLoss(err) {
				t.Errorf("Open of a segment that is gone: %v, %v", log, err)
			}
		})
	}
}
