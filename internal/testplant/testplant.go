// Package testplant puts into the places of files and directories what somebody may have
// planted there, for tests of what comes of it.
package testplant

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Plant puts something at a path at which nothing is. File and dir are what links lead to:
// they are outside of what is tested.
type Plant func(path, file, dir string) error

// Outside makes a file with that data in a directory of its own. Nothing may touch them: at
// the end of the test both have to be as they were.
func Outside(tb testing.TB, data []byte) (file, dir string) {
	tb.Helper()
	dir = tb.TempDir()
	file = filepath.Join(dir, "file")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		tb.Fatal(err)
	}
	fileWas, fileErr := os.Lstat(file)
	dirWas, dirErr := os.Lstat(dir)
	if err := errors.Join(fileErr, dirErr); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		got, err := os.ReadFile(file)
		fileIs, fileErr := os.Lstat(file)
		dirIs, dirErr := os.Lstat(dir)
		entries, readErr := os.ReadDir(dir)
		if err := errors.Join(err, fileErr, dirErr, readErr); err != nil {
			tb.Error("what is outside:", err)
		} else if string(got) != string(data) || fileIs.Mode() != fileWas.Mode() || dirIs.Mode() != dirWas.Mode() || len(entries) != 1 {
			tb.Errorf("what is outside has changed: %d bytes, %v, %v, %v", len(got), fileIs, dirIs, entries)
		}
	})
	return file, dir
}

// Soon calls f, and ends the test if that hangs.
func Soon(tb testing.TB, f func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		tb.Fatal("it hangs")
	}
}
