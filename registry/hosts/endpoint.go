package hosts

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Endpoint is one place to send requests to. It prints as its URL alone, because
// header fields and the proxy may be secret.
type Endpoint struct {
	// Scheme is https or http.
	Scheme string
	// Host is the server, host[:port], to connect to. For Docker Hub it is
	// registry-1.docker.io. Credentials are looked up by it and Path.
	Host string
	// Prefix is the path of the API on the server: /v2 unless the configuration
	// has another one. It does not end in a slash, and is "" for the root.
	Prefix string
	// Path is the repository there. For a host as such it is "" or a namespace.
	Path string
	// Tag is the tag to ask for or to write there, where the name has one.
	Tag string

	// TLS is for the scheme https.
	TLS TLS
	// PlainHTTP says that the server may be asked over http if it does not speak
	// TLS. It is only ever set with the scheme https, which is tried first.
	PlainHTTP bool
	// DialTimeout is for one connection to the server; zero is the caller's own.
	DialTimeout time.Duration
	// Proxy is the proxy to use, whatever the environment says; nil leaves it to
	// the environment.
	Proxy *url.URL `json:"-"`
	// Header are fields for every request to this server, and to no other.
	Header http.Header `json:"-"`

	// Mirror says that it stands in for the registry, and that the next endpoint
	// is tried when it fails or does not have what is asked for.
	Mirror bool
	// Namespace is the host that the server stands in for, to be sent as the
	// query parameter ns; "" if none is to be sent.
	Namespace string
}

// URL returns where the API is, without a slash at the end.
func (e Endpoint) URL() string { return e.Scheme + "://" + e.Host + e.Prefix }

// String returns the URL and the repository.
func (e Endpoint) String() string {
	if e.Path == "" {
		return e.URL()
	}
	return e.URL() + "/" + e.Path
}

// Format writes the String, whatever the verb.
func (e Endpoint) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, e.String()) // fmt.State keeps no error
}

// LogValue returns the String.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.String()) }
