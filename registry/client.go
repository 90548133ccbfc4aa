package registry

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// Options are what all requests of a Client have in common. The zero value asks
// every registry anonymously, by https and at its own name.
type Options struct {
	// Hosts is the configuration of registries. Nil is none: every registry is asked
	// by https at its own name, and the machine's files are not read.
	Hosts *hosts.Config
	// Credentials is asked for the host of each endpoint and the repository there.
	// Nil is anonymous.
	Credentials credentials.Store
	// Wire is how requests are sent. TLS, Proxy and DialTimeout are asked where Hosts
	// says nothing.
	Wire wire.Options
	// Policy returns what the operator allows an endpoint beyond the default. Nil is
	// the default for all.
	Policy func(wire.Origin) wire.Policy
	// Blobs are how the contents of blobs are moved. Repositories share the Window.
	Blobs blob.Options
	// Limits bound what is read: DocumentBytes a manifest, list or index.
	Limits image.Limits
	// Logger is told of what was left out of an answer or is odd about it, at the
	// level of warnings. Nil is nobody.
	Logger *slog.Logger
}

// Client is the way to registries. It keeps connections, tokens, and what it learned
// of each server for as long as it lives. It is safe for use by several goroutines
// at once.
type Client struct {
	opts Options
	log  *slog.Logger

	maxPages int // of one list; a test has fewer

	mu        sync.Mutex
	factories map[connections]*factory
	servers   map[string]*server
}

// blobWindow is the memory in bytes that all downloads by ranges share.
const blobWindow = 20 << 20

// NewClient returns a client. Options that contradict themselves are
// errdefs.ErrInvalidArgument.
func NewClient(opts Options) (*Client, error) {
	if opts.Limits.DocumentBytes < 0 {
		return nil, fmt.Errorf("a limit of %d bytes for documents: %w", opts.Limits.DocumentBytes, errdefs.ErrInvalidArgument)
	}
	opts.Limits = opts.Limits.WithDefaults()
	c := &Client{opts: opts, log: opts.Logger, maxPages: maxPages, factories: map[connections]*factory{}, servers: map[string]*server{}}
	if c.opts.Blobs.Window == nil {
		c.opts.Blobs.Window = blob.NewWindow(blobWindow)
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Close closes the connections that are not in use. What is in use goes on.
func (c *Client) Close() {
	c.mu.Lock()
	all := make([]*factory, 0, len(c.factories))
	for _, f := range c.factories {
		all = append(all, f)
	}
	c.mu.Unlock()
	for _, f := range all {
		f.wire.Close()
	}
}

// Repository returns the repository of a name for one use. Nothing is asked yet. The
// tag and digest of the name matter only for which mirrors serve it and for what the
// configuration makes of its tag; each method says what it is about.
//
// A name that the configuration blocks, or has no endpoint for, is
// errdefs.ErrPermissionDenied; the zero name is errdefs.ErrInvalidArgument.
func (c *Client) Repository(name ref.Reference, use hosts.Use) (*Repository, error) {
	if name == (ref.Reference{}) {
		return nil, fmt.Errorf("a repository without a name: %w", errdefs.ErrInvalidArgument)
	}
	endpoints, err := c.endpoints(name, use)
	if err != nil {
		return nil, err
	}
	r := &Repository{client: c, name: name, use: use, endpoints: endpoints}
	for _, e := range endpoints {
		blobs, err := c.blobs(e, use)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.blobs = append(r.blobs, blobs)
	}
	r.chosen.Store(none)
	return r, nil
}

// endpoints returns where a name is asked for, in order.
func (c *Client) endpoints(name ref.Reference, use hosts.Use) ([]*endpoint, error) {
	if c.opts.Hosts == nil {
		return c.reach([]hosts.Endpoint{own(name.Domain(), name.Path(), tagOf(name, use))})
	}
	found, err := c.opts.Hosts.Endpoints(name, use)
	if err != nil {
		return nil, fmt.Errorf("where to %s %s: %w", use, name, err)
	}
	return c.reach(found)
}

// hostEndpoint returns where a registry as such is asked.
func (c *Client) hostEndpoint(host string, use hosts.Use) (*endpoint, error) {
	found := []hosts.Endpoint{own(host, "", "")}
	if c.opts.Hosts != nil {
		var err error
		if found, err = c.opts.Hosts.HostEndpoints(host, use); err != nil {
			return nil, fmt.Errorf("where to %s at %s: %w", use, host, err)
		}
	}
	// The registry itself comes last, after what stands in for it.
	all, err := c.reach(found[len(found)-1:])
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func tagOf(name ref.Reference, use hosts.Use) string {
	if use == hosts.List {
		return name.Tag()
	}
	return name.Tagged().Tag()
}

// own is the endpoint of a registry of which no configuration says anything.
func own(host, path, tag string) hosts.Endpoint {
	if slices.Contains([]string{"docker.io", "index.docker.io"}, host) {
		host = "registry-1.docker.io"
	}
	return hosts.Endpoint{Scheme: "https", Host: host, Prefix: "/v2", Path: path, Tag: tag}
}

// reach makes ready to talk to endpoints.
func (c *Client) reach(found []hosts.Endpoint) ([]*endpoint, error) {
	all := make([]*endpoint, len(found))
	for i, at := range found {
		s, err := c.server(at)
		if err != nil {
			return nil, err
		}
		all[i] = &endpoint{Endpoint: at, server: s, session: s.session(at.Path, c.opts.Credentials)}
	}
	return all, nil
}
