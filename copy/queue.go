package copy

import (
	"container/heap"
	"sync"
)

// Nodes of at least this size are large: only a quarter of the workers may be busy
// with the bytes of such, so that small ones, and with them whole manifests, get
// through. When the bytes are gone, and only an answer is waited for, the next one's may
// come: else all would end, and wait, together.
const large = 4 << 20

// queue hands out the operations of a plan, each when its children are done:
// documents first, then large blobs from the largest down, and small ones beside
// them. A sequence hands them out in the order of the plan, to one worker.
type queue struct {
	workers  int
	sequence bool

	mu        sync.Mutex
	cond      sync.Cond
	all       map[NodeKey]*task
	held      []*task  // added, and not released yet
	docs      taskHeap // ready, by kind
	larges    taskHeap
	smalls    taskHeap
	busyLarge int // workers with large nodes
	left      int // tasks that are not finished
	ended     bool
	stopped   bool
}

// task is one operation on its way.
type task struct {
	op      *Op
	index   int // in the plan
	waits   int // children that are not finished
	parents []*task
	below   []*task
	held    bool // not released yet
	begun   bool // a worker has it, or had
	moving  bool // it counts as one that large bytes of are on their way
	over    bool
}

// newQueue makes an empty queue. parallel 0 means 16.
func newQueue(parallel int) *queue {
	if parallel == 0 {
		parallel = 16
	}
	q := &queue{workers: parallel, all: map[NodeKey]*task{}}
	q.cond.L = &q.mu
	q.docs.before, q.larges.before, q.smalls.before = largest, largest, largest
	return q
}

// newSequence makes an empty sequence.
func newSequence() *queue {
	q := newQueue(1)
	q.sequence = true
	q.docs.before = first
	return q
}

// add adds operations, children of which may have been added before, and returns those
// that are nobody's children. They wait for release.
func (q *queue) add(ops []Op) (roots []*task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tasks := make([]task, len(ops))
	first := len(q.all)
	for i := range ops {
		t := &tasks[i]
		t.op, t.index = &ops[i], first+i
		q.all[t.op.Key()] = t
	}
	for i := range tasks {
		t := &tasks[i]
		for _, key := range unique(t.op.Children) {
			c := q.all[key]
			if c == nil || c == t {
				continue
			}
			c.parents = append(c.parents, t)
			t.below = append(t.below, c)
			if !c.over {
				t.waits++
			}
		}
		t.held = true
		q.held = append(q.held, t)
	}
	for i := range tasks {
		if t := &tasks[i]; len(t.parents) == 0 {
			roots = append(roots, t)
		}
	}
	q.left += len(tasks)
	return roots
}

// release lets the operations that were added begin.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.held {
		t.held = false
		q.ready(t)
	}
	q.held = nil
	q.cond.Broadcast()
}

// end tells that no more will be added.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.cond.Broadcast()
}

// unique returns the keys each once.
func unique(all []NodeKey) []NodeKey {
	seen := make(map[NodeKey]bool, len(all))
	var once []NodeKey
	for _, key := range all {
		if !seen[key] {
			seen[key] = true
			once = append(once, key)
		}
	}
	return once
}

// ready puts a task that waits for nothing into its heap.
func (q *queue) ready(t *task) {
	switch {
	case t.waits > 0 || t.over:
	case q.sequence, t.op.Key().Document:
		heap.Push(&q.docs, t)
	case t.op.Node.Desc.Size >= large:
		heap.Push(&q.larges, t)
	default:
		heap.Push(&q.smalls, t)
	}
}

// next waits for a task that may be done now; nil when there will be none.
func (q *queue) next() *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.stopped || q.ended && q.left == 0 {
			return nil
		}
		if t := q.pop(); t != nil {
			return t
		}
		q.cond.Wait()
	}
}

// pop takes the best task that may be done now.
func (q *queue) pop() *task {
	for _, h := range []*taskHeap{&q.docs, &q.larges, &q.smalls} {
		if h == &q.larges && q.busyLarge >= (q.workers+3)/4 {
			continue
		}
		for h.Len() > 0 {
			t := heap.Pop(h).(*task)
			if t.over {
				continue
			}
			if h == &q.larges {
				q.busyLarge++
				t.moving = true
			}
			t.begun = true
			return t
		}
	}
	return nil
}

// drained tells that all bytes of a task have been read.
func (q *queue) drained(t *task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.drain(t) {
		q.cond.Broadcast()
	}
}

// drain takes a task out of those that large bytes of are on their way, and reports
// whether it was.
func (q *queue) drain(t *task) bool {
	if !t.moving {
		return false
	}
	t.moving = false
	q.busyLarge--
	return true
}

// finished tells that a task is done, which may make its parents ready.
func (q *queue) finished(t *task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drain(t)
	q.settle(t)
	q.cond.Broadcast()
}

// settle takes a task out of the count and out of its parents' way.
func (q *queue) settle(t *task) {
	t.over = true
	q.left--
	for _, p := range t.parents {
		p.waits--
		if !p.held {
			q.ready(p)
		}
	}
}

// finishedBelow tells that a task and all below it are done, as far as no worker has
// begun with them. each is called for each of them once.
func (q *queue) finishedBelow(t *task, each func(*task)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for stack := []*task{t}; len(stack) > 0; {
		t := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if t.over || t.begun {
			continue
		}
		q.settle(t)
		each(t)
		stack = append(stack, t.below...)
	}
}

// stop makes next return nil from now on.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.cond.Broadcast()
}

// largest orders tasks by size, the largest first, and those of one size as in the plan.
func largest(a, b *task) bool {
	if a, b := a.op.Node.Desc.Size, b.op.Node.Desc.Size; a != b {
		return a > b
	}
	return first(a, b)
}

// first orders tasks as in the plan.
func first(a, b *task) bool { return a.index < b.index }

// taskHeap has on top the task that is before all others.
type taskHeap struct {
	tasks  []*task
	before func(a, b *task) bool
}

func (h taskHeap) Len() int           { return len(h.tasks) }
func (h taskHeap) Swap(i, j int)      { h.tasks[i], h.tasks[j] = h.tasks[j], h.tasks[i] }
func (h taskHeap) Less(i, j int) bool { return h.before(h.tasks[i], h.tasks[j]) }

// Push is heap.Interface's.
func (h *taskHeap) Push(t any) { h.tasks = append(h.tasks, t.(*task)) }

// Pop is heap.Interface's.
func (h *taskHeap) Pop() any {
	t := h.tasks[len(h.tasks)-1]
	h.tasks = h.tasks[:len(h.tasks)-1]
	return t
}
