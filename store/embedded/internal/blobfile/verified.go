package blobfile

import (
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"
)

// identity tells a file that was not changed from one that was.
type identity struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // Unix nanoseconds
}

// sameFile compares all but the device, whose number another boot may have changed.
func (id identity) sameFile(other identity) bool {
	other.device = id.device
	return id == other
}

// maxVerified is how many files a Dir knows to be verified: some megabytes.
const maxVerified = 1 << 14

// verified are the files that were hashed, or written, by this Dir. The zero value is
// ready, and may be used concurrently.
type verified struct {
	mu    sync.Mutex
	files map[digest.Digest]identity
}

// add notes that a file, which had this info before it was hashed, is the blob.
func (v *verified) add(blob digest.Digest, info fs.FileInfo) {
	id, ok := identify(info)
	if !ok {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.files == nil {
		v.files = map[digest.Digest]identity{}
	}
	if len(v.files) >= maxVerified {
		for other := range v.files { // any one
			delete(v.files, other)
			break
		}
	}
	v.files[blob] = id
}

// has reports whether the file of a blob is known to be it.
func (v *verified) has(blob digest.Digest, info fs.FileInfo) bool {
	id, ok := identify(info)
	v.mu.Lock()
	defer v.mu.Unlock()
	noted, there := v.files[blob]
	return ok && there && noted == id
}

func (v *verified) forget(blob digest.Digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.files, blob)
}
