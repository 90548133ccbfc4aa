package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/internal/verify"
	"github.com/dhowhq/dhow/transport"
)

// smallBlob is up to which size a blob is verified before it is written.
const smallBlob = 1 << 20

// put writes a node, unless it is there.
func (w *Writer) put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	desc := node.Desc
	check, err := verify.New(desc.Digest, desc.Size)
	if err != nil {
		return transport.Outcome{}, err
	}
	if desc.Size < verify.Unknown {
		return transport.Outcome{}, fmt.Errorf("%s has the size %d: %w", desc.Digest, desc.Size, errdefs.ErrInvalidArgument)
	}
	if isDocument(node.Role) && !slices.Contains(acceptedTypes(), desc.MediaType) {
		return transport.Outcome{}, fmt.Errorf("an archive does not hold documents of type %s: %w", strictjson.Quote(desc.MediaType), errdefs.ErrNotImplemented)
	}
	if size, ok := w.has(desc.Digest); ok {
		return transport.Outcome{Action: transport.Reused}, checkSize(desc, size)
	}
	action := transport.Copied
	err = w.do(ctx, func() error {
		if size, ok := w.has(desc.Digest); ok { // since we waited
			action = transport.Reused
			return checkSize(desc, size)
		}
		return w.write(ctx, node, check, open)
	})
	if err != nil {
		return transport.Outcome{}, err // the job may still use action
	}
	return transport.Outcome{Action: action}, nil
}

// isDocument reports whether a node of that role is a manifest or list.
func isDocument(role image.Role) bool {
	return role == image.RoleIndex || role == image.RoleManifest || role == image.RoleAttestation
}

// write writes a node. Documents and configs are in memory on the way, since it is looked
// into them, and small blobs, so that they are verified before they are written.
func (w *Writer) write(ctx context.Context, node transport.Node, check *verify.Verifier, open transport.Opener) error {
	content, err := open(ctx, 0)
	if err != nil {
		return err
	}
	if node.Desc.Size < 0 {
		staged, err := stage(ctx, content, w.opts)
		if err = errors.Join(err, content.Close()); err != nil {
			return err
		}
		node.Desc.Size, content = staged.size, staged
	}
	limit := w.inMemory(node.Role)
	if node.Desc.Size > limit {
		if isDocument(node.Role) {
			err := fmt.Errorf("%s has %d bytes, the limit is %d: %w", node.Desc.Digest, node.Desc.Size, limit, errdefs.ErrResourceExhausted)
			return errors.Join(err, content.Close())
		}
		return w.writeContent(ctx, node.Desc, content, check)
	}
	data, err := w.readAll(ctx, content, check)
	if err = errors.Join(err, content.Close()); err != nil {
		return err
	}
	return w.writeData(ctx, node, data)
}

// inMemory returns how many bytes of a node may be in memory.
func (w *Writer) inMemory(role image.Role) int64 {
	switch {
	case isDocument(role):
		return w.opts.Limits.DocumentBytes
	case role == image.RoleConfig:
		return max(w.opts.Limits.ConfigBytes, smallBlob)
	}
	return smallBlob
}

// readAll reads small content and verifies it.
func (w *Writer) readAll(ctx context.Context, content io.Reader, check *verify.Verifier) ([]byte, error) {
	var buf bytes.Buffer
	err := w.pump.Copy(ctx, content, check, func(p []byte) error {
		_, err := buf.Write(p)
		return err
	})
	if err == nil {
		err = check.Finish()
	}
	return buf.Bytes(), err
}

// writeData writes a node whose bytes are verified.
func (w *Writer) writeData(ctx context.Context, node transport.Node, data []byte) error {
	facts, err := factsOf(node, data, w.opts)
	if err != nil {
		return err
	}
	desc := node.Desc
	if err := w.blob(ctx, desc, func(name string) error { return w.tar.file(name, data) }); err != nil {
		return err
	}
	w.note(desc, facts)
	return nil
}

// writeContent writes a blob of a known size.
func (w *Writer) writeContent(ctx context.Context, desc ocispec.Descriptor, content io.ReadCloser, check *verify.Verifier) error {
	taken := false
	err := w.blob(ctx, desc, func(name string) error {
		return w.tar.stream(name, desc.Size, func() error {
			taken = true
			return w.out.add(ctx, content, check)
		})
	})
	if !taken {
		err = errors.Join(err, content.Close())
	}
	if err != nil {
		return err
	}
	w.note(desc, facts{})
	return nil
}

// blob writes the entry of a blob, and before that of its directory.
func (w *Writer) blob(ctx context.Context, desc ocispec.Descriptor, write func(name string) error) error {
	name, err := blobName(desc.Digest)
	if err != nil {
		return err
	}
	if err := w.append(ctx, func() error { return w.tar.directory(path.Dir(name)) }); err != nil {
		return err
	}
	return w.append(ctx, func() error { return write(name) })
}
