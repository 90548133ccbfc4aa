package crashtest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// calls are the system calls by which a store changes or reads anything, and the errors
// that they are made to return. The database is mapped, but only for reading.
var calls = []struct {
	name   string
	errors []string
}{
	{"openat", []string{"EIO", "EMFILE"}},
	{"mkdirat", []string{"EIO", "ENOSPC"}},
	{"write", []string{"EIO", "ENOSPC"}},
	{"pwrite64", []string{"EIO", "ENOSPC"}},
	{"ftruncate", []string{"EIO", "ENOSPC"}},
	{"fdatasync", []string{"EIO", "ENOSPC"}},
	{"fsync", []string{"EIO"}},
	{"syncfs", []string{"EIO"}},
	{"sync_file_range", []string{"EIO"}},
	{"renameat", []string{"EIO", "ENOSPC"}},
	{"unlinkat", []string{"EIO"}},
	{"fchmod", []string{"EIO"}},
	{"flock", []string{"EIO"}},
	{"read", []string{"EIO"}},
	{"pread64", []string{"EIO"}},
	{"fstat", []string{"EIO"}},
	{"newfstatat", []string{"EIO"}},
	{"getdents64", []string{"EIO"}},
	{"fstatfs", []string{"EIO"}},
	{"close", []string{"EIO"}},
}

// TestFailingCalls has one kind of system call after another fail, and the process
// killed in one, the first time, the second time, and so on.
func TestFailingCalls(t *testing.T) {
	inj := newInjector(t, strace(t))
	for _, call := range calls {
		faults := []string{"signal=KILL"}
		for _, e := range call.errors {
			faults = append(faults, "error="+e)
		}
		scenes := []scene{inj.new, inj.used}
		if long(0, 1) == 0 {
			if call.name != "fdatasync" {
				continue
			}
			faults, scenes = faults[:2], scenes[1:]
		}
		t.Run(call.name, func(t *testing.T) {
			inj.found = found{}
			for _, fault := range faults {
				for _, s := range scenes {
					inj.sweep(t, call.name, fault, s, long(1, 6))
				}
			}
			tally(t, "`"+call.name+"` fails, or the process is killed in it", inj.points, "%s", inj.found)
		})
	}
}

// injector runs writers whose system calls fail.
type injector struct {
	program   string
	seed      uint64
	c         *contents
	r         *rand.Rand
	dir       string // in memory
	new, used scene
	found
}

// found is what was found out about the faults of one call.
type found struct {
	points    int // at which there was a fault
	killed    int
	died      int // of itself: the loader or the runtime needed the call
	unnoticed int // went well all the same
	wentOn    int // after failures
	gaveUp    int // every attempt met the fault
	failures  int // that were told
}

func (f found) String() string {
	text := fmt.Sprintf("%d killed, %d went on after an error, %d were not harmed", f.killed, f.wentOn, f.unnoticed)
	if f.died+f.gaveUp > 0 {
		text += fmt.Sprintf(", %d died in the loader or the runtime, %d gave up", f.died, f.gaveUp)
	}
	return text
}

// scene is what a writer begins with.
type scene struct {
	store string // that is copied; empty for none
	at    [lanes]int
	lanes int            // that work; 0 is all
	most  map[string]int // how often a thread makes each call
}

// steps is how many operations each lane does.
const steps = 12

func newInjector(t *testing.T, program string) *injector {
	t.Helper()
	inj := &injector{program: program, seed: newSeed(t), dir: memory(t)}
	for inj.c = newContents(inj.seed); !inj.everything(); inj.c = newContents(inj.seed) {
		inj.seed++
	}
	inj.r = random(inj.seed, 4000)
	inj.used.store = filepath.Join(inj.dir, "used")
	w := start(t, orders{Dir: inj.used.store, Seed: inj.seed, Until: steps})
	if code := w.wait(t, time.Minute); code != exitDone {
		t.Fatalf("the writer has ended with %d: %q", code, w.failed())
	}
	inj.used.at = w.acknowledged()
	var names []string
	for _, call := range calls {
		names = append(names, call.name)
	}
	for _, s := range []*scene{&inj.new, &inj.used} {
		w, tr := inj.run(t, *s, "--seccomp-bpf", "-e", "trace="+strings.Join(names, ","))
		if code := w.wait(t, time.Minute); code != exitDone {
			t.Fatalf("the writer has ended with %d: %q", code, w.failed())
		}
		s.most = tr().most()
		inj.clear(t)
	}
	return inj
}

