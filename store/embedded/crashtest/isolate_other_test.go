//go:build !linux

package crashtest

import "testing"

func isolate(m *testing.M) int { return m.Run() }
