package progress

import (
	"io"
	"sync"
)

// Output is a writer that progress and log lines share. While bars are drawn on
// it, what else is written to it is put above them. It is safe for concurrent use.
type Output struct {
	mu    sync.Mutex
	under io.Writer
	above io.Writer
}

// NewOutput returns an Output onto w.
func NewOutput(w io.Writer) *Output { return &Output{under: w} }

// Write writes a line, above the bars if there are any.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.above != nil {
		return o.above.Write(p)
	}
	return o.under.Write(p)
}

// lift makes Write go to w; nil ends that.
func (o *Output) lift(w io.Writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.above = w
}