// everything reports whether the plan has all that there is to do, for a new store and
// for the used one.
func (inj *injector) everything() bool {
	for _, from := range []int{0, steps} {
		kinds, many := map[kind]bool{}, false
		for lane := range lanes {
			for p := newPlanner(inj.c, inj.seed, lane, from); p.n < from+steps; {
				o := p.next()
				kinds[o.kind] = true
				many = many || len(o.nodes) == manyFiles
			}
		}
		if len(kinds) < 8 || !many {
			return false
		}
	}
	return true
}

func (inj *injector) store() string { return filepath.Join(inj.dir, "store") }

func (inj *injector) clear(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(inj.store()); err != nil {
		t.Fatal(err)
	}
}

// run starts a writer in a scene, and strace with it. What it returns reads the trace
// when the writer has ended.
func (inj *injector) run(t *testing.T, s scene, options ...string) (*process, func() trace) {
	t.Helper()
	if s.store != "" {
		copyStore(t, inj.store(), s.store)
	}
	log := filepath.Join(t.TempDir(), "strace")
	args := append([]string{inj.program, "-f", "-q", "-y", "-o", log}, options...)
	o := orders{Dir: inj.store(), Seed: inj.seed, From: s.at, Until: s.at[0] + steps, Lanes: s.lanes}
	return start(t, o, args...), func() trace { return readTrace(t, log) }
}

// copyStore copies a store that is closed.
func copyStore(t *testing.T, to, from string) {
	t.Helper()
	err := os.CopyFS(to, os.DirFS(from))
	if err == nil {
		err = filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return errors.Join(err, os.Chmod(path, 0o700))
			}
			return os.Chmod(path, 0o600)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sweep has a call fail at up to so many places between the first and the last one.
func (inj *injector) sweep(t *testing.T, call, fault string, s scene, points int) {
	t.Helper()
	most := s.most[call]
	for i := range min(points, most) {
		// One of each part of the run.
		from, to := most*i/points, most*(i+1)/points
		if points > most {
			from, to = i, i+1
		}
		n := from + 1 + inj.r.IntN(max(to-from, 1))
		for n > 0 && !inj.point(t, s, call, fault, n) {
			n /= 2 // no thread has come so far this time
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// point has the n-th call of each thread fail, looks at what is left, and reports whether
// there was a fault.
func (inj *injector) point(t *testing.T, s scene, call, fault string, n int) (hit bool) {
	t.Helper()
	what := fmt.Sprintf("%s:%s:when=%d", call, fault, n)
	options := []string{"-e", "trace=openat,unlinkat,fsync,fdatasync," + call, "-e", "inject=" + what}
	if strings.HasPrefix(fault, "signal=") {
		options[1] = "trace=" + call
	} else {
		options = append(options, "--seccomp-bpf") // much faster; no signals are sent with it
	}
	w, read := inj.run(t, s, options...)
	code := w.wait(t, time.Minute)
	tr := read()
	hit = code < 0 || tr.injected() > 0
	if hit {
		inj.count(t, what, code, w, tr)
	}
	k := recovered(t, inj.c, inj.seed, inj.store(), w.acknowledged())
	if code == exitDone && s.lanes == 0 && k.at() != inj.next(s) {
		t.Errorf("%s: the lanes are at %d", what, k.at())
	}
	k.wipe(t, inj.store())
	if t.Failed() {
		t.Logf("%s, used %v, exit code %d; failures:\n%s", what, s.store != "", code, strings.Join(w.failed(), "\n"))
	}
	inj.clear(t)
	return hit
}

// next is where lanes are that have done everything, and one operation more.
func (inj *injector) next(s scene) (at [lanes]int) {
	for lane := range at {
		at[lane] = s.at[lane] + steps + 1
	}
	return at
}

// count notes what has come of a fault, and checks that one of a sync was told.
func (inj *injector) count(t *testing.T, what string, code int, w *process, tr trace) {
	t.Helper()
	failures := len(w.failed())
	inj.points++
	inj.failures += failures
	switch {
	case code < 0:
		inj.killed++
	case code == exitFailed:
		inj.gaveUp++
	case code != exitDone:
		inj.died++
		text := w.stderr.String()
		if !strings.Contains(text, "runtime: netpollBreak") && !strings.Contains(text, "loading shared libraries") {
			t.Errorf("%s: the writer has ended with %d: %s", what, code, text)
		}
	case failures > 0:
		inj.wentOn++
	default:
		inj.unnoticed++
		if strings.HasPrefix(what, "fsync") || strings.HasPrefix(what, "fdatasync") {
			t.Errorf("%s: nobody was told that a sync has failed", what)
		}
	}
	if !strings.Contains(what, "=EIO") {
		return // a database that found no room is written to again, and what is dropped of it is free
	}
	for _, path := range tr.syncedAgain() {
		t.Errorf("%s: %s was synced again as if nothing had been", what, path)
	}
}
