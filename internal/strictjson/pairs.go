package strictjson

// pair is a member of an object of strings.
type pair struct{ name, value string }

// pairs holds the members of an object until their number is known: to fill a map
// of the right size at once takes half the time of growing one. In chunks, they
// are never copied.
type pairs struct {
	chunks [][]pair
	n      int
}

// The sizes of chunks: each is twice the one before, within these.
const (
	smallChunk = 4
	largeChunk = 512
)

func (p *pairs) add(one pair) {
	last := len(p.chunks) - 1
	switch {
	case last < 0:
		p.chunks = append(p.chunks, make([]pair, 0, smallChunk))
		last++
	case len(p.chunks[last]) == cap(p.chunks[last]):
		p.chunks = append(p.chunks, make([]pair, 0, min(largeChunk, 2*cap(p.chunks[last]))))
		last++
	}
	p.chunks[last] = append(p.chunks[last], one)
	p.n++
}

// asMap returns the pairs as a map; of a name that is there twice, the last one.
func (p *pairs) asMap() map[string]string {
	all := make(map[string]string, p.n)
	for _, chunk := range p.chunks {
		for _, one := range chunk {
			all[one.name] = one.value
		}
	}
	return all
}

// twice returns the first name that comes again, or "" if none does.
func (p *pairs) twice() string {
	seen := map[string]struct{}{}
	for _, chunk := range p.chunks {
		for _, one := range chunk {
			if _, again := seen[one.name]; again {
				return one.name
			}
			seen[one.name] = struct{}{}
		}
	}
	return ""
}
