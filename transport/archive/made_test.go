package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/transport/transporttest"
)

// emptyFrames is 1 GiB of frames of zstd that hold nothing, behind a head and before zeros.
type emptyFrames struct{ head []byte }

const emptyFramesSize = 1 << 30

func (e emptyFrames) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	from := off - int64(len(e.head))
	for i := range p {
		switch at := from + int64(i); {
		case at < 0:
			p[i] = e.head[off+int64(i)]
		case at < emptyFramesSize:
			p[i] = "\x50\x2a\x4d\x18\x00\x00\x00\x00"[at%8]
		}
	}
	return len(p), nil
}

// TestLayerOfNothing shows that a layer which is read and never becomes a byte holds nobody up.
func TestLayerOfNothing(t *testing.T) {
	t.Parallel()
	config := `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("a", 64) + `"]}}`
	members := testarchive.Archive{
		{Name: "manifest.json", Data: `[{"Config":"c.json","RepoTags":null,"Layers":["l"]}]`},
		{Name: "c.json", Data: config},
	}.Pack(t)
	var head bytes.Buffer
	head.Write(bytes.TrimRight(members, "\x00"))
	head.Write(make([]byte, -head.Len()&511))
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "l", Typeflag: tar.TypeReg, Size: emptyFramesSize}); err != nil {
		t.Fatal(err)
	}
	size := int64(head.Len()) + emptyFramesSize + 1024
	r, err := NewReaderAt(t.Context(), io.NewSectionReader(emptyFrames{head.Bytes()}, 0, size), size, Docker, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer transporttest.Close(t, r)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := r.Images(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
		t.Errorf("Images: %v after %v", err, time.Since(start))
	}
}
