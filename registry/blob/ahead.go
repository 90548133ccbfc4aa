package blob

import (
	"context"
	"io"
)

// aheadUpTo is the size in bytes up to which a blob is read while the registry is asked
// whether it wants it: it then needs one round trip less.
const aheadUpTo = 2 << 20

// ahead begins to read the content into memory of the window, if there is enough of it
// now, and returns what waits for that. An error of the content is for who reads of it.
// Nothing that is read waits for a request that was not sent yet, so no upload can wait
// for a download that waits for it.
func (p *push) ahead() (wait func()) {
	size := p.content.desc.Size
	if !p.opts.Ahead || size <= 0 || size > aheadUpTo || p.opts.MountFrom != "" || p.tries > 0 || p.repo.had.Load() {
		return func() {}
	}
	memory := p.repo.opts.Window.all(size)
	if memory == nil {
		return func() {}
	}
	p.memory = memory
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.content.keep(memory) // it is noted there
	}()
	return func() { <-done }
}

// room is memory for a blob, in pieces of one size but for the last.
type room []*slab

// all returns room for so many bytes, or nil if there is not enough now. Three
// quarters of the window are left to ranges.
func (w *Window) all(size int64) room {
	var m room
	for ; size > 0; size -= slabSize {
		var s *slab
		if len(w.slabs) > cap(w.slabs)*3/4 {
			s = w.try(nil)
		}
		if s == nil {
			m.release()
			return nil
		}
		s.rest = s.memory[:min(size, slabSize)]
		m = append(m, s)
	}
	return m
}

func (m room) release() {
	for _, s := range m {
		s.release()
	}
}

// fill fills the room.
func (m room) fill(r io.Reader) error {
	for _, s := range m {
		if _, err := io.ReadFull(r, s.rest); err != nil {
			return err
		}
	}
	return nil
}

// open is a transport.Opener of what is there.
func (m room) open(_ context.Context, from int64) (io.ReadCloser, error) {
	r := &roomReader{}
	for _, s := range m {
		skip := min(from, int64(len(s.rest)))
		r.rest, from = append(r.rest, s.rest[skip:]), from-skip
	}
	return io.NopCloser(r), nil
}

// roomReader reads pieces one after another.
type roomReader struct{ rest [][]byte }

func (r *roomReader) Read(p []byte) (int, error) {
	for len(r.rest) > 0 && len(r.rest[0]) == 0 {
		r.rest = r.rest[1:]
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest[0])
	r.rest[0] = r.rest[0][n:]
	return n, nil
}
