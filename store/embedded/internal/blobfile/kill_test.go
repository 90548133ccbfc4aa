package blobfile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// childVariable has the directory where TestChildOfKill works until it is killed.
const childVariable = "DHOW_BLOBFILE_CHILD"

// content is the n-th piece that the child writes; the sizes are of all kinds.
func content(n int) []byte {
	return fmt.Appendf(randomBytes(byte(n), []int{0, 100, Small, Small + 1, 3 * Small, 40 * Small}[n%6]), "%08d", n)
}

func refOfContent(n int) string { return fmt.Sprintf("content %d", n) }

// TestChildOfKill publishes, in groups of three, and trashes what is older; it says so
// on its standard output: before it trashes, and after it has published.
func TestChildOfKill(t *testing.T) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		t.Skip("the child of TestKill")
	}
	var begin int
	if _, err := fmt.Sscanf(dir, "%d %s", &begin, &dir); err != nil {
		t.Fatal(err)
	}
	d := openDir(t, dir)
	for n := begin; ; n += 3 {
		var files []*Ingest
		for i := range 3 {
			data := content(n + i)
			blob := digest.FromBytes(data)
			in := create(t, d, refOfContent(n+i))
			if err := in.Fill(t.Context(), blob, int64(len(data)), opens(data)); err != nil {
				t.Fatal(err)
			}
			files = append(files, in)
		}
		if n%2 == 0 { // keep it first, and take it up again
			for i, in := range files {
				if err := in.Close(); err != nil {
					t.Fatal(err)
				}
				files[i] = create(t, d, in.Ref())
				if err := files[i].Verify(t.Context(), digest.FromBytes(content(n+i)), -1); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := d.Publish(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("published %d\n", n)
		if old := n - 6; old >= begin {
			fmt.Printf("trashing %d\n", old)
			if err := d.Trash([]digest.Digest{digest.FromBytes(content(old))}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := d.Empty(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestKill kills the child at random moments, and looks at what it has left.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 4
	if os.Getenv("DHOW_TEST_LONG") != "" {
		rounds = 200
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	published, left := 0, 0
	for ; rounds > 0; rounds -= 10 {
		n, l := killInTurns(t, random, min(rounds, 10))
		published, left = published+n, left+l
	}
	t.Logf("%d pieces were published, %d were partial when the process was killed; seed %d", published, left, seed)
}

// killInTurns does so in one directory, and returns how many pieces were published, and
// were partial when the child was killed.
func killInTurns(t *testing.T, random *rand.Rand, rounds int) (published, partial int) {
	t.Helper()
	dir := t.TempDir()
	there := map[int]bool{} // contents that must be there
	begin := 0
	for range rounds {
		for _, line := range runAndKill(t, dir, begin, time.Duration(random.IntN(150))*time.Millisecond) {
			var n int
			if _, err := fmt.Sscanf(line, "published %d", &n); err == nil {
				there[n], there[n+1], there[n+2] = true, true, true
				published += 3
				begin = n + 3
			}
			if _, err := fmt.Sscanf(line, "trashing %d", &n); err == nil {
				delete(there, n)
			}
		}
		partial += checkKilled(t, dir, there)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	return published, partial
}

func runAndKill(t *testing.T, dir string, begin int, after time.Duration) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChildOfKill$")
	cmd.Env = append(os.Environ(), childVariable+"="+fmt.Sprint(begin, " ", dir))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		if lines = append(lines, scan.Text()); len(lines) == 1 {
			time.AfterFunc(after, cancel) // by SIGKILL
		}
	}
	if err := cmd.Wait(); ctx.Err() == nil {
		t.Fatalf("the child ended by itself: %v\n%s", err, strings.Join(lines, "\n"))
	}
	return lines
}

// checkKilled returns how many partial pieces there were.
func checkKilled(t *testing.T, dir string, there map[int]bool) int {
	t.Helper()
	d := openDir(t, dir)
	defer d.Close()
	for n := range there {
		data := content(n)
		if err := d.Verify(t.Context(), digest.FromBytes(data), int64(len(data))); err != nil {
			t.Errorf("%d was published: %v", n, err)
		}
	}
	err := d.Walk(t.Context(), "", func(blob digest.Digest, size int64) error {
		if err := d.Verify(t.Context(), blob, size); err != nil {
			t.Errorf("visible: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := d.Strays(t.Context(), func(s Stray) error { t.Errorf("stray %+v", s); return nil }); err != nil {
		t.Error(err)
	}
	partial, err := d.Partial(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, p := range partial {
		in := create(t, d, p.Ref)
		if in.Offset() != p.Offset {
			t.Errorf("%s has %d bytes, and Partial says %d", p.Ref, in.Offset(), p.Offset)
		}
		finish(t, d, in, p.Offset)
	}
	wantTree(t, filepath.Join(dir, ingestName))
	wantTree(t, filepath.Join(dir, trashName))
	return len(partial)
}

// finish goes on with a piece where its process was killed.
func finish(t *testing.T, d *Dir, in *Ingest, from int64) {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(in.Ref(), "content %d", &n); err != nil {
		t.Errorf("nobody writes %q", in.Ref())
		return
	}
	data := content(n)
	err := in.Fill(t.Context(), digest.FromBytes(data), int64(len(data)), func(ctx context.Context, at int64) (io.ReadCloser, error) {
		if at != from {
			t.Errorf("opened at %d, want %d", at, from)
		}
		return opens(data)(ctx, at)
	})
	wantKind(t, "Fill", err, nil)
	wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), nil)
	wantBlob(t, d, data)
}
