package credentials

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
)

// Store has credentials. Its method may be called concurrently.
type Store interface {
	// Get returns the credential for a repository of a registry, or for the
	// registry as such where repository is "". None is the empty Credential and no
	// error; an error means that there may be one.
	//
	// The host is the one to talk to, host[:port]. All names of Docker Hub are
	// one: docker.io, index.docker.io and registry-1.docker.io. A host or
	// repository that is not valid is errdefs.ErrInvalidArgument.
	Get(ctx context.Context, host, repository string) (Credential, error)
}

// Chain asks its stores in order. The first credential that is there counts; an
// error ends the search, for the store that failed may have had one.
type Chain []Store

// Get implements Store.
func (c Chain) Get(ctx context.Context, host, repository string) (Credential, error) {
	for _, s := range c {
		if found, err := s.Get(ctx, host, repository); err != nil || !found.IsEmpty() {
			return found, err
		}
	}
	return Credential{}, nil
}

// Static returns a store with one credential for all repositories of one
// registry, as from a flag. Mirrors on other hosts are not given it.
func Static(host string, c Credential) (Store, error) {
	s, err := parseScope(host, "")
	if err != nil {
		return nil, err
	}
	return static{host: s.host, credential: c}, nil
}

type static struct {
	host       string
	credential Credential
}

// Get implements Store.
func (s static) Get(_ context.Context, host, repository string) (Credential, error) {
	asked, err := parseScope(host, repository)
	if err != nil || asked.host != s.host {
		return Credential{}, err
	}
	return s.credential, nil
}

// The names of Docker Hub, and the key that Docker has for it.
const (
	dockerHub    = "docker.io"
	dockerHubKey = "https://index.docker.io/v1/"
)

// scope is what a credential is for: a registry, a namespace or a repository.
type scope struct {
	host string // normalised, host[:port]
	path string // "" for all of the registry
}

func (s scope) String() string {
	if s.path == "" {
		return s.host
	}
	return s.host + "/" + s.path
}

// parseScope checks a host and a repository or namespace.
func parseScope(host, path string) (scope, error) {
	// A port makes a host of a name that has no dot. What stands behind it is only
	// there for the grammar.
	const anyPort, image = ":1", "/a/b"
	port := ""
	if strings.LastIndexByte(host, ':') <= strings.LastIndexByte(host, ']') {
		port = anyPort
	}
	r, err := ref.Parse(host + port + image)
	switch {
	case strings.Contains(host, "@"):
		// It may be a password.
		return scope{}, fmt.Errorf("the name of a registry has an @ (not shown): %w", errdefs.ErrInvalidArgument)
	case err != nil || strings.Contains(host, "/"):
		return scope{}, fmt.Errorf("registry %s: it is not a host, with or without a port: %w", strictjson.Quote(host), errdefs.ErrInvalidArgument)
	}
	s := scope{host: strings.TrimSuffix(r.Domain(), port), path: path}
	switch s.host {
	case "index.docker.io", "registry-1.docker.io":
		s.host = dockerHub
	}
	if path == "" {
		return s, nil
	}
	return s, ref.ValidName(path)
}

// parseTarget checks the name of a registry, or of a namespace or repository in
// one.
func parseTarget(name string) (scope, error) {
	host, path, inside := strings.Cut(name, "/")
	s, err := parseScope(host, path)
	if err == nil && inside {
		err = ref.ValidName(path)
	}
	return s, err
}

// levels calls yield for the scope and those that it is within, the narrowest
// first.
func (s scope) levels(yield func(scope) bool) {
	for yield(s) && s.path != "" {
		s.path = s.path[:max(0, strings.LastIndexByte(s.path, '/'))]
	}
}

// parseKey reads the key of a file, of which there are several kinds: a host, a
// host with a path, and what older programs wrote, a URL of the registry's API.
func parseKey(key string) (s scope, ok bool) {
	rest, url := strings.CutPrefix(key, "https://")
	if !url {
		rest, url = strings.CutPrefix(key, "http://")
	}
	host, path, _ := strings.Cut(rest, "/")
	if url || path == "v1/" || path == "v2/" {
		path = ""
	}
	s, err := parseScope(host, strings.TrimRight(path, "/"))
	return s, err == nil
}
