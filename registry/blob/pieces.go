package blob

const (
	// floorPiece is the size in bytes below which pieces do not become smaller.
	floorPiece = 64 << 10
	// growAfter is how many pieces in a row have to arrive before they become larger.
	// Where connections break at a certain size, one in so many is then too large.
	growAfter = 16
)

// pieces decides how large the next piece of an upload is. What was sent beyond the
// break of a connection is lost, and may be megabytes in its buffers, so after a break
// pieces are as large as what arrived before it, and grow slowly.
type pieces struct {
	size  int64 // of the next one
	most  int64
	floor int64
	row   int // that arrived
}

func newPieces(size int64) pieces {
	return pieces{size: size, most: size, floor: min(floorPiece, size)}
}

// atLeast sets the least size that the registry takes.
func (p *pieces) atLeast(least int64) {
	p.floor = max(p.floor, least)
	p.most = max(p.most, p.floor)
	p.set(p.size)
}

func (p *pieces) set(size int64) { p.size = min(max(size, p.floor), p.most) }

// arrived notes that a piece did.
func (p *pieces) arrived() {
	if p.row++; p.row == growAfter {
		p.row = 0
		p.set(2 * p.size)
	}
}

// broke notes that a request broke off when so many bytes of it had been sent, of
// which the registry has kept some.
func (p *pieces) broke(sent, kept int64) {
	p.row = 0
	switch {
	case kept > 0:
		p.set(min(p.size, kept))
	case sent > 0: // it keeps only what is complete
		p.set(min(p.size, sent) / 4)
	}
}

// tooLarge notes that the registry does not take a request of that many bytes, and
// reports whether there are smaller ones.
func (p *pieces) tooLarge(asked int64) bool {
	if asked <= p.floor {
		return false
	}
	p.row = 0
	p.most = max(min(p.most, asked/4), p.floor)
	p.set(p.size)
	return true
}
