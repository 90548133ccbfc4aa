package service

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/decompress"
	"github.com/dhowhq/dhow/store"
)

// layer writes a tar archive as a layer, and returns the digest of the plain one as well.
func (st *staging) layer(ctx context.Context, r io.Reader, limit int64) (desc ocispec.Descriptor, diffID digest.Digest, err error) {
	name := "import-" + st.lease
	w, err := st.batch.Writer(ctx, name)
	if err != nil {
		return desc, "", err
	}
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, w.Close())
		if bad := st.s.store.Abort(st.base, name); bad != nil && !errdefs.IsNotFound(bad) {
			err = errors.Join(err, bad)
		}
	}()
	stream := cancellable(ctx, r)
	defer stream.Close()
	if desc.MediaType, diffID, err = fillLayer(ctx, w, stream, limit); err != nil {
		return desc, "", err
	}
	if err := ctx.Err(); err != nil {
		return desc, "", err
	}
	if desc.Digest, err = w.Digest(digest.SHA256); err != nil {
		return desc, "", err
	}
	desc.Size = w.Offset()
	return desc, diffID, w.Commit(ctx, desc, image.RoleLayer)
}

// cancellable returns a reader of a stream that fails when the context ends, even if the
// stream does not. Only then a read of the stream may be left behind.
func cancellable(ctx context.Context, r io.Reader) io.ReadCloser {
	pr, pw := io.Pipe()
	stop := context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	go func() {
		defer stop()
		_, err := io.CopyBuffer(struct{ io.Writer }{pw}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		pw.CloseWithError(err)
	}()
	return pr
}

// fillLayer copies a tar archive, which it checks to be one, into a layer, and returns the
// type of that and the digest of the plain archive.
func fillLayer(ctx context.Context, w store.Writer, r io.Reader, limit int64) (mediaType string, diffID digest.Digest, err error) {
	buffered := bufio.NewReaderSize(&bounded{r: r, left: limit, limit: limit}, 256<<10)
	head, err := buffered.Peek(decompress.SniffLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", "", err
	}
	if len(head) == 0 {
		return "", "", fmt.Errorf("the archive is empty: %w", errdefs.ErrInvalidArgument)
	}
	format := decompress.Sniff(head)
	mediaType = ocispec.MediaTypeImageLayerGzip
	if format == decompress.Gzip || format == decompress.Zstd {
		if format == decompress.Zstd {
			mediaType = ocispec.MediaTypeImageLayerZstd
		}
		raw := io.TeeReader(buffered, w)
		plain, err := decompress.NewReader(ctx, format, raw)
		if err != nil {
			return "", "", err
		}
		defer plain.Close()
		if diffID, err = digestTar(plain, limit); err == nil {
			_, err = io.Copy(io.Discard, raw)
		}
		return mediaType, diffID, err
	}
	plain, err := decompress.NewReader(ctx, format, buffered)
	if err != nil {
		return "", "", err
	}
	defer plain.Close()
	compressor := gzip.NewWriter(w)
	if diffID, err = digestTar(io.TeeReader(plain, compressor), limit); err == nil {
		err = compressor.Close()
	}
	return mediaType, diffID, err
}

// tarBlock is the size of what a tar archive consists of.
const tarBlock = 512

// digestTar reads a tar archive to its end, and returns its digest. Nothing of it is kept.
func digestTar(r io.Reader, limit int64) (digest.Digest, error) {
	digester := digest.SHA256.Digester()
	in := &bounded{r: io.TeeReader(r, digester.Hash()), left: limit, limit: limit}
	archive := tar.NewReader(in)
	for {
		_, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && (limit-in.left)%tarBlock != 0:
			return "", fmt.Errorf("the archive is cut off: %w", errdefs.ErrInvalidArgument)
		case errors.Is(err, io.EOF):
			_, err = io.Copy(io.Discard, in) // what is behind the end is of the layer as well
			return digester.Digest(), err
		case errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrFieldTooLong):
			return "", fmt.Errorf("it is no tar archive, or is cut off: %w: %w", err, errdefs.ErrInvalidArgument)
		case err != nil && !errors.Is(err, tar.ErrInsecurePath): // a name is data here
			return "", err
		}
	}
}

// bounded fails when there is more than a limit.
type bounded struct {
	r           io.Reader
	left, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the archive has more than %d bytes: %w", b.limit, errdefs.ErrResourceExhausted)
	}
	return n, err
}
