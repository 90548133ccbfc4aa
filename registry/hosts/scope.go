package hosts

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
)

// The names of Docker Hub, and the host that answers for them.
const (
	dockerHub       = "docker.io"
	dockerHubOld    = "index.docker.io"
	dockerHubServer = "registry-1.docker.io"
)

// name is a repository with its tag and digest, or part of one.
type name struct {
	host   string // host[:port], normalised
	path   string // of the repository; "" for all of the host
	tag    string
	digest digest.Digest
}

func nameOf(r ref.Reference) name {
	return name{host: r.Domain(), path: r.Path(), tag: r.Tag(), digest: r.Digest()}
}

// repository returns the name without tag and digest.
func (n name) repository() string {
	if n.path == "" {
		return n.host
	}
	return n.host + "/" + n.path
}

func (n name) String() string {
	s := n.repository()
	if n.tag != "" {
		s += ":" + n.tag
	}
	if n.digest != "" {
		s += "@" + n.digest.String()
	}
	return s
}

// wildcard begins a prefix that means all domains below another one.
const wildcard = "*."

// parsePrefix reads the prefix of a [[registry]] table:
//
//	host[:port][/path][:tag|@digest] or *.domain
func parsePrefix(s string) (name, error) {
	domain, ok := strings.CutPrefix(s, wildcard)
	if !ok {
		return parseLocation(s)
	}
	if strings.ContainsAny(domain, "/:@*") {
		return name{}, errors.New("with *. it is a domain alone, as in *.example.com")
	}
	host, err := parseHost(domain)
	return name{host: wildcard + host}, err
}

// parseLocation reads a place that names are moved to:
//
//	host[:port][/path][:tag|@digest]
func parseLocation(s string) (name, error) {
	if strings.Contains(s, "://") {
		return name{}, errors.New("it is a URL; leave the scheme out")
	}
	s = strings.TrimRight(s, "/")
	var n name
	var err error
	host, rest, _ := strings.Cut(s, "/")
	if rest == "" {
		// Without a path, what follows a colon is a port.
		n.host, err = parseHost(host)
		return n, err
	}
	rest, pin, pinned := strings.Cut(rest, "@")
	path, tag, tagged := strings.Cut(rest, ":")
	n = name{path: path, tag: tag, digest: digest.Digest(pin)}
	if n.host, err = parseHost(host); err != nil {
		return name{}, err
	}
	if err := ref.ValidName(path); err != nil {
		return name{}, err
	}
	if tagged {
		if err := ref.ValidTag(tag); err != nil {
			return name{}, err
		}
	}
	if pinned {
		if err := n.digest.Validate(); err != nil {
			return name{}, fmt.Errorf("what follows the @ is not a digest: %w", err)
		}
	}
	return n, nil
}

// parseHost checks host[:port] by the rules that names of images have, and
// returns its one spelling.
func parseHost(s string) (string, error) {
	// A port makes a host of a name that has no dot. What stands behind it is only
	// there for the grammar.
	const anyPort, image = ":1", "/a/b"
	port := ""
	if _, given := splitPort(s); given == "" {
		port = anyPort
	}
	r, err := ref.Parse(s + port + image)
	if strings.Contains(s, "@") {
		return "", errors.New("what stands before an @ does not belong into a host") // nor a password into a message
	}
	if err != nil || strings.Contains(s, "/") {
		return "", fmt.Errorf("%s is not a DNS name, an IPv4 address or an IPv6 address in brackets, with or without a port from 1 to 65535", strictjson.Quote(s))
	}
	host := strings.TrimSuffix(r.Domain(), port)
	if host == dockerHubOld {
		host = dockerHub
	}
	return host, nil
}

// splitPort splits host[:port] before the colon.
func splitPort(s string) (host, port string) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		return s[:i], s[i:]
	}
	return s, ""
}

// within reports whether the name begins with the prefix and goes on, if it does,
// with a separator: a colon, a slash or an @.
func (n name) within(prefix name) bool {
	host, port := splitPort(n.host)
	if domain, ok := strings.CutPrefix(prefix.host, wildcard); ok {
		return strings.HasSuffix(host, "."+domain)
	}
	switch {
	case prefix.path == "":
		return prefix.host == n.host || prefix.host == host && port != ""
	case prefix.host != n.host:
		return false
	case prefix.tag == "" && prefix.digest == "":
		return prefix.path == n.path || strings.HasPrefix(n.path, prefix.path+"/")
	default:
		return prefix.path == n.path && (prefix.tag == "" || prefix.tag == n.tag) && (prefix.digest == "" || prefix.digest == n.digest)
	}
}

// move replaces the prefix, which the name is within, by the location.
func (n name) move(prefix, location name) (name, error) {
	moved := n
	moved.host = location.host
	moved.path = strings.Trim(location.path+"/"+strings.TrimPrefix(n.path[len(prefix.path):], "/"), "/")
	if location.tag != "" {
		moved.tag = location.tag
	}
	// A port that the prefix leaves open goes with the name.
	_, port := splitPort(n.host)
	if _, fixed := splitPort(prefix.host); port != "" && fixed == "" {
		if _, ported := splitPort(location.host); ported != "" || location.path != "" {
			return name{}, fmt.Errorf("%s has a port that the prefix does not have, and the location %s has no room for it", n, location)
		}
		moved.host += port
	}
	if n.path == "" {
		return moved, nil // a host as such
	}
	return moved, ref.ValidName(moved.path)
}
