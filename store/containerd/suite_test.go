package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/storetest"
)

// TestStore runs the suite of all engines on a real containerd. What is skipped is in
// docs/store-containerd.md too.
func TestStore(t *testing.T) {
	d := running(t)
	storetest.Run(t, storetest.Factory{
		New: func(testing.TB) storetest.Place { return place(d, newNamespace()) },
		Cannot: storetest.Cannot{
			Drop:    "containerd deletes content that others have just begun to need, and cannot be asked not to",
			Steps:   "containerd collects everything at once, under its own lock",
			Counts:  "containerd collects by itself too, and does not tell what has gone",
			Unclean: "containerd does not tell that it, or the machine, has not ended properly",
		},
		Operations: operations(),
	})
}

// operations returns how many the races do.
func operations() int {
	if os.Getenv("DHOW_TEST_LONG") != "" {
		return 5000
	}
	return 150
}

var namespacesMade atomic.Int64

func newNamespace() string { return fmt.Sprintf("test-%d-%d", os.Getpid(), namespacesMade.Add(1)) }

// place is a namespace of a daemon.
func place(d *daemon, namespace string) storetest.Place {
	var open *Store
	return storetest.Place{
		Open: func(ctx context.Context) (store.Store, error) {
			s, err := Open(ctx, d.address(namespace), Options{})
			if err != nil {
				return nil, err
			}
			open = s
			return s, nil
		},
		Crash: func(tb testing.TB) storetest.Place {
			tb.Helper()
			if err := open.pins.end(tb.Context()); err != nil { // as the next collection does: this process is still there
				tb.Error(err)
			}
			_ = open.conn.Close() // the daemon sees no more of a process that was killed
			return place(d, namespace)
		},
		Damage: func(dgst digest.Digest, change func([]byte) []byte) error {
			return damage(d.blob(dgst), change)
		},
		Ended: func(tb testing.TB, l store.Lease) { tb.Helper(); ended(tb, d.address(namespace), l) },
	}
}

// blob returns the file in which a daemon has content.
func (d *daemon) blob(dgst digest.Digest) string {
	return filepath.Join(d.Root(), "io.containerd.content.v1.content", "blobs", dgst.Algorithm().String(), dgst.Encoded())
}

func damage(path string, change func([]byte) []byte) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	if data = change(data); data == nil {
		return nil
	}
	return os.WriteFile(path, data, 0o444)
}

// endedVariable is set, to an address and a lease, in a process that makes a lease and
// ends.
const endedVariable = "DHOW_TEST_ENDED"

// ended has another process make a lease.
func ended(tb testing.TB, address string, l store.Lease) {
	tb.Helper()
	lease, err := json.Marshal(l)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), os.Args[0], "-test.run=^TestEnded$")
	cmd.Env = append(os.Environ(), endedVariable+"="+address+" "+string(lease))
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("making a lease in another process: %v\n%s", err, out)
	}
}

// TestEnded is what another process does.
func TestEnded(t *testing.T) {
	var address string
	var l store.Lease
	text := os.Getenv(endedVariable)
	if text == "" {
		t.Skip("for another process")
	}
	for i := range text {
		if text[i] == ' ' {
			address = text[:i]
			if err := json.Unmarshal([]byte(text[i+1:]), &l); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	s, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lease(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
}
