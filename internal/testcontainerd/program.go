package testcontainerd

import (
	"errors"
	"os"
	"os/exec"
	"sync"

	"github.com/dhowhq/dhow/internal/testprogram"
)

// genuine is the containerd that the long tests build where there is none.
const genuine = "github.com/containerd/containerd/v2/cmd/containerd@v2.4.2"

// ErrNone says that there is no containerd to test with.
var ErrNone = errors.New("there is no containerd: DHOW_TEST_LONG=1 builds one, and DHOW_TEST_CONTAINERD names one")

// program returns the path of a containerd. It is found out once in a process.
var program = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // see above
	if named := os.Getenv("DHOW_TEST_CONTAINERD"); named != "" { //nolint:forbidigo // by which it is chosen
		return named, nil
	}
	if path, err := exec.LookPath("containerd"); err == nil {
		return path, nil
	}
	if os.Getenv("DHOW_TEST_LONG") == "" { //nolint:forbidigo // likewise
		return "", ErrNone
	}
	return testprogram.Install(genuine)
})
