package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/registry/wire"
)

// Doer sends a request: authorised, within what is allowed, and again where that may
// help. It follows redirects, obeys the request's context and closes its body, as
// http.Client does. An error is final, but for a request with a body.
type Doer interface {
	// Do returns the answer, whose body the caller closes.
	Do(*http.Request) (*http.Response, error)
}

// Clients are the ways that requests take, which may differ in how they are timed,
// pooled and policed. Where one but Foreign is nil, Control is used.
type Clients struct {
	// Control is for short requests to the registry itself.
	Control Doer
	// Download is for a GET of a blob. The URL may be one that the registry
	// redirected to before; http.Request.Response is then that redirect.
	Download Doer
	// Post is for a request with content to the registry itself.
	Post Doer
	// Foreign is for a GET of a blob at a URL that an image has for it. Nil is none:
	// then there is no OpenForeign.
	Foreign Doer
	// Upload is for a request with content, and for one that completes an upload, at
	// the Location that the registry gave.
	Upload Doer
	// Session is for a short request at such a Location.
	Session Doer
}

// Options say how blobs are moved. The zero value is usable.
type Options struct {
	// Ranges is how many ranges are asked for at once, by all large blobs that are read
	// together. Zero is 8; 1 and below zero is one stream for every blob.
	Ranges int
	// FastEnough is the rate in bytes a second of all large blobs that are read together
	// at which the stream of one is left alone. Zero is 100 MB/s; below zero none is.
	FastEnough int64
	// RangeSize is the size of a range in bytes. Zero is 8 MiB.
	RangeSize int64
	// RangesAbove is the size in bytes above which a blob is read by ranges. Zero is
	// 32 MiB.
	RangesAbove int64
	// Retries is how often in a row a transfer that broke off is gone on with, if that
	// brings no progress. Zero is 5, below zero not at all.
	Retries int
	// Window bounds the memory that ranges wait in for those before them; it may be
	// shared by repositories. Nil is one of 24 MiB for this repository.
	Window *Window
	// PostUpTo is the size in bytes up to which a blob is sent with the request that
	// begins its upload, to a registry that takes it so. Zero is 64 KiB; below zero no
	// blob is.
	PostUpTo int64
	// PutUpTo is the size in bytes up to which a blob is sent in one request. Zero is
	// 256 MiB; below zero every blob is sent in pieces.
	PutUpTo int64
	// PieceSize is the size in bytes of the pieces of a blob that is not sent in one
	// request. Zero is 64 MiB. After a break they are smaller, down to 64 KiB.
	PieceSize int64
}

// Repository is one repository of a registry.
type Repository struct {
	base    *url.URL // with the path of the repository, without a slash at the end
	name    string
	clients Clients
	opts    Options
	wait    time.Duration // that pause begins with

	// noMount is set when the registry has refused to mount from this repository, but
	// not the upload without a mount.
	noMount atomic.Bool
	posts   posts
	// had is set when the registry has had a blob that it was asked for: others may be
	// there too, and reading them ahead be in vain.
	had   atomic.Bool
	large atomic.Int32 // large blobs that are being read
}

// New returns the repository of that name of the registry at base, an http or https
// URL to whose path "/v2/" is added. A base or a name that is none is
// errdefs.ErrInvalidArgument, as are Clients without Control.
func New(base *url.URL, name string, clients Clients, opts Options) (*Repository, error) {
	if base == nil || base.Host == "" || base.User != nil || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("registry %s: not an http or https URL of a host: %w", quoteURL(base), errdefs.ErrInvalidArgument)
	}
	if _, err := reference.WithName("localhost/" + name); err != nil {
		return nil, fmt.Errorf("repository %s of %s: %w: %w", quote(name), base.Host, err, errdefs.ErrInvalidArgument)
	}
	if clients.Control == nil {
		return nil, fmt.Errorf("repository %s of %s: no client: %w", name, base.Host, errdefs.ErrInvalidArgument)
	}
	for _, c := range []*Doer{&clients.Download, &clients.Post, &clients.Upload, &clients.Session} {
		if *c == nil {
			*c = clients.Control
		}
	}
	root := &url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimRight(base.Path, "/") + "/v2/" + name}
	return &Repository{base: root, name: name, clients: clients, opts: opts.filled(), wait: firstWait}, nil
}

