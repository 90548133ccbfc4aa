package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// publishImage publishes a small image under a lease, in one transaction.
func publishImage(s *embedded.Store, lease string, n int) error {
	src := &testimage.Store{}
	root := src.Image(testimage.Image{Name: fmt.Sprint(n), Layers: 2})
	g, err := image.Walker{Fetch: src.Fetch}.Walk(context.Background(), root)
	if err != nil {
		return err
	}
	b, err := s.Begin(context.Background(), lease)
	if err != nil {
		return err
	}
	for _, n := range g.Nodes() {
		_, err := b.Put(context.Background(), n.Desc, n.Role, func(ctx context.Context, from int64) (io.ReadCloser, error) { return src.Open(ctx, n.Desc, from) })
		if err != nil {
			return err
		}
	}
	if _, err = b.Publish(context.Background(), store.Move{Name: fmt.Sprintf("docker.io/library/image:%d", n), To: target(root)}); err != nil {
		return err
	}
	return b.Close()
}

func publishElsewhere(input []byte) error {
	var dir string
	if err := json.Unmarshal(input, &dir); err != nil {
		return err
	}
	s, err := embedded.Open(context.Background(), dir, embedded.Options{})
	if err != nil {
		return err
	}
	return publishImage(s, "held", 1001) // and is killed
}

// TestDatabaseIsSettled: what a process has written of the database that was killed before it was
// synced is synced before anything is written over what it has made free.
func TestDatabaseIsSettled(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "store")
	database, segment := filepath.Join(dir, "catalog.db"), filepath.Join(dir, "journal/0000000000000001.log")
	load := func(name string) []byte {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	save := func(name string, data []byte) {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir, embedded.Options{})
	if _, err := s.Lease(t.Context(), store.Lease{ID: "held"}); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if err := publishImage(s, "held", i); err != nil {
			t.Fatal(err)
		}
	}
	durable := load(database)
	if err := publishImage(s, "held", 1000); err != nil {
		t.Fatal(err)
	}
	written, log := load(database), load(segment) // killed before the sync of the meta page
	closeStore(t, s)
	save(database, written)
	save(segment, log)

	cmd := elsewhere(t, "publish", dir)
	trace := filepath.Join(t.TempDir(), "trace")
	cmd.Path, cmd.Args = strace, append([]string{strace, "-f", "-y", "-qq", "-o", trace, "-e", "trace=pwrite64,fsync,fdatasync"}, cmd.Args...)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	text := load(trace)
	write := regexp.MustCompile(`pwrite64\(\d+<[^>]*catalog.db>, .*, \d+, (8192|\d{5,})\)`).FindIndex(text)
	sync := regexp.MustCompile(`sync\(\d+<[^>]*catalog.db>`).FindIndex(text)
	if write == nil || sync == nil {
		t.Fatal("nothing is written")
	}
	if sync[0] < write[0] {
		return
	}
	t.Error("pages are written before the meta page of the process that was killed is synced")

	// So the power loss may leave any of those and not that.
	after, page := load(database), os.Getpagesize()
	lost := bytes.Clone(after)
	copy(lost[:2*page], durable)
	save(database, lost)
	s = openStore(t, dir, embedded.Options{})
	if err := s.Degraded(); err != nil {
		t.Error("Degraded:", err)
	}
	if r := check(t, s, embedded.CheckOptions{}); !r.Sound() {
		t.Errorf("%d findings, as %v", len(r.Findings), r.Findings[0])
	}
	closeStore(t, s)
}
