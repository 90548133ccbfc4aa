package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpproxy"

	"github.com/dhowhq/dhow/ref"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
	"github.com/dhowhq/dhow/transport/registry"
)

// registrySettings are what flags can say of a registry.
type registrySettings struct {
	creds    string // USER:PASSWORD
	noCreds  bool
	verify   bool // TLS; only if verifySet
	certDir  string
	authFile string // of both sides

	verifySet bool
	host      string        // that the reference names
	mountFrom ref.Reference // a name whose repository has the blobs
}

// add defines the flags of one side, whose names begin with the prefix.
func (s *registrySettings) add(cmd *cobra.Command, prefix, side string) {
	flags := cmd.Flags()
	flags.StringVar(&s.creds, prefix+"creds", "", "log in to "+side+" registry as `USER:PASSWORD` (docker: only)")
	flags.BoolVar(&s.noCreds, prefix+"no-creds", false, "do not log in to "+side+" registry (docker: only)")
	s.addTLS(cmd, prefix, side)
}

// addTLS defines those of them that are about TLS.
func (s *registrySettings) addTLS(cmd *cobra.Command, prefix, side string) {
	flags := cmd.Flags()
	flags.BoolVar(&s.verify, prefix+"tls-verify", true, "demand TLS and a certificate that can be verified of "+side+" registry, whatever is configured; =false asks for neither (docker: only)")
	flags.StringVar(&s.certDir, prefix+"cert-dir", "", "the `DIR` with the certificates for "+side+" registry (docker: only)")
}

// addAuthFile defines the flag that both sides share.
func addAuthFile(cmd *cobra.Command, sides ...*registrySettings) {
	cmd.Flags().Var(authFile(sides), "authfile", "the `FILE` of credentials, instead of those that are found")
}

// authFile is the value of that flag.
type authFile []*registrySettings

// String implements pflag.Value.
func (f authFile) String() string {
	if len(f) == 0 {
		return ""
	}
	return f[0].authFile
}

// Set implements pflag.Value.
func (f authFile) Set(path string) error {
	for _, s := range f {
		s.authFile = path
	}
	return nil
}

// Type implements pflag.Value.
func (f authFile) Type() string { return "string" }

// check reads which flags were given, and refuses what contradicts.
func (s *registrySettings) check(cmd *cobra.Command, prefix string) error {
	s.verifySet = cmd.Flags().Changed(prefix + "tls-verify")
	if cmd.Flags().Lookup(prefix+"creds") == nil {
		return nil
	}
	return contradict(cmd, prefix+"creds", prefix+"no-creds")
}

// only refuses what was said of a registry where the place is none.
func (s registrySettings) only() error {
	if s.creds != "" || s.noCreds || s.verifySet || s.certDir != "" {
		return fmt.Errorf("credentials, certificates and TLS go with docker: only: %w", errdefs.ErrInvalidArgument)
	}
	return nil
}

// registryOptions makes a client as the flags and the machine's configuration say.
func registryOptions(s settings) (registry.Options, error) {
	if s.sharedBlobs != "" {
		return registry.Options{}, fmt.Errorf("a shared blob directory goes with oci: only: %w", errdefs.ErrInvalidArgument)
	}
	c, err := s.client()
	return registry.Options{Client: c, MountFrom: s.registry.mountFrom, Limits: s.limits}, err
}

// client makes a client for registries.
func (s settings) client() (*client.Client, error) {
	home, _ := os.UserHomeDir() // without one there are no files of the user's
	conf, err := hosts.Load(hosts.Options{
		LookupEnv: os.LookupEnv, Home: home, CertDir: s.registry.certDir, Verify: s.registry.tls(), Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	store, err := s.registry.store(home, conf, s.log)
	if err != nil {
		return nil, err
	}
	return client.NewClient(client.Options{
		Hosts: conf, Credentials: store, Limits: s.limits, Logger: s.log,
		Wire: wire.Options{UserAgent: "dhow/" + buildVersion().Version, Proxy: proxies(), Log: s.log},
	})
}

// proxies are the environment's.
func proxies() func(*url.URL) (*url.URL, error) { return httpproxy.FromEnvironment().ProxyFunc() }

// tls is what the flag says, if it was given.
func (s registrySettings) tls() hosts.Verify {
	switch {
	case !s.verifySet:
		return hosts.VerifyConfigured
	case s.verify:
		return hosts.VerifyAlways
	}
	return hosts.VerifyNever
}

// store is where credentials come from; nil is nowhere.
func (s registrySettings) store(home string, conf *hosts.Config, log *slog.Logger) (credentials.Store, error) {
	if s.noCreds {
		return nil, nil //nolint:nilnil // nil is anonymous
	}
	if s.creds == "" {
		return s.keyring(home, conf, log), nil
	}
	user, password, ok := strings.Cut(s.creds, ":")
	if !ok || user == "" {
		return nil, fmt.Errorf("credentials are not of the form USER:PASSWORD: %w", errdefs.ErrInvalidArgument)
	}
	return credentials.Static(s.host, credentials.Credential{Username: user, Password: credentials.NewSecret(password)})
}

// nameRegistries tells each side its registry, and the destination where it can take
// blobs from without their being moved.
func nameRegistries(from, to place, fromDetails, toDetails string, src, dst *settings) {
	source := registryName(from.name, fromDetails)
	src.registry.host, dst.registry.mountFrom = source.Domain(), source
	dst.registry.host = registryName(to.name, toDetails).Domain()
}

// keyring has the credentials of the machine.
func (s registrySettings) keyring(home string, conf *hosts.Config, log *slog.Logger) *credentials.Keyring {
	return credentials.New(credentials.Options{
		LookupEnv: os.LookupEnv, Home: home, AuthFile: s.authFile, Helpers: conf.CredentialHelpers(), Logger: log,
	})
}

// registryName returns the name in a reference to a registry; zero for what is no such
// reference, which is told when it is opened.
func registryName(place, details string) ref.Reference {
	if place != "docker" {
		return ref.Reference{}
	}
	r, err := registry.Parse(details)
	if err != nil {
		return ref.Reference{}
	}
	return r.Name
}
