// Package testtree gives tests a machine's files and environment.
package testtree

import (
	"os"
	"path/filepath"
	"testing"
)

// Tree is a file system: contents by slash-separated paths.
type Tree map[string]string

// Write writes the files below a temporary directory of the test, which it returns.
// They and their directories are the owner's alone.
func (files Tree) Write(tb testing.TB) (root string) {
	tb.Helper()
	root = tb.TempDir()
	for name, content := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// Env is an environment: values by name.
type Env map[string]string

// Lookup is as os.LookupEnv.
func (e Env) Lookup(key string) (string, bool) {
	v, ok := e[key]
	return v, ok
}
