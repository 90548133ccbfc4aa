package process

import (
	"os"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/dhowhq/dhow/internal/testprogram"
)

// The commands that are started.
const (
	genuine = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"
	quick   = "github.com/dhowhq/dhow/internal/testregistry/process/registry"
)

// program returns the program to start. It is found out once in a process: even when
// nothing is to be built the go command takes its time.
var program = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // see above
	if named := os.Getenv("DHOW_TEST_REGISTRY"); named != "" { //nolint:forbidigo // by which it is chosen
		return named, nil
	}
	if os.Getenv("DHOW_TEST_LONG") != "" { //nolint:forbidigo // likewise
		return testprogram.Install(genuine)
	}
	if raced() { // what is compiled for the tests serves for the registry
		return testprogram.Install(quick, "-race")
	}
	return testprogram.Install(quick)
})

// raced reports whether this program was built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
