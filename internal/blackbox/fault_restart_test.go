package blackbox_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
)

// gate is content that waits at a byte.
type gate struct {
	io.ReadCloser
	left    *atomic.Int64 // of all content, up to that byte
	reached chan struct{} // closed there
	open    chan struct{} // until this is closed
}

func (g gate) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if left := g.left.Add(-int64(n)); left <= 0 && left+int64(n) > 0 {
		close(g.reached)
		<-g.open
	}
	return n, err
}

// TestRegistryRestarts kills a registry in the middle of a copy to it and starts it
// again. The copy goes on.
func TestRegistryRestarts(t *testing.T) {
	t.Parallel()
	size := 4 << 20
	if os.Getenv("DHOW_TEST_LONG") != "" {
		size = 64 << 20
	}
	f := newFaulty(t, 3, size)
	var left atomic.Int64
	left.Store(f.bytes / 3)
	reached, open := make(chan struct{}), make(chan struct{})
	var registry atomic.Pointer[http.Handler]
	is := func(h http.Handler) { registry.Store(&h) }
	is(fault.To(f.destination.Host))
	p := fault.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			r.Body = gate{r.Body, &left, reached, open}
		}
		(*registry.Load()).ServeHTTP(w, r)
	}), fault.Fault{})

	repository := f.repository()
	cmd := exec.CommandContext(t.Context(), dhow, copyTo(f.source.Host, p.Start(t), repository)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-reached:
	case err := <-ended:
		t.Fatal("the copy ended before:", err)
	}
	f.destination.Restart(t)
	is(fault.To(f.destination.Host))
	close(open)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	t.Logf("| the destination is killed after %.1f of %.1f MB, and starts again | %.1f MB moved |",
		float64(f.bytes/3)/1e6, float64(f.bytes)/1e6, float64(p.Counts().Sent())/1e6)
	f.check(t, repository)
}
