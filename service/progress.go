package service

import "github.com/dhowhq/dhow/copy"

// progress makes the events of copies that run one after the other those of one copy: the
// totals grow with each, and nothing is committed before all are.
type progress struct {
	tell   func(copy.Event) // nil: nobody is told
	begun  bool
	before copy.Event // the totals of the copies that have ended
	last   copy.Event // of all, with the totals
}

// next returns what is told of the next copy.
func (p *progress) next() func(copy.Event) {
	if p.tell == nil {
		return nil
	}
	p.before = p.last
	return func(e copy.Event) {
		e.Done += p.before.Done
		e.Total += p.before.Total
		e.Finished += p.before.Finished
		e.Count += p.before.Count
		p.last = e
		switch {
		case e.Kind == copy.EventCommitted:
			return
		case e.Kind == copy.EventPlanned && p.begun:
			e.Kind = copy.EventGrown
		}
		p.begun = true
		p.tell(e)
	}
}

// committed tells that all has become visible.
func (p *progress) committed() {
	if p.tell != nil {
		p.tell(copy.Event{
			Kind: copy.EventCommitted,
			Done: p.last.Done, Total: p.last.Total, Finished: p.last.Finished, Count: p.last.Count,
		})
	}
}
