package catalog

import "sync"

// idle keeps transactions that only read, with the buckets and cursors that they have, for
// those who read next: to begin one takes as long as to look up some keys. As long as somebody
// writes there are none, and none that began before is kept: they would show what was, keep
// the pages of that, and have the file not grow.
type idle struct {
	mu      sync.Mutex
	txs     []*Tx
	writers int
	moment  uint64 // another one whenever a writer begins or ends
}

// maxIdle is how many transactions are kept.
const maxIdle = 4

// take returns a transaction that shows what there is now, or nil and which moment it is.
func (i *idle) take() (*Tx, uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.txs)
	if n == 0 {
		return nil, i.moment
	}
	t := i.txs[n-1]
	i.txs = i.txs[:n-1]
	return t, i.moment
}

// keep keeps a transaction, and reports whether it does.
func (i *idle) keep(t *Tx) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.writers > 0 || t.moment != i.moment || len(i.txs) == maxIdle {
		return false
	}
	i.txs = append(i.txs, t)
	return true
}

// write ends the transactions that are kept, before somebody writes.
func (i *idle) write() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.writers++
	i.end()
}

// written is for when somebody does not write any more.
func (i *idle) written() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.writers--
	i.moment++
}

func (i *idle) end() {
	i.moment++
	for _, t := range i.txs {
		t.rollback()
	}
	i.txs = nil
}
