package blob

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dhowhq/dhow/transport"
)

// cutter cuts the connection of each request when that many bytes of its body, or of
// the answer's, have passed.
type cutter struct {
	http.Handler
	every   int64
	uploads bool // and not downloads
	cuts    atomic.Int64
	moved   atomic.Int64 // bytes of bodies that passed
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cut := &cut{ResponseWriter: w, in: r.Body, left: c.every, cutter: c}
	if c.uploads && r.ContentLength > 0 {
		r.Body = io.NopCloser(cut)
		c.Handler.ServeHTTP(&silent{ResponseWriter: w, cut: cut}, r)
	} else {
		c.Handler.ServeHTTP(cut, r)
	}
	if cut.done {
		c.cuts.Add(1)
		panic(http.ErrAbortHandler)
	}
}

// cut is one request's body, or answer, that is cut.
type cut struct {
	http.ResponseWriter
	in     io.Reader
	left   int64
	done   bool
	cutter *cutter
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.done = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.cutter.moved.Add(int64(n))
	return n, err
}

func (c *cut) Write(p []byte) (int, error) {
	if c.cutter.uploads {
		return c.ResponseWriter.Write(p)
	}
	n, err := c.ResponseWriter.Write(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.cutter.moved.Add(int64(n))
	if err == nil && n < len(p) {
		c.done = true
		_ = http.NewResponseController(c.ResponseWriter).Flush() // what cannot be flushed is cut as well
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// silent is an answer that does not arrive if the request was cut.
type silent struct {
	http.ResponseWriter
	cut *cut
}

func (s *silent) WriteHeader(status int) {
	if !s.cut.done {
		s.ResponseWriter.WriteHeader(status)
	}
}

func (s *silent) Write(p []byte) (int, error) {
	if s.cut.done {
		return len(p), nil
	}
	return s.ResponseWriter.Write(p)
}

const cutSize, cutEvery = 4 << 20, 64 << 10

func TestDownloadCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, name string, s *host) {
		t.Helper()
		data, desc := random(7, cutSize)
		if _, err := s.repo(t, "team/app", Options{}).Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
			t.Fatal(err)
		}
		for what, opts := range map[string]Options{
			"one stream": {},
			"ranges":     {RangesAbove: 1 << 20, RangeSize: 1 << 20, Ranges: 3},
		} {
			if what == "ranges" && name != "olareg" {
				continue // one is enough: what differs is how a range is answered
			}
			c := &cutter{Handler: s.Config.Handler, every: cutEvery}
			r := serve(t, c).repo(t, "team/app", opts)
			got, err := pull(t.Context(), r, desc, 0)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s: pulled %d bytes after %d cuts, %v", what, len(got), c.cuts.Load(), err)
			}
			if moved := c.moved.Load(); moved > cutSize*11/10 {
				t.Errorf("%s: %d bytes moved, want at most 1.1 times %d", what, moved, cutSize)
			}
			if what != "ranges" {
				continue
			}
			file := &memory{}
			if err := r.FetchTo(t.Context(), desc, file, 0); err != nil || !bytes.Equal(file.data, data) {
				t.Errorf("%s, into a file: %d bytes, %v", what, len(file.data), err)
			}
		}
	})
}

func TestUploadCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, name string, s *host) {
		t.Helper()
		data, desc := random(8, cutSize)
		c := &cutter{Handler: s.Config.Handler, every: cutEvery, uploads: true}
		src := &opened{data: data}
		out, err := serve(t, c).repo(t, "team/app", Options{}).Push(t.Context(), desc, src.open, PushOptions{})
		if name == "ggcr" { // it has no way to ask how far an upload has got
			if err == nil || !strings.Contains(err.Error(), "5 tries in a row") {
				t.Errorf("a registry that cannot be resumed: %v", err)
			}
			return
		}
		if err != nil || out.Action != transport.Copied {
			t.Fatalf("%+v after %d cuts, %v", out, c.cuts.Load(), err)
		}
		if moved := c.moved.Load(); moved > cutSize*11/10 {
			t.Errorf("%d bytes moved, want at most 1.1 times %d", moved, cutSize)
		}
		s.wantBlob(t, "team/app", desc)
		t.Logf("%d cuts; the source was read %d times, %.2f of its bytes", c.cuts.Load(), src.opens.Load(), float64(src.bytes.Load())/cutSize)
	})
}
