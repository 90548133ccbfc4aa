package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/internal/verify"
	"github.com/dhowhq/dhow/transport"
)

// Has implements transport.Presence. It reads and verifies what is there. Blobs
// are Complete; what manifests and lists point at is not looked for.
func (d *Destination) Has(ctx context.Context, node transport.Node) (transport.Have, error) {
	node, err := checkNode(node)
	if err != nil {
		return transport.Absent, d.ref.at("looking for content", err)
	}
	there, err := d.has(ctx, node)
	if err != nil {
		return transport.Absent, d.ref.at("looking for "+node.Desc.Digest.String(), err)
	}
	switch {
	case !there:
		return transport.Absent, nil
	case isDocument(node):
		return transport.Present, nil
	}
	return transport.Complete, nil
}

// Put implements transport.Destination. A manifest or list beyond
// Limits.DocumentBytes is errdefs.ErrResourceExhausted. A blob of size -1 is
// verified by its digest alone.
func (d *Destination) Put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	node, err := checkNode(node)
	if err != nil {
		return transport.Outcome{}, d.ref.at("writing content", err)
	}
	out, err := d.put(ctx, node, open)
	if err != nil {
		return transport.Outcome{}, d.ref.at("writing "+node.Desc.Digest.String(), err)
	}
	return out, nil
}

func (d *Destination) put(ctx context.Context, node transport.Node, open transport.Opener) (transport.Outcome, error) {
	there, err := d.has(ctx, node)
	if err != nil {
		return transport.Outcome{}, err
	}
	if there {
		return transport.Outcome{Action: transport.Reused}, nil
	}
	if err := d.prepare(ctx); err != nil {
		return transport.Outcome{}, err
	}
	first := func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, 0) }
	if isDocument(node) {
		err = d.putDocument(ctx, node, first)
	} else {
		_, writer := d.opened()
		err = writer.Put(ctx, durable.File{Name: fileOf(node), Digest: node.Desc.Digest, Size: node.Desc.Size}, first)
	}
	if err != nil {
		return transport.Outcome{}, err
	}
	d.notePut(fileOf(node))
	return transport.Outcome{Action: transport.Copied}, nil
}

func (d *Destination) putDocument(ctx context.Context, node transport.Node, open func(context.Context) (io.ReadCloser, error)) error {
	_, writer := d.opened()
	var data []byte
	err := writer.Do(ctx, func() (err error) { // a source may not obey the context
		data, err = readDocument(ctx, node.Desc, open, d.opts.Limits.DocumentBytes)
		return err
	})
	if err != nil {
		return err
	}
	// The digest of a signed schema 1 manifest is not that of the file.
	file := durable.File{Name: fileOf(node), Digest: digest.FromBytes(data), Size: int64(len(data))}
	return writer.Put(ctx, file, func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	})
}

// checkNode checks a node's descriptor.
func checkNode(node transport.Node) (transport.Node, error) {
	d, err := image.ParseDigest(string(node.Desc.Digest))
	if err == nil && node.Desc.Size < -1 {
		err = fmt.Errorf("%s has the size %d: %w", d, node.Desc.Size, errdefs.ErrInvalidArgument)
	}
	return node, err
}

// isDocument reports whether a node is kept as a manifest. A layer is none,
// whatever its type.
func isDocument(node transport.Node) bool {
	return node.Role != image.RoleConfig && node.Role != image.RoleLayer && image.IsDocument(node.Desc.MediaType)
}

// fileOf names the file of a node.
func fileOf(node transport.Node) string {
	if isDocument(node) {
		return manifestName(node.Desc.Digest)
	}
	return blobName(node.Desc.Digest)
}

// readDocument reads a manifest or list and verifies it.
func readDocument(ctx context.Context, desc ocispec.Descriptor, open func(context.Context) (io.ReadCloser, error), limit int64) ([]byte, error) {
	if desc.Size > limit {
		return nil, fmt.Errorf("it has %d bytes, the limit for a manifest is %d: %w", desc.Size, limit, errdefs.ErrResourceExhausted)
	}
	r, err := open(ctx)
	if err != nil {
		return nil, err
	}
	most := limit
	if desc.Size >= 0 {
		most = desc.Size
	}
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes, the limit for a manifest: %w", limit, errdefs.ErrResourceExhausted)
	}
	return data, image.VerifyBytes(data, desc)
}

// has reports whether the node's bytes are there, and notes that they are wanted
// if so. The root of the image that is there is found in manifest.json.
func (d *Destination) has(ctx context.Context, node transport.Node) (bool, error) {
	root, _ := d.opened()
	if root == nil {
		return false, ctx.Err()
	}
	name := fileOf(node)
	if d.wants(name) {
		return true, ctx.Err()
	}
	there, err := d.verified(ctx, root, name, node)
	if err != nil {
		return false, err
	}
	if !there && isDocument(node) {
		there, err = d.verified(ctx, root, rootName, node)
	}
	if there && err == nil {
		d.noteFound(name)
	}
	return there, err
}

// verified reports whether a file is there and has the bytes of the node. Damage
// is logged: a Put heals it.
func (d *Destination) verified(ctx context.Context, root *os.Root, name string, node transport.Node) (bool, error) {
	var err error
	if isDocument(node) {
		var data []byte
		if data, err = rootfile.Read(root, name, d.opts.Limits.DocumentBytes); err == nil {
			err = image.VerifyBytes(data, node.Desc)
		}
	} else {
		err = verifyFile(ctx, root, name, node.Desc)
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return false, ctxErr
	}
	if err != nil && name != rootName && !errdefs.IsNotFound(err) {
		d.opts.Logger.Warn("a file is not what its name says", "directory", d.ref.path, "file", name, "error", err)
	}
	return err == nil, nil
}

// verifyFile hashes a file.
func verifyFile(ctx context.Context, root *os.Root, name string, desc ocispec.Descriptor) error {
	f, err := rootfile.Open(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	return verify.Stream(ctx, f, desc.Digest, desc.Size)
}
