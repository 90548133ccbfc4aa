package crashtest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/internal/powerloss"
)

func isolate(m *testing.M) int { return powerloss.Main(m) }

// tell writes a line by a system call that no store makes.
func tell(f *os.File, line string) error {
	_, err := unix.Writev(int(f.Fd()), [][]byte{[]byte(line)})
	return err
}
