package crashtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// strace is the program that has system calls fail; the test is skipped without it.
func strace(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("having system calls fail needs strace:", err)
	}
	if out, err := exec.CommandContext(t.Context(), path, "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace cannot trace here: %v: %s", err, out)
	}
	return path
}

// trace is what strace has written.
type trace struct{ lines []string }

func readTrace(t *testing.T, path string) trace {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tr trace
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		tr.lines = append(tr.lines, in.Text())
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return tr
}

// injected returns how often a call was made to fail.
func (tr trace) injected() int {
	n := 0
	for _, line := range tr.lines {
		if strings.HasSuffix(line, "(INJECTED)") {
			n++
		}
	}
	return n
}

// most returns how often the thread has made each call that has made it most often: the
// faults are counted by thread.
func (tr trace) most() map[string]int {
	begins := regexp.MustCompile(`^(\d+) +(\w+)\(`)
	of := map[string]int{}
	most := map[string]int{}
	for _, line := range tr.lines {
		if m := begins.FindStringSubmatch(line); m != nil {
			of[m[1]+m[2]]++
			most[m[2]] = max(most[m[2]], of[m[1]+m[2]])
		}
	}
	return most
}

// syncedAgain returns the files that were synced with success after a sync of them has
// failed, without having been opened anew or removed in between: the kernel may have
// dropped what was not written, and then says that all is well.
func (tr trace) syncedAgain() []string {
	whole := regexp.MustCompile(`^(\d+) +(?:fsync|fdatasync)\(\d+<([^>]*)>\) += (-?\d+)`)
	begun := regexp.MustCompile(`^(\d+) +(?:fsync|fdatasync)\(\d+<([^>]*)> <unfinished`)
	ended := regexp.MustCompile(`^(\d+) +<\.{3} (?:fsync|fdatasync) resumed>\) += (-?\d+)`)
	opened := regexp.MustCompile(`(?:openat\(|openat resumed>).* = \d+<([^>]*)>`)
	removed := regexp.MustCompile(`unlinkat\(\d+<([^>]*)>, "([^"]*)"`)
	failed, pending := map[string]bool{}, map[string]string{}
	var again []string
	sync := func(path, result string) {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
		case result != "0":
			failed[path] = true
		case failed[path]:
			again = append(again, path)
			delete(failed, path) // told once
		}
	}
	for _, line := range tr.lines {
		if m := whole.FindStringSubmatch(line); m != nil {
			sync(m[2], m[3])
		} else if m := begun.FindStringSubmatch(line); m != nil {
			pending[m[1]] = m[2]
		} else if m := ended.FindStringSubmatch(line); m != nil {
			sync(pending[m[1]], m[2])
		} else if m := opened.FindStringSubmatch(line); m != nil {
			delete(failed, m[1])
		} else if m := removed.FindStringSubmatch(line); m != nil {
			delete(failed, filepath.Join(m[1], m[2]))
		}
	}
	return again
}

// TestSyncedAgain shows what counts as a sync that was tried again.
func TestSyncedAgain(t *testing.T) {
	t.Parallel()
	const fails, works = "7 fsync(3</x/a>) = -1 EIO (Input/output error) (INJECTED)\n", "8 fdatasync(4</x/a>) = 0\n"
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"never":             {works + fails, 0},
		"at once":           {fails + works, 1},
		"in two lines":      {fails + "8 fsync(3</x/a> <unfinished ...>\n7 write(1) = 1\n8 <... fsync resumed>) = 0\n", 1},
		"another file":      {fails + "8 fsync(3</x/b>) = 0\n", 0},
		"opened again":      {fails + "7 openat(3</x>, \"a\", O_RDWR) = 5</x/a>\n" + works, 0},
		"removed, and anew": {fails + "7 unlinkat(3</x>, \"a\", 0) = 0\n" + works, 0},
	} {
		tr := trace{strings.Split(test.text, "\n")}
		if got := tr.syncedAgain(); len(got) != test.want {
			t.Errorf("%s: %v; want %d", name, got, test.want)
		}
	}
	if n := (trace{strings.Split(fails+works, "\n")}).injected(); n != 1 {
		t.Error("injected:", n)
	}
	if got := fmt.Sprint(trace{strings.Split(works+works+fails, "\n")}.most()); got != "map[fdatasync:2 fsync:1]" {
		t.Error("most:", got)
	}
}
