package crashtest

import (
	"testing"

	"github.com/dhowhq/dhow/internal/powerloss"
)

func isolate(m *testing.M) int { return powerloss.Main(m) }
