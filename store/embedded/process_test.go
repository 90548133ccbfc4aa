package embedded_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// roleEnv says what this test program is to do in another process, in the place of
// its tests; it is given what it needs as JSON in the next variable.
const (
	roleEnv  = "DHOW_TEST_EMBEDDED_ROLE"
	inputEnv = "DHOW_TEST_EMBEDDED_INPUT"
)

// roles are what this program can be in another process.
var roles = map[string]func(input []byte) error{
	"lease":       makeLease,
	"repair":      repair,
	"publish":     publishElsewhere,
	"remove":      removeElsewhere,
	"interrupted": interrupted,
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleEnv)]; role != nil {
		if err := role([]byte(os.Getenv(inputEnv))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// elsewhere returns this program in another role, as a process to be started.
func elsewhere(tb testing.TB, role string, input any) *exec.Cmd {
	tb.Helper()
	data, err := json.Marshal(input)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role, inputEnv+"="+string(data))
	cmd.Stderr = os.Stderr
	return cmd
}

type leaseInput struct {
	Dir   string
	Lease store.Lease
}

// leaseFromElsewhere makes a lease from a process that has ended on return.
func leaseFromElsewhere(tb testing.TB, dir string, l store.Lease) {
	tb.Helper()
	if err := elsewhere(tb, "lease", leaseInput{dir, l}).Run(); err != nil {
		tb.Fatal("making a lease in another process:", err)
	}
}

func makeLease(input []byte) error {
	var in leaseInput
	if err := json.Unmarshal(input, &in); err != nil {
		return err
	}
	s, err := embedded.Open(context.Background(), in.Dir, embedded.Options{})
	if err != nil {
		return err
	}
	_, err = s.Lease(context.Background(), in.Lease)
	if err := s.Close(); err != nil {
		return err
	}
	return err
}
