package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/containerd"
)

// withImages calls f with the image service on the local store.
func (a *app) withImages(ctx context.Context, use storeUse, f func(*service.Service) error) (err error) {
	opened, err := a.shareStore(ctx, use)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return f(a.images(opened.Store))
}

// withImagesIfAny is withImages, but where there is no store yet f is not called, and a note
// says so.
func (a *app) withImagesIfAny(ctx context.Context, use storeUse, f func(*service.Service) error) error {
	err := a.withImages(ctx, use, f)
	if errors.Is(err, errNoStore) {
		return a.printNotes([]string{oneLine(err.Error())})
	}
	return err
}

// images returns the image service on a store.
func (a *app) images(s store.Store) *service.Service {
	driver := embeddedEngine
	if a.store.engine != embeddedEngine {
		driver = containerd.Scheme
	}
	return service.New(s, service.Options{Driver: driver, Limits: a.limits, Logger: a.log})
}

// shortLived has the garbage collector run less often, as in a process that looks something
// up: nearly all that it has in memory lives to its end, which is near.
func shortLived() {
	const percent = 400
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// warn writes to standard error what the service thinks that the caller might not have
// meant.
func (a *app) warn(warnings []string) error {
	for _, w := range warnings {
		if _, err := fmt.Fprintln(a.errOut, "warning:", text.Escape(w)); err != nil {
			return err
		}
	}
	return nil
}

// placed finds the transport whose reference an argument is, where it may also be the name
// of an image alone: docker:dind is such a name, docker://dind is in a registry.
func (a *app) placed(arg string) (p place, details string, ok bool) {
	name, details, _ := strings.Cut(arg, ":")
	if name == registryTransport && !strings.HasPrefix(details, "//") {
		return place{}, "", false
	}
	for _, p := range a.places {
		if p.name == name && len(name) < len(arg) {
			return p, details, true
		}
	}
	return place{}, "", false
}

// inRegistryOrPlaced is placed, but the name of an image alone is that in a registry.
func (a *app) inRegistryOrPlaced(arg string) (place, string, error) {
	if p, details, ok := a.placed(arg); ok {
		return p, details, nil
	}
	return a.place(registryTransport + "://" + arg)
}

// localImage returns the name or ID of an image of the local store that an argument is, with
// or without the transport, where another argument may be any place.
func (a *app) localImage(arg string) (string, error) {
	p, details, ok := a.placed(arg)
	switch {
	case !ok:
		return arg, nil
	case p.name == storeTransport:
		return details, nil
	default:
		return "", fmt.Errorf("%.256q is not in the local store; dhow copy copies from any place to any other: %w", arg, errdefs.ErrInvalidArgument)
	}
}

// platformFlags are the flags that choose platforms of an image.
type platformFlags struct {
	platforms []string // each a list
}

// add defines the flag; usage has a `PLATFORM`.
func (f *platformFlags) add(flags *pflag.FlagSet, usage string) {
	flags.StringArrayVar(&f.platforms, "platform", nil, usage+"; or several, with commas; may be repeated")
}

// parse returns the platforms that the flags mean; nil if there are none.
func (f *platformFlags) parse() ([]ocispec.Platform, error) {
	if len(f.platforms) == 0 {
		return nil, nil
	}
	all, err := platform.ParseList(strings.Join(f.platforms, ","))
	if err != nil {
		return nil, fmt.Errorf("--platform: %w", err)
	}
	return all, nil
}

// parsePlatform returns the one platform of a flag; nil if it was not given.
func parsePlatform(given string) (*ocispec.Platform, error) {
	if given == "" {
		return nil, nil //nolint:nilnil // nil is no platform
	}
	p, err := platform.Parse(given)
	if err != nil {
		return nil, fmt.Errorf("--platform: %w", err)
	}
	return &p, nil
}

// argsBetween returns a check for at least and at most so many arguments, named for the
// error; most 0 is any number.
func argsBetween(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, got []string) error {
		if len(got) >= least && (most == 0 || len(got) <= most) {
			return nil
		}
		takes := fmt.Sprintf("%d or more arguments", least)
		if most > 0 {
			takes = fmt.Sprintf("%d to %d arguments", least, most)
		}
		return fmt.Errorf("%s takes %s, %s, but was given %d: %w", cmd.Name(), takes, names, len(got), errdefs.ErrInvalidArgument)
	}
}
