//go:build !linux

package oci

import (
	"errors"
	"testing"
)

func mountSmall(t *testing.T, _ int64) string {
	t.Helper()
	t.Skip("small file systems are made on Linux only")
	return ""
}

func asDevice(string) error { return errors.ErrUnsupported }
