package wire

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// recorder is a connection that notes what is written at once.
type recorder struct {
	net.Conn
	data   bytes.Buffer
	writes []int
}

func (r *recorder) Write(p []byte) (int, error) {
	r.writes = append(r.writes, len(p))
	return r.data.Write(p)
}

// TestChunks: a large body goes in large pieces, and every body arrives as it is.
func TestChunks(t *testing.T) {
	t.Parallel()
	shared := newChunks()
	for _, size := range []int{0, 1, chunk / 4, chunk/4 + 1, chunk, chunk + 1, 5*chunk - 1} {
		body := bytes.Repeat([]byte("0123456789abc"), size/13+1)[:size]
		var to recorder
		n, err := (&wideConn{Conn: &to, chunks: shared}).ReadFrom(io.LimitReader(bytes.NewReader(append(body, "more"...)), int64(size)))
		if err != nil || n != int64(size) || !bytes.Equal(to.data.Bytes(), body) {
			t.Errorf("%d bytes: %d, %v", size, n, err)
		}
		if most := (size + chunk - 1) / chunk; len(to.writes) > most {
			t.Errorf("%d bytes were written in %d pieces, want %d at most", size, len(to.writes), most)
		}
	}
}
