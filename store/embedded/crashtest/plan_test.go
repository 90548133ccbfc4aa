package crashtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// kind is what an operation does. Each is one call that is to happen or not, with what
// belongs to it.
type kind string

const (
	makeLease kind = "make a lease"
	endLease  kind = "end a lease"
	publish   kind = "publish an image with names"
	put       kind = "publish blobs"
	hold      kind = "hold blobs"
	move      kind = "move names"
	remove    kind = "remove names"
	collect   kind = "collect"
)

// way is how large blobs are written.
type way int

const (
	whole   way = iota
	cut         // a first Put ends in the middle
	writers     // by a Writer, as the bytes come
	ways
)

// op is an operation of a lane.
type op struct {
	n     int // of the lane's
	kind  kind
	lease string
	nodes []node // to publish
	way   way
	holds []digest.Digest
	moves []store.Move
}

// planner has the operations of one lane, one after another, and what there is to be
// after them.
type planner struct {
	c    *contents
	lane int
	r    *rand.Rand
	n    int // of the operation that is next
	made int // leases
	m    *model
}

// newPlanner returns the planner of a lane after n operations.
func newPlanner(c *contents, seed uint64, lane, n int) *planner {
	p := &planner{c: c, lane: lane, r: random(seed, uint64(lane)), m: newModel()}
	for p.n < n {
		p.next()
	}
	return p
}

// next returns the next operation, which has been applied to the model.
func (p *planner) next() op {
	o := p.choose()
	o.n = p.n
	p.m.apply(o)
	p.n++
	return o
}

const maxLeases = 3

// choose chooses an operation that can be done.
func (p *planner) choose() op {
	if len(p.m.leases) == 0 {
		return p.makeLease()
	}
	switch n := p.r.IntN(100); {
	case n < 8 && len(p.m.leases) < maxLeases:
		return p.makeLease()
	case n < 20:
		return op{kind: endLease, lease: p.lease()}
	case n < 45:
		return p.publish()
	case n < 62:
		return p.put()
	case n < 68:
		return op{kind: hold, lease: p.lease(), holds: p.anyHolds()}
	case n < 80:
		return p.move()
	case n < 90:
		return p.remove()
	default:
		return op{kind: collect}
	}
}

func (p *planner) makeLease() op {
	p.made++
	return op{kind: makeLease, lease: fmt.Sprintf("%d-%d", p.lane, p.made)}
}

// lease chooses a lease.
func (p *planner) lease() string { return pick(p.r, p.m.leases) }

// pick chooses a key, the same one for the same state of chance.
func pick[K ~string, V any](r *rand.Rand, of map[K]V) K {
	keys := slices.Sorted(maps.Keys(of))
	return keys[r.IntN(len(keys))]
}

func (p *planner) publish() op {
	im := p.c.images[p.lane][p.r.IntN(laneImages)]
	o := op{kind: publish, lease: p.lease(), nodes: im.nodes, way: way(p.r.IntN(int(ways)))}
	for _, name := range p.someNames(1) {
		o.moves = append(o.moves, p.moveTo(name, im.root))
	}
	return o
}

func (p *planner) put() op {
	o := op{kind: put, lease: p.lease(), way: way(p.r.IntN(int(ways)))}
	if p.r.IntN(12) == 0 {
		o.way, o.nodes = whole, p.c.many
		return o
	}
	for _, i := range p.r.Perm(poolSize)[:1+p.r.IntN(6)] {
		o.nodes = append(o.nodes, node{p.c.pool[i], image.RoleLayer})
	}
	return o
}

// anyHolds are blobs that are there or not.
func (p *planner) anyHolds() []digest.Digest {
	all := []digest.Digest{p.c.pool[p.r.IntN(poolSize)].Digest, p.c.pool[p.r.IntN(poolSize)].Digest}
	if roots := p.roots(); len(roots) > 0 {
		all = append(all, roots[p.r.IntN(len(roots))].Digest)
	}
	return all
}

// roots are those of images that the lane has kept since they were published.
func (p *planner) roots() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for _, im := range p.c.images[p.lane] {
		if p.m.needed(im.root.Digest) {
			all = append(all, im.root)
		}
	}
	return all
}

// someNames chooses some of the lane's names.
func (p *planner) someNames(atLeast int) []string {
	var all []string
	for _, n := range p.r.Perm(laneNames)[:atLeast+p.r.IntN(2)] {
		all = append(all, fmt.Sprintf("%s:%d", repository(p.lane), n))
	}
	return all
}

// repository is that of all names of a lane.
func repository(lane int) string { return fmt.Sprintf("crash.test/lane%d/app", lane) }

func (p *planner) moveTo(name string, root ocispec.Descriptor) store.Move {
	m := store.Move{
		Name: name, To: target(root),
		Forget: p.r.IntN(4) == 0,
	}
	if p.r.IntN(2) == 0 {
		m.Labels = map[string]string{labelKey: fmt.Sprint(p.n)}
	}
	if p.r.IntN(2) == 0 {
		m.If = store.Condition{Digest: p.m.names[name].Target, Absent: p.m.names[name].Target == ""}
	}
	return m
}

func (p *planner) move() op {
	roots := p.roots()
	if len(roots) == 0 {
		return p.publish()
	}
	o := op{kind: move}
	for _, name := range p.someNames(1) {
		o.moves = append(o.moves, p.moveTo(name, roots[p.r.IntN(len(roots))]))
	}
	return o
}

// remove removes names, or a dangling record.
func (p *planner) remove() op {
	if len(p.m.dangling) > 0 && p.r.IntN(2) == 0 {
		return op{kind: remove, moves: []store.Move{{Name: "@" + string(pick(p.r, p.m.dangling))}}}
	}
	o := op{kind: remove}
	for _, name := range p.someNames(1) {
		o.moves = append(o.moves, store.Move{Name: name, Forget: p.r.IntN(3) == 0})
	}
	return o
}
