package main

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/blob"
)

// registrySettings are what flags can say of a registry.
type registrySettings struct {
	login     loginSettings
	tlsVerify bool // only if it was given
	certDir   string
	egress    egressSettings
	shared    *sharedSettings // of all sides

	prefix string         // of the names of the flags of one side
	flags  *pflag.FlagSet // those that go with registries alone; nil if there are none

	blobs     blob.Verify   // who verifies what is sent
	host      string        // that the reference names
	mountFrom ref.Reference // a name whose repository has the blobs
}

// egressSettings are what the operator allows a registry beyond the default.
type egressSettings struct {
	realms, hosts []string
	foreign       bool
}

// sharedSettings are what flags say of all sides at once.
type sharedSettings struct {
	authFile string
	retries  int
}

const (
	defaultRetries = 4
	mostRetries    = 100
)

// share gives sides what they share.
func share(sides ...*registrySettings) *sharedSettings {
	all := &sharedSettings{retries: defaultRetries}
	for _, s := range sides {
		s.shared = all
	}
	return all
}

// addAuthFile defines the flag for the file of credentials.
func (s *sharedSettings) addAuthFile(flags *pflag.FlagSet) {
	flags.StringVar(&s.authFile, "authfile", "", "the `FILE` of credentials, instead of those that are found")
}

// addRetries defines the flag that bounds how often a request is sent again.
func (s *sharedSettings) addRetries(flags *pflag.FlagSet) {
	flags.IntVar(&s.retries, "retry-times", defaultRetries, "send a request that failed in a way that may pass up to `N` times more, and go on with a broken transfer up to N times in a row without progress; 0: not at all")
}

// The headings of flags in the help.
const (
	registryGroup   = "The registry (docker: only)"
	registriesGroup = "Registries (docker: only)"
	sourceGroup     = "The source's registry (docker: only)"
	destGroup       = "The destination's registry (docker: only)"
)

// addOne defines the flags of a command that has one side, and further ones that go with
// registries alone.
func (s *registrySettings) addOne(cmd *cobra.Command, further ...func()) {
	s.addSide("")
	for _, add := range further {
		add()
	}
	all, flags := share(s), newFlags()
	all.addAuthFile(flags)
	all.addRetries(flags)
	group(cmd, registryGroup, s.flags)
	group(cmd, registryGroup, flags)
}

// addSide defines the flags of one side, whose names begin with the prefix.
func (s *registrySettings) addSide(prefix string) {
	s.prefix, s.flags = prefix, newFlags()
	s.login.add(s.flags, prefix)
	s.addTLS()
	s.addEgress()
}

// addEgress defines those of them that say what is allowed beyond the default.
func (s *registrySettings) addEgress() {
	s.flags.StringSliceVar(&s.egress.realms, s.prefix+"trusted-realms", nil, "token servers of other domains that get the credential too: `HOST`, or several with commas; may be repeated")
	s.flags.StringSliceVar(&s.egress.hosts, s.prefix+"allowed-hosts", nil, "hosts that uploads and lists may go on at, and that may have any address: `HOST`, or several with commas; may be repeated")
}

// addTLS defines those of them that are about TLS.
func (s *registrySettings) addTLS() {
	s.flags.BoolVar(&s.tlsVerify, s.prefix+"tls-verify", true, "demand TLS and a certificate that can be verified, whatever is configured; =false asks for neither")
	s.flags.StringVar(&s.certDir, s.prefix+"cert-dir", "", "the `DIR` with the certificates")
}

// addForeign defines the flag for layers that are elsewhere, of a source.
func (s *registrySettings) addForeign() {
	s.flags.BoolVar(&s.egress.foreign, "include-foreign", false, "copy layers that the source lacks from the URLs that its manifests have for them")
}

// addSendForeign defines the flag for such layers of a destination.
func (s *registrySettings) addSendForeign() {
	s.flags.BoolVar(&s.egress.foreign, s.prefix+"include-foreign", false, "send nondistributable layers that have URLs to the destination's registry as well")
}

// given reports whether a flag was given; the name is without the prefix.
func (s registrySettings) given(name string) bool {
	if s.flags == nil {
		return false
	}
	f := s.flags.Lookup(s.prefix + name)
	return f != nil && f.Changed
}

// check refuses flags that contradict one another, or have a value that is none.
func (s registrySettings) check() error {
	var err error
	if s.shared != nil && (s.shared.retries < 0 || s.shared.retries > mostRetries) {
		err = fmt.Errorf("--retry-times: %d is not from 0 to %d: %w", s.shared.retries, mostRetries, errdefs.ErrInvalidArgument)
	}
	return errors.Join(err, s.checkLogin())
}

// only refuses what was said of a registry where the place is none.
func (s registrySettings) only() error {
	if s.blobs == blob.VerifyAtDestination {
		return fmt.Errorf("--verify %s goes with a docker: destination only: %w", verifyDestination, errdefs.ErrInvalidArgument)
	}
	var err error
	if s.flags != nil {
		s.flags.VisitAll(func(f *pflag.Flag) {
			if f.Changed && err == nil {
				err = fmt.Errorf("--%s goes with docker: only: %w", f.Name, errdefs.ErrInvalidArgument)
			}
		})
	}
	return err
}
