package wire

import (
	"io"
	"net"
	"sync"
)

// chunk is how much of a body is written at once. The 32 KiB of net/http cost four times
// as many system calls, which are a tenth of what a fast copy takes.
const chunk = 128 << 10

// chunks are buffers for bodies, which the connections of a transport share.
type chunks struct{ pool sync.Pool }

func newChunks() *chunks {
	return &chunks{pool: sync.Pool{New: func() any { return new([chunk]byte) }}}
}

// wideConn is a connection that takes bodies in larger pieces.
type wideConn struct {
	net.Conn
	chunks *chunks
}

// ReadFrom writes what a reader has. It is what net/http calls for a body.
func (c *wideConn) ReadFrom(r io.Reader) (int64, error) {
	to := struct{ io.Writer }{c.Conn} // without a ReadFrom
	if l, ok := r.(*io.LimitedReader); ok && l.N <= chunk/4 {
		return io.Copy(to, r)
	}
	buf, _ := c.chunks.pool.Get().(*[chunk]byte)
	defer c.chunks.pool.Put(buf)
	return io.CopyBuffer(to, r, buf[:])
}
