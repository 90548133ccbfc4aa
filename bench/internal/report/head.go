package report

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/dhowhq/dhow/bench/internal/tools"
)

// Head writes what was compared, on what machine, and when. dhow is the path of its binary.
func Head(ctx context.Context, w io.Writer, dhow string, rounds int) error {
	version, err := exec.CommandContext(ctx, dhow, "version").Output()
	if err != nil {
		return fmt.Errorf("asking %s for its version: %w", dhow, err)
	}
	line, _, _ := strings.Cut(string(version), "\n")
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `## %s

- %s
- %s
- %d processors (%s), Linux %s, %s
- medians of %d; the ratios are those of medians; MB are 10^6 bytes; peaks are the highest

`,
		time.Now().UTC().Format(time.DateTime+" UTC"), line, strings.Join(tools.Versions(), "; "),
		runtime.NumCPU(), processor(), strings.TrimSpace(string(kernel)), runtime.Version(), rounds)
	return err
}

// processor is the name of the machine's.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
