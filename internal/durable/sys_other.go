//go:build !linux

package durable

import "os"

// SyncData makes the file's bytes and size durable.
func SyncData(f *os.File) error { return f.Sync() }

// StartWriteBack does nothing.
func StartWriteBack(*os.File, int64, int64) {}
