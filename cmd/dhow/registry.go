package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/net/http/httpproxy"

	"github.com/dhowhq/dhow/ref"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
	"github.com/dhowhq/dhow/transport/registry"
)

// registryOptions makes a client as the flags and the machine's configuration say.
func registryOptions(ctx context.Context, s settings) (registry.Options, error) {
	if s.sharedBlobs != "" {
		return registry.Options{}, fmt.Errorf("a shared blob directory goes with oci: only: %w", errdefs.ErrInvalidArgument)
	}
	c, err := s.client(ctx)
	return registry.Options{
		Client: c, MountFrom: s.registry.mountFrom, Limits: s.limits,
		Verify: s.registry.blobs, IncludeForeign: s.registry.egress.foreign,
	}, err
}

// client makes a client for registries.
func (s settings) client(ctx context.Context) (*client.Client, error) {
	home, _ := os.UserHomeDir() // without one there are no files of the user's
	conf, err := hosts.Load(hosts.Options{
		LookupEnv: os.LookupEnv, Home: home, CertDir: s.registry.certDir, Verify: s.registry.tls(), Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	store, err := s.store(ctx, home, conf)
	if err != nil {
		return nil, err
	}
	opts := client.Options{
		Hosts: conf, Credentials: store, Limits: s.limits, Logger: s.log, Policy: s.registry.egress.policy,
		Wire: wire.Options{UserAgent: "dhow/" + buildVersion().Version, Proxy: proxies(), Log: s.log},
	}
	if all := s.registry.shared; all != nil {
		opts.Wire.Attempts = all.retries + 1
		if opts.Blobs.Retries = all.retries; all.retries == 0 {
			opts.Blobs.Retries = -1
		}
	}
	return client.NewClient(opts)
}

// policy holds for all that stands for the registry: where its configuration has it
// looked for, mirrors too, is the operator's choice like the flags.
func (e egressSettings) policy(wire.Origin) wire.Policy {
	return wire.Policy{TrustedRealms: e.realms, AllowedHosts: e.hosts, ForeignLayers: e.foreign}
}

// proxies are the environment's.
func proxies() func(*url.URL) (*url.URL, error) { return httpproxy.FromEnvironment().ProxyFunc() }

// tls is what the flag says, if it was given.
func (s registrySettings) tls() hosts.Verify {
	switch {
	case !s.given("tls-verify"):
		return hosts.VerifyConfigured
	case s.tlsVerify:
		return hosts.VerifyAlways
	}
	return hosts.VerifyNever
}

// nameRegistries tells each side its registry, and the destination where it can take
// blobs from without their being moved.
func nameRegistries(from, to place, fromDetails, toDetails string, src, dst *settings) {
	source := registryName(from.name, fromDetails)
	src.registry.host, dst.registry.mountFrom = source.Domain(), source
	dst.registry.host = registryName(to.name, toDetails).Domain()
}

// registryName returns the name in a reference to a registry; zero for what is no such
// reference, which is told when it is opened.
func registryName(place, details string) ref.Reference {
	if place != registryTransport {
		return ref.Reference{}
	}
	r, err := registry.Parse(details)
	if err != nil {
		return ref.Reference{}
	}
	return r.Name
}

// repositoryArg returns the repository that an argument names, with or without the name
// of the transport.
func repositoryArg(arg string) (ref.Reference, error) {
	name, err := ref.Parse(strings.TrimPrefix(arg, "docker://"))
	if err == nil && !name.IsNameOnly() {
		err = fmt.Errorf("%.256q has a tag or digest, which a repository has not: %w", arg, errdefs.ErrInvalidArgument)
	}
	return name, err
}

// registryArg returns the registry that an argument names, with or without the name of
// the transport, and its host: the name may have a namespace or repository after that.
func registryArg(arg string) (name, host string, err error) {
	name = strings.TrimSuffix(strings.TrimPrefix(arg, "docker://"), "/")
	if strings.Contains(name, "://") {
		// A password may be in it.
		return "", "", fmt.Errorf("a registry is named HOST or HOST:PORT, and not by a URL (not shown): %w", errdefs.ErrInvalidArgument)
	}
	host, _, _ = strings.Cut(name, "/")
	return name, host, nil
}

// inRegistry says how an argument would be written that names an image in a registry,
// if it does.
func inRegistry(arg string) string {
	if _, err := ref.Parse(arg); err != nil {
		return ""
	}
	return fmt.Sprintf("; as an image in a registry it is docker://%.256s", arg)
}
