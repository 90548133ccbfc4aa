package hosts

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/ref"
)

// Options say where the configuration is. The zero value reads the files of the
// administrator and of packages; with LookupEnv those of the user as well.
type Options struct {
	// LookupEnv is os.LookupEnv, which only main is to call: it gives
	// CONTAINERS_REGISTRIES_CONF, CONTAINERS_REGISTRIES_CONF_OVERRIDE,
	// XDG_CONFIG_HOME and HOME. Nil is an empty environment.
	LookupEnv func(key string) (string, bool)
	// Home is the user's home directory; "" is the environment's HOME.
	Home string
	// Root is the directory that stands for / in the places of the system.
	Root string
	// UID chooses between drop-ins for root and for others; nil is the user of
	// the process.
	UID *int

	// RegistriesConf is the one registries.conf to read, in the place of those
	// that would be found and of their drop-ins.
	RegistriesConf string
	// CertsDirs are the certs.d directories to search; nil is those of the
	// machine.
	CertsDirs []string
	// CertDir is a directory of certificates for every registry, in the place of
	// those that are found in certs.d.
	CertDir string
	// Verify overrules what the files say about insecure connections.
	Verify Verify

	// Logger is told of what is ignored; nil is nobody.
	Logger *slog.Logger
}

// Verify is whether servers have to prove who they are.
type Verify int

// The kinds of verification.
const (
	// VerifyConfigured leaves it to the files: always, unless they say otherwise.
	VerifyConfigured Verify = iota
	// VerifyAlways allows neither http nor servers that are not verified,
	// whatever the files say.
	VerifyAlways
	// VerifyNever takes every registry and mirror for insecure.
	VerifyNever
)

// Use is what is done with a name.
type Use int

// The uses of names.
const (
	Pull   Use = iota // read an image, by tag or digest
	Push              // write one, and ask what is there already
	List              // list tags or repositories
	Delete            // delete a tag or a manifest
)

// String returns the use as a verb.
func (u Use) String() string {
	switch u {
	case Pull:
		return "pull"
	case Push:
		return "push"
	case List:
		return "list"
	case Delete:
		return "delete"
	}
	return fmt.Sprintf("use %d", int(u))
}

// Config is the configuration of registries. It is read once: registries.conf by
// Load, the directory of a host when the host is first asked for. Its methods may
// be called concurrently.
type Config struct {
	conf   registriesConf
	places places
	opts   Options

	mu   sync.Mutex
	dirs map[string]hostDir
}

// Load reads registries.conf with its drop-ins. That there is none is no error,
// unless it was named.
func Load(opts Options) (*Config, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Config{places: placesOf(opts), opts: opts, dirs: map[string]hostDir{}}
	var err error
	c.conf, err = loadRegistries(c.places, opts)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// FilesHelper stands in CredentialHelpers for the files that hold credentials.
const FilesHelper = "containers-auth.json"

// CredentialHelpers returns the sources of credentials in the order in which they
// are asked: FilesHelper, or names of credential helpers.
func (c *Config) CredentialHelpers() []string {
	if len(c.conf.helpers) == 0 {
		return []string{FilesHelper}
	}
	return slices.Clone(c.conf.helpers)
}

// Endpoints returns where to send the requests of that use of a name, in the
// order to try them: for Pull mirrors and then the registry, for all others one
// endpoint. There is at least one.
//
// A name without tag and digest is taken with ref.DefaultTag, but for List, which
// is about the repository. Some mirrors are for digests alone, some for tags, as
// the name was written: whoever has resolved a tag to a digest goes on with the
// endpoint that did it, and may ask again with the digest for others.
//
// A name that is blocked, or a use that the configuration leaves no endpoint for,
// is errdefs.ErrPermissionDenied; the error names the file.
func (c *Config) Endpoints(name ref.Reference, use Use) ([]Endpoint, error) {
	if name == (ref.Reference{}) {
		return nil, fmt.Errorf("the endpoints of a name that names nothing: %w", errdefs.ErrInvalidArgument)
	}
	n := nameOf(name.Tagged())
	if use == List {
		n.tag, n.digest = "", ""
	}
	return c.endpoints(n, use)
}

// HostEndpoints is Endpoints for a registry as such: its catalogue, or a login.
func (c *Config) HostEndpoints(host string, use Use) ([]Endpoint, error) {
	h, err := parseHost(host)
	if err != nil {
		return nil, fmt.Errorf("the endpoints of a registry: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return c.endpoints(name{host: h}, use)
}

// find returns the table with the longest prefix that the name is within, or nil.
func (c *Config) find(n name) *registry {
	var found *registry
	for i := range c.conf.registries {
		r := &c.conf.registries[i]
		if n.within(r.prefix) && (found == nil || len(r.text) > len(found.text)) {
			found = r
		}
	}
	return found
}
