package embedded

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// uses are the blobs that readers and batches use, which are not collected, and those
// that are just being collected, which nobody begins to use. Its zero value is empty.
type uses struct {
	mu sync.Mutex
	of map[digest.Digest]*use
}

type use struct {
	users int
	going chan struct{} // closed when the collection of the blob has ended; nil if there is none
}

// acquire uses a blob, be it visible or not, until release.
func (u *uses) acquire(ctx context.Context, d digest.Digest) error {
	for {
		u.mu.Lock()
		b := u.of[d]
		if b == nil {
			b = &use{}
			if u.of == nil {
				u.of = map[digest.Digest]*use{}
			}
			u.of[d] = b
		}
		if b.going == nil {
			b.users++
			u.mu.Unlock()
			return nil
		}
		u.mu.Unlock()
		select {
		case <-b.going:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (u *uses) release(d digest.Digest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.of[d]
	if b.users--; b.users == 0 {
		delete(u.of, d)
	}
}

// collect has nobody begin to use a blob until collected, and reports whether nobody
// does.
func (u *uses) collect(d digest.Digest) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of[d] != nil {
		return false
	}
	if u.of == nil {
		u.of = map[digest.Digest]*use{}
	}
	u.of[d] = &use{going: make(chan struct{})}
	return true
}

func (u *uses) collected(d digest.Digest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.of[d].going)
	delete(u.of, d)
}
