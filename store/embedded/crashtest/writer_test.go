package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/dhowhq/dhow/store/embedded"
)

// writerVariable has the orders of a process that is to be a writer.
const writerVariable = "DHOW_CRASHTEST_WRITER"

// orders are what a writer is to do.
type orders struct {
	Dir  string
	Seed uint64
	// From is how many operations each lane has done already.
	From [lanes]int
	// Until is with how many a lane ends; 0: never.
	Until int
	// Lanes is how many work; 0 is all.
	Lanes int
}

// The lines that a writer writes, each with lane and number of an operation.
const (
	lineOpened = "opened"
	lineBegun  = "begun"
	lineDone   = "done"
	lineFailed = "failed" // and the error, quoted
	lineAgain  = "reopened"
)

// Exit codes of a writer.
const (
	exitDone   = 0
	exitFailed = 3 // it could not go on
)

// reopenAfter is after how many operations of the first lane a store is closed and
// opened again.
const reopenAfter = 37

// attempts is how often an operation is tried: at first in the same store, then in one
// that was opened again.
const attempts = 5

// writer works on a store.
type writer struct {
	orders
	c     *contents
	store *embedded.Store
	using sync.RWMutex // to write is to open it again

	mu  sync.Mutex // of the output
	out *os.File
}

// runWriter is the process, and returns its exit code.
func runWriter() int {
	w := &writer{out: os.Stdout}
	if err := json.Unmarshal([]byte(os.Getenv(writerVariable)), &w.orders); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	w.c = newContents(w.Seed)
	if !w.openAgain() {
		return exitFailed
	}
	w.say(lineOpened, 0, 0, "")
	n := w.Lanes
	if n == 0 {
		n = lanes
	}
	failed := make(chan bool, n)
	for lane := range n {
		go func() { failed <- !w.work(lane) }()
	}
	code := exitDone
	for range n {
		if <-failed {
			code = exitFailed
		}
	}
	if err := w.store.Close(); err != nil {
		w.say(lineFailed, -1, -1, err.Error())
	}
	return code
}

// openAgain opens the store, as a command that is repeated until it works.
func (w *writer) openAgain() (ok bool) {
	for range attempts {
		s, err := embedded.Open(context.Background(), w.Dir, embedded.Options{})
		if err == nil {
			if w.store, err = s, s.Degraded(); err == nil {
				return true
			}
			err = errors.Join(err, s.Close())
		}
		w.say(lineFailed, -1, -1, err.Error())
	}
	return false
}

// say writes a line.
func (w *writer) say(what string, lane, n int, text string) {
	line := fmt.Sprintf("%s %d %d %s\n", what, lane, n, strings.ReplaceAll(text, "\n", "; "))
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = tell(w.out, line) // who has gone away need not be told
}

// work does what a lane has to do.
func (w *writer) work(lane int) (ok bool) {
	p := newPlanner(w.c, w.Seed, lane, w.From[lane])
	for w.Until == 0 || p.n < w.Until {
		o := p.next()
		w.say(lineBegun, lane, o.n, "")
		if !w.try(lane, o) {
			return false
		}
		w.say(lineDone, lane, o.n, "")
		if lane == 0 && p.n%reopenAfter == 0 && !w.reopen() {
			return false
		}
	}
	return true
}

// try does an operation, again if it fails.
func (w *writer) try(lane int, o op) (ok bool) {
	for attempt := range attempts {
		if attempt > 1 && !w.reopen() {
			return false
		}
		w.using.RLock()
		var err error
		if attempt == 0 {
			err = w.c.do(context.Background(), w.store, o)
		} else {
			err = w.c.again(context.Background(), w.store, o)
		}
		w.using.RUnlock()
		if err == nil {
			return true
		}
		w.say(lineFailed, lane, o.n, err.Error())
	}
	return false
}

// reopen closes the store and opens it again, when no lane is within an operation.
func (w *writer) reopen() (ok bool) {
	w.using.Lock()
	defer w.using.Unlock()
	if err := w.store.Close(); err != nil {
		w.say(lineFailed, -1, -1, err.Error())
	}
	if !w.openAgain() {
		return false
	}
	w.say(lineAgain, 0, 0, "")
	return true
}
