package blob

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// TestMarks goes back to bytes by chance and hashes on.
func TestMarks(t *testing.T) {
	t.Parallel()
	const seed = 7
	chance := rand.New(rand.NewPCG(seed, seed))
	p := pattern{6 << 20}
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		all, err := io.ReadAll(io.NewSectionReader(p, 0, p.size))
		if err != nil {
			t.Fatal(err)
		}
		m, err := newMarks(algorithm.FromBytes(all))
		if err != nil {
			t.Fatal(err)
		}
		for range 25 {
			to := m.Seen() + chance.Int64N(p.size-m.Seen()+1)
			if _, err := m.Write(all[m.Seen():to]); err != nil {
				t.Fatal(err)
			}
			back := chance.Int64N(m.Seen() + 1)
			at, err := m.back(back)
			if err != nil || at > back || back-at > max(markEvery, p.size/500) {
				t.Fatalf("seed %d: back to %d is at %d, %v", seed, back, at, err)
			}
			if len(m.kept) > maxMarks {
				t.Fatalf("seed %d: %d marks", seed, len(m.kept))
			}
		}
		if _, err := m.Write(all[m.Seen():]); err != nil {
			t.Fatal(err)
		}
		if err := m.Finish(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if _, err := m.back(100); err != nil || !errdefs.IsDataLoss(m.Finish()) {
			t.Errorf("a beginning is taken for the whole: %v", err)
		}
	}
}

// TestResumeHashesWhatIsSent has the source give other bytes when it is opened again:
// those that the registry got the first time do not go on with them.
func TestResumeHashesWhatIsSent(t *testing.T) {
	t.Parallel()
	data, desc := random(60, 1<<20)
	c := &content{ctx: t.Context(), desc: desc, from: opener(data)}
	var err error
	if c.hash, err = newMarks(desc.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c.body(0, 600_000), make([]byte, 600_000)); err != nil {
		t.Fatal(err)
	}
	src := &opened{data: data}
	c.from = src.open
	rest, err := io.ReadAll(c.body(500_001, desc.Size))
	if err != nil || digest.FromBytes(append(data[:500_001:500_001], rest...)) != desc.Digest {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	if again := src.bytes.Load() - int64(len(rest)); again < 0 || again > markEvery {
		t.Errorf("%d bytes were read again", again)
	}
	c.from = opener([]byte(strings.Repeat("x", 1<<20)))
	if _, err := io.ReadAll(c.body(700_000, desc.Size)); !errors.Is(err, errdefs.ErrDataLoss) {
		t.Errorf("other bytes at the end: %v", err)
	}
}

func TestPieces(t *testing.T) {
	t.Parallel()
	const kib, mib = 1 << 10, 1 << 20
	p := newPieces(64 * mib)
	want := func(why string, size int64) {
		t.Helper()
		if p.size != size {
			t.Errorf("%s: pieces of %d bytes, want %d", why, p.size, size)
		}
	}
	want("at first", 64*mib)
	p.broke(30*mib, 20*mib)
	want("as much as arrived", 20*mib)
	p.broke(3*mib, 1)
	want("not below the floor", 64*kib)
	for range growAfter {
		p.arrived()
	}
	want("twice as large after a row", 128*kib)
	p.broke(0, 0)
	want("a connection that was dead says nothing", 128*kib)
	p.atLeast(10 * mib)
	want("what the registry wants", 10*mib)
	p.broke(8*mib, 0)
	want("even so", 10*mib)
	if p.tooLarge(10 * mib) {
		t.Error("there is a smaller piece than the smallest")
	}
	p = newPieces(64 * mib)
	if !p.tooLarge(64 * mib) {
		t.Error("there is no smaller piece than the largest")
	}
	want("a quarter of what was too large", 16*mib)
	for range 10 * growAfter {
		p.arrived()
	}
	want("never larger than that again", 16*mib)
	p.broke(16*mib, 0)
	want("a quarter where only what is complete is kept", 4*mib)
	if p = newPieces(1000); p.floor != 1000 {
		t.Errorf("a floor of %d", p.floor)
	}
}
