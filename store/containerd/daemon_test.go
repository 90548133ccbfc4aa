package containerd

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/dhowhq/dhow/internal/testcontainerd"
)

// daemon is a containerd of the tests' own.
type daemon struct{ *testcontainerd.Daemon }

// shared is the daemon of all tests that do not kill theirs.
var shared = sync.OnceValues(func() (*daemon, error) {
	d, err := testcontainerd.New()
	if err == nil {
		err = d.Start()
	}
	return &daemon{d}, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv(endedVariable) == "" && testcontainerd.Available() == nil {
		if d, err := shared(); err == nil {
			if err := d.Remove(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = max(code, 1)
			}
		}
	}
	os.Exit(code)
}

// running returns the shared daemon, or skips the test where there is no containerd.
func running(tb testing.TB) *daemon {
	tb.Helper()
	testcontainerd.Need(tb)
	d, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// address returns that of a namespace.
func (d *daemon) address(namespace string) string {
	return fmt.Sprintf("%s://%s?namespace=%s", Scheme, d.Socket(), namespace)
}
