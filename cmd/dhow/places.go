package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/archive"
	"github.com/dhowhq/dhow/transport/dir"
	"github.com/dhowhq/dhow/transport/oci"
	"github.com/dhowhq/dhow/transport/registry"
	localstore "github.com/dhowhq/dhow/transport/store"
)

// The names of transports that are named elsewhere too.
const (
	registryTransport = "docker"
	storeTransport    = "store"
)

// places are the transports that a reference can name.
func places() []place {
	return []place{
		bind("dir", "PATH", "a plain directory", dir.Parse, dir.OpenSource, dir.OpenDestination, dirOptions),
		bind(registryTransport, "//NAME[:TAG][@DIGEST]", "a registry", registry.Parse, registry.OpenSource, registry.OpenDestination, registryOptions),
		bind("docker-archive", "PATH[:NAME[:TAG]|:@N]", "a tar file of images, as docker save writes it", archive.ParseDocker, archive.OpenSource, archive.OpenDestination, archiveOptions),
		bind("oci", "PATH[:NAME|:@N]", "an OCI image layout", oci.Parse, oci.OpenSource, oci.OpenDestination, ociOptions),
		bind("oci-archive", "PATH[:NAME|:@N]", "an OCI image layout in a tar file", archive.ParseOCI, archive.OpenSource, archive.OpenDestination, archiveOptions),
		bind(storeTransport, "NAME[:TAG][@DIGEST]", "the local store", localstore.Parse, openStoreSource, openStoreDestination, storeOptions),
	}
}

// place is a transport.
type place struct {
	name, syntax, what string
	source             func(ctx context.Context, details string, s settings) (transport.Source, error)
	destination        func(ctx context.Context, details string, s settings) (transport.Destination, error)
}

// lastWinsUsage is the help on the flag that sets settings.lastWins.
const lastWinsUsage = "where a layout or archive gives a name to several images take the last one, instead of refusing"

// settings are what flags can say of a place; each transport takes what it knows
// and refuses the rest.
type settings struct {
	limits      image.Limits
	log         *slog.Logger
	sharedBlobs string
	lastWins    bool
	registry    registrySettings
	// local opens the local store.
	local func(ctx context.Context, use storeUse) (*openedStore, error)
	// ask asks the user for what is not to be seen.
	ask func(ctx context.Context, prompt string) (string, error)
}

func dirOptions(_ context.Context, s settings) (dir.Options, error) {
	if s.sharedBlobs != "" {
		return dir.Options{}, fmt.Errorf("a shared blob directory goes with oci: only: %w", errdefs.ErrInvalidArgument)
	}
	return dir.Options{Limits: s.limits, Logger: s.log}, s.registry.only()
}

func ociOptions(_ context.Context, s settings) (oci.Options, error) {
	return oci.Options{Limits: s.limits, Logger: s.log, SharedBlobs: s.sharedBlobs, LastWins: s.lastWins}, s.registry.only()
}

// bind makes a place of a transport's functions. R is the type of its references,
// O that of its options.
func bind[R, O any, S transport.Source, D transport.Destination](
	name, syntax, what string,
	parse func(details string) (R, error),
	openSource func(context.Context, R, O) (S, error),
	openDestination func(context.Context, R, O) (D, error),
	options func(context.Context, settings) (O, error),
) place {
	prepare := func(ctx context.Context, details string, s settings) (ref R, opts O, err error) {
		if ref, err = parse(details); err == nil {
			opts, err = options(ctx, s)
		}
		return ref, opts, err
	}
	return place{
		name: name, syntax: syntax, what: what,
		source: func(ctx context.Context, details string, s settings) (transport.Source, error) {
			ref, opts, err := prepare(ctx, details, s)
			if err != nil {
				return nil, err
			}
			src, err := openSource(ctx, ref, opts)
			if err != nil {
				return nil, err
			}
			return src, nil
		},
		destination: func(ctx context.Context, details string, s settings) (transport.Destination, error) {
			ref, opts, err := prepare(ctx, details, s)
			if err != nil {
				return nil, err
			}
			dst, err := openDestination(ctx, ref, opts)
			if err != nil {
				return nil, err
			}
			return dst, nil
		},
	}
}

// place returns the transport that an argument names, and what follows its name.
func (a *app) place(arg string) (p place, details string, err error) {
	name, details, ok := strings.Cut(arg, ":")
	if !ok {
		return p, "", fmt.Errorf("invalid image name %.256q, expected colon-separated transport:reference%s: %w", arg, inRegistry(arg), errdefs.ErrInvalidArgument)
	}
	var known []string
	for _, p := range a.places {
		if p.name == name {
			return p, details, nil
		}
		known = append(known, p.name)
	}
	return p, "", fmt.Errorf("invalid image name %.256q, unknown transport %.64q (there are: %s)%s: %w",
		arg, name, strings.Join(known, ", "), inRegistry(arg), errdefs.ErrInvalidArgument)
}

// source opens a place for reading, as the flags say.
func (a *app) source(ctx context.Context, arg string, s settings) (transport.Source, error) {
	p, details, err := a.place(arg)
	if err != nil {
		return nil, err
	}
	return a.openSource(ctx, p, details, s)
}

// openSource opens a place for reading.
func (a *app) openSource(ctx context.Context, p place, details string, s settings) (transport.Source, error) {
	s.registry.host = registryName(p.name, details).Domain()
	return p.source(ctx, details, a.complete(s))
}

// openDestination opens a place for writing.
func (a *app) openDestination(ctx context.Context, p place, details string, s settings) (transport.Destination, error) {
	s.registry.host = registryName(p.name, details).Domain()
	return p.destination(ctx, details, a.complete(s))
}

// complete adds to the settings of a place those that hold for all.
func (a *app) complete(s settings) settings {
	s.limits, s.log, s.ask, s.local = a.limits, a.log, a.askPassword, a.shareStore
	return s
}

// placesHelp lists the transports for the help text.
func (a *app) placesHelp() string {
	var b strings.Builder
	for _, p := range a.places {
		fmt.Fprintf(&b, "  %-37s %s\n", p.name+":"+p.syntax, p.what)
	}
	return strings.TrimRight(b.String(), "\n")
}

// completePlaces makes a shell complete the transport of the first n arguments;
// what follows it is for the shell.
func (a *app) completePlaces(n int) cobra.CompletionFunc {
	return func(_ *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(given) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if strings.Contains(typed, ":") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		var names []string
		for _, p := range a.places {
			names = append(names, p.name+":")
		}
		return names, cobra.ShellCompDirectiveNoSpace
	}
}
