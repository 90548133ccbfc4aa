package containerd

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Scheme begins the addresses of this engine.
const Scheme = "containerd"

// The defaults of an address.
const (
	DefaultSocket    = "/run/containerd/containerd.sock"
	DefaultNamespace = "default"
)

// Address says which namespace of which containerd.
type Address struct {
	Socket    string // the absolute path of a Unix socket
	Namespace string
}

// namespaces is containerd's grammar of their names.
var namespaces = regexp.MustCompile(`^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$`)

// maxNamespace is how many bytes the name of a namespace has at most.
const maxNamespace = 76

// ParseAddress reads containerd:///PATH?namespace=NAME. Without a path it is
// DefaultSocket, without a name DefaultNamespace. Anything else is ErrInvalidArgument.
func ParseAddress(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != Scheme || u.Opaque != "" || u.Host != "" || u.User != nil || u.Fragment != "" {
		return Address{}, fmt.Errorf("address %s is not containerd:///PATH?namespace=NAME: %w", strictjson.Quote(s), errdefs.ErrInvalidArgument)
	}
	a := Address{Socket: u.Path, Namespace: DefaultNamespace}
	if a.Socket == "" || a.Socket == "/" {
		a.Socket = DefaultSocket
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Address{}, fmt.Errorf("address %s: what follows the question mark cannot be read: %w", strictjson.Quote(s), errdefs.ErrInvalidArgument)
	}
	for name, values := range query {
		if name != "namespace" || len(values) != 1 {
			return Address{}, fmt.Errorf("address %s: %s is unknown or there twice: %w", strictjson.Quote(s), strictjson.Quote(name), errdefs.ErrInvalidArgument)
		}
		a.Namespace = values[0]
	}
	if !filepath.IsAbs(a.Socket) || filepath.Clean(a.Socket) != a.Socket {
		return Address{}, fmt.Errorf("address %s: the path of the socket is not absolute and plain: %w", strictjson.Quote(s), errdefs.ErrInvalidArgument)
	}
	if len(a.Namespace) > maxNamespace || !namespaces.MatchString(a.Namespace) {
		return Address{}, fmt.Errorf("address %s: namespace %s is not letters and digits joined by one of . _ -: %w",
			strictjson.Quote(s), strictjson.Quote(a.Namespace), errdefs.ErrInvalidArgument)
	}
	return a, nil
}

// reach is ErrUnavailable where nobody answers, in plainer words than gRPC's.
func (a Address) reach(ctx context.Context) error {
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "unix", a.Socket)
	if ended := ctx.Err(); ended != nil && err != nil {
		return ended
	}
	if err != nil {
		return fmt.Errorf("containerd cannot be reached: %w: %w", err, errdefs.ErrUnavailable)
	}
	return conn.Close()
}

// String returns what ParseAddress reads.
func (a Address) String() string {
	path := url.URL{Path: a.Socket}
	return Scheme + "://" + path.EscapedPath() + "?" + url.Values{"namespace": {a.Namespace}}.Encode()
}
