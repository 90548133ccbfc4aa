//go:build !unix

package image_test

import (
	"testing"
	"time"
)

// cpuTime returns 0: other systems have other ways to ask.
func cpuTime(*testing.T) time.Duration { return 0 }
