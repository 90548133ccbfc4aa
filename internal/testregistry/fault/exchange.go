package fault

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

var errCut = errors.New("the connection is cut")

// content is what a request sends of a blob.
type content struct {
	io.ReadCloser
	proxy  *Proxy
	client string        // its address
	length int64         // as the request says it
	blob   digest.Digest // empty if the request does not say it
	read   int64
	cut    atomic.Bool
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	room := c.room(int64(len(p)))
	switch {
	case c.cut.Load():
		return 0, io.ErrUnexpectedEOF
	case room == 0 && c.read == c.length:
		return 0, io.EOF
	case room == 0:
		c.cut.Store(true)
		c.proxy.cutContent(c.client)
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:room])
	c.read += int64(n)
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	c.proxy.counts.Contents[c.blob] += int64(n)
	c.proxy.contents[c.client] += int64(n)
	return n, err
}

// room returns how many of n bytes may come.
func (c *content) room(n int64) int64 {
	limit := c.proxy.fault.CutContent
	if limit == 0 {
		return n
	}
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return min(n, limit-c.proxy.contents[c.client])
}

// cutContent counts a cut, after which another connection may have the address.
func (p *Proxy) cutContent(client string) {
	p.failed()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.contents, client)
}

// afterCut is an answer that does not arrive if the content was cut.
type afterCut struct {
	http.ResponseWriter
	content *content
}

// WriteHeader implements http.ResponseWriter.
func (a afterCut) WriteHeader(status int) {
	if !a.content.cut.Load() {
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (a afterCut) Write(p []byte) (int, error) {
	if a.content.cut.Load() {
		return 0, errCut
	}
	return a.ResponseWriter.Write(p)
}

// answer is that to a question for a blob.
type answer struct {
	http.ResponseWriter
	proxy   *Proxy
	request *http.Request
	blob    digest.Digest
	refused bool // it is no blob
	written int64
	cut     bool
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.refused = status/100 != 2
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.cut {
		return 0, errCut
	}
	if a.refused {
		return a.ResponseWriter.Write(p)
	}
	n, then := a.room(int64(len(p)))
	if f := a.proxy.fault; f.Damage && f.concerns(a.blob) && a.written == 0 && n > 0 {
		p = append([]byte{p[0] ^ 1}, p[1:]...)
		a.proxy.failed()
	}
	wrote, err := a.ResponseWriter.Write(p[:n])
	a.written += int64(wrote)
	if err != nil || then == goOn {
		return wrote, err
	}
	a.proxy.failed()
	_ = http.NewResponseController(a.ResponseWriter).Flush() // what cannot be flushed is cut as well
	if then == stall {
		<-a.request.Context().Done()
	}
	a.cut = true
	return wrote, errCut
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// next is what happens after some bytes.
type next int

const (
	goOn next = iota
	cut
	stall
)

// room returns how many of n bytes may go, and what happens then.
func (a *answer) room(n int64) (int64, next) {
	p, f, address := a.proxy, a.proxy.fault, a.request.RemoteAddr
	p.mu.Lock()
	defer p.mu.Unlock()
	then := goOn
	limit := func(left int64, what next) {
		if left < n {
			n, then = left, what
		}
	}
	if f.CutAnswer > 0 {
		limit(f.CutAnswer-a.written, cut)
	}
	if f.CutConnection > 0 {
		limit(f.CutConnection-p.answers[address], cut)
	}
	if f.StallAnswer > 0 && f.concerns(a.blob) && (f.Stalls == 0 || p.stalls < f.Stalls) {
		limit(f.StallAnswer-a.written, stall)
	}
	p.counts.Answers[a.blob] += n
	p.answers[address] += n
	switch then {
	case cut:
		delete(p.answers, address) // another connection may have it
	case stall:
		p.stalls++
	}
	return n, then
}
