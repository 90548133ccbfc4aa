package embedded_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// interrupted publishes a blob, is interrupted while the directory of its file is synced, and
// closes the store properly.
func interrupted(input []byte) error {
	var in removeInput
	if err := json.Unmarshal(input, &in); err != nil {
		return err
	}
	_, _, name := theLayer()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := embedded.Open(ctx, in.Dir, embedded.Options{})
	if err != nil {
		return err
	}
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(in.Dir, name)); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if err := giveUp(ctx, s); err != nil {
		return err
	}
	return s.Close()
}

// TestInterruptedWhileSyncing: the file of a publication that was interrupted while the disk was
// slow is not forgotten by a store that is closed then.
func TestInterruptedWhileSyncing(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("waits for some seconds")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "store")
	_, _, name := theLayer()
	closeStore(t, openStore(t, dir, embedded.Options{}))
	cmd := elsewhere(t, "interrupted", removeInput{Dir: dir})
	cmd.Path, cmd.Args = strace, append([]string{strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=8s"}, cmd.Args...)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		t.Skip("the file is not left:", err)
	}
	s := openStore(t, dir, embedded.Options{})
	defer closeStore(t, s)
	for range 2 {
		if _, err := store.Collect(t.Context(), s); err != nil {
			t.Error("Collect:", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("collections leave the file: %v", err)
	}
	wantSound(t, s)
}
