package crashtest

import (
	"maps"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
)

// model is what there has to be of one lane: its names, its dangling records and its
// leases are nobody else's.
type model struct {
	names    map[string]record
	dangling map[digest.Digest]record
	leases   map[string]lease
}

type record struct {
	Target digest.Digest
	Label  string // what its only label says
}

// lease has what a lease holds, and of each whether it must be visible.
type lease map[digest.Digest]bool

func newModel() *model {
	return &model{names: map[string]record{}, dangling: map[digest.Digest]record{}, leases: map[string]lease{}}
}

func (m *model) clone() *model {
	c := &model{names: maps.Clone(m.names), dangling: maps.Clone(m.dangling), leases: map[string]lease{}}
	for id, l := range m.leases {
		c.leases[id] = maps.Clone(l)
	}
	return c
}

// apply does what an operation does.
func (m *model) apply(o op) {
	switch o.kind {
	case makeLease:
		m.leases[o.lease] = lease{}
	case endLease:
		delete(m.leases, o.lease)
	case publish, put:
		for _, n := range o.nodes {
			m.leases[o.lease][n.desc.Digest] = true
		}
	case hold:
		for _, d := range o.holds {
			m.leases[o.lease][d] = m.leases[o.lease][d] || m.needed(d)
		}
	}
	m.move(o.moves)
}

// needed reports whether something of the lane that was there has kept a blob.
func (m *model) needed(d digest.Digest) bool {
	for _, l := range m.leases {
		if l[d] {
			return true
		}
	}
	return m.recorded(d)
}

// recorded reports whether a name or a dangling record points at a digest.
func (m *model) recorded(d digest.Digest) bool {
	_, is := m.dangling[d]
	return is || m.named(d)
}

func (m *model) named(d digest.Digest) bool {
	for _, r := range m.names {
		if r.Target == d {
			return true
		}
	}
	return false
}

// move moves names as store.Names says.
func (m *model) move(moves []store.Move) {
	before := make([]record, len(moves))
	for i, mv := range moves {
		before[i] = m.names[mv.Name]
		switch {
		case mv.Name[0] == '@':
			delete(m.dangling, digest.Digest(mv.Name[1:]))
		case mv.To.Digest == "":
			delete(m.names, mv.Name)
		default:
			r := record{mv.To.Digest, before[i].Label}
			if mv.Labels != nil {
				r.Label = mv.Labels[labelKey]
			}
			m.names[mv.Name] = r
		}
	}
	for i, mv := range moves {
		delete(m.dangling, mv.To.Digest)
		old := before[i]
		if old.Target == "" || old.Target == mv.To.Digest || mv.Forget || m.named(old.Target) {
			continue
		}
		if _, is := m.dangling[old.Target]; !is {
			m.dangling[old.Target] = old
		}
	}
}

// labelKey is the key of the only label.
const labelKey = "crashtest"