// filled returns the options with what zero stands for.
func (o Options) filled() Options {
	if o.Ranges == 0 {
		o.Ranges = 8
	}
	if o.FastEnough == 0 {
		o.FastEnough = 100_000_000
	}
	if o.RangeSize <= 0 {
		o.RangeSize = 8 << 20
	}
	if o.RangesAbove <= 0 {
		o.RangesAbove = 32 << 20
	}
	switch {
	case o.Retries == 0:
		o.Retries = maxTries
	case o.Retries < 0:
		o.Retries = 0
	}
	if o.Window == nil {
		o.Window = NewWindow(24 << 20)
	}
	if o.PostUpTo == 0 {
		o.PostUpTo = 64 << 10
	}
	if o.PutUpTo == 0 {
		o.PutUpTo = 256 << 20
	}
	if o.PieceSize <= 0 {
		o.PieceSize = 64 << 20
	}
	return o
}

// String returns the repository as it is named in messages.
func (r *Repository) String() string { return r.base.Host + "/" + r.name }

// blobURL returns the URL of a blob.
func (r *Repository) blobURL(d digest.Digest) *url.URL { return r.base.JoinPath("blobs", d.String()) }

// check returns the descriptor's digest if it is one of a blob that can be moved.
func check(desc ocispec.Descriptor) (digest.Digest, error) {
	d, err := image.ParseDigest(string(desc.Digest))
	if err != nil {
		return "", err
	}
	if desc.Size < 0 {
		return "", fmt.Errorf("blob %s: a size of %d bytes: %w", d, desc.Size, errdefs.ErrInvalidArgument)
	}
	return d, nil
}

// newRequest returns a request. No encoding is accepted: what is named by its digest
// is the bytes as they are.
func newRequest(ctx context.Context, method string, u *url.URL, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body) //nolint:gosec // the Doer decides what may be asked
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// send sends a request without content.
func send(ctx context.Context, c Doer, method string, u *url.URL) (*http.Response, error) {
	req, err := newRequest(ctx, method, u, http.NoBody)
	if err != nil {
		return nil, err
	}
	return do(ctx, c, req)
}

// do sends a request and takes the queries, which may be signatures, out of an error.
func do(ctx context.Context, c Doer, req *http.Request) (*http.Response, error) {
	resp, err := c.Do(req)
	if err == nil {
		return resp, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = wire.Redact(err)
	if errors.Is(err, io.EOF) { // a connection closed without an answer is not the end of a blob
		return nil, answerError("%v", err)
	}
	return nil, err
}

// accept returns nil for an answer with one of the statuses, and otherwise the error
// that it is; then its body is closed.
func accept(resp *http.Response, statuses ...int) error {
	err := wire.CheckResponse(resp, statuses...)
	switch {
	case errdefs.IsUnauthorized(err):
		return fmt.Errorf("%w: %w", err, errdefs.ErrPermissionDenied)
	case err != nil && resp.StatusCode < 400:
		return fmt.Errorf("%w: %w", err, errdefs.ErrUnavailable)
	}
	return err
}

// maxRest is how much of an answer that nothing is wanted of is read, so that its
// connection can serve again.
const maxRest = 64 << 10

// drain reads the small rest of an answer and closes it. What cannot be read costs
// only the connection.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxRest)
	_ = resp.Body.Close()
}

// answerError returns the error for an answer that the protocol does not have.
func answerError(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrUnavailable)...)
}

// status returns the status of the answer behind an error, and 0 if there is none.
func status(err error) int {
	if answer, ok := errors.AsType[*wire.ResponseError](err); ok {
		return answer.Status
	}
	return 0
}
