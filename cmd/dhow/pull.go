package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/transport"
	"github.com/dhowhq/dhow/transport/registry"
)

// pullFlags are the flags of pull.
type pullFlags struct {
	platformFlags
	all        bool
	referrers  bool
	digestTags bool
	place      settings // as far as flags set them
	movingFlags
}

// pullCommand makes the command that brings an image into the local store.
func (a *app) pullCommand() *cobra.Command {
	var f pullFlags
	cmd := &cobra.Command{
		Use:   "pull SOURCE [NAME]",
		Short: "Bring an image into the local store: the platforms that you choose of it",
		Long: "Bring the image SOURCE into the local store, under NAME. SOURCE is a name in a registry,\n" +
			"as busybox or example.com/team/app:1, or a reference with its transport. NAME can be left\n" +
			"out where the source is in a registry: then the image is called as it is there.\n\n" +
			"Without --platform that of this machine is pulled. The list is kept as it is, so that a\n" +
			"further pull brings other platforms of it; nothing that is there is fetched again.",
		Args:              argsBetween(1, 2, "SOURCE [NAME]"),
		ValidArgsFunction: a.completePlaces(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return a.pull(cmd.Context(), &f, args[0], name)
		},
	}
	f.define(cmd)
	return cmd
}

// define defines the flags.
func (f *pullFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	f.platformFlags.add(flags, "pull this `PLATFORM`, as linux/arm64")
	flags.BoolVar(&f.all, "all", false, "pull all platforms")
	flags.BoolVar(&f.referrers, "referrers", true, "pull the artifacts that refer to what is pulled")
	flags.BoolVar(&f.digestTags, "digest-tags", false, "pull the tags sha256-<hex>.sig, .att and .sbom of what is pulled; to find them all tags are listed")
	f.movingFlags.add(cmd)
	flags.StringVar(&f.place.sharedBlobs, "shared-blob-dir", "", "the `DIR` that the layout shares its blobs in (oci: only)")
	flags.BoolVar(&f.place.lastWins, "last-wins", false, lastWinsUsage)
	f.place.registry.addOne(cmd, f.place.registry.addForeign)
}

// check refuses flags that contradict one another.
func (f *pullFlags) check(cmd *cobra.Command) error {
	if err := contradict(cmd, "all", "platform"); err != nil {
		return err
	}
	return errors.Join(f.movingFlags.check(cmd), f.place.registry.check())
}

func (a *app) pull(ctx context.Context, f *pullFlags, from, name string) (err error) {
	opts := service.PullOptions{All: f.all, DigestTags: f.digestTags, NoReferrers: !f.referrers, Parallel: f.parallel}
	if opts.Platforms, err = f.parse(); err != nil {
		return err
	}
	p, details, err := a.inRegistryOrPlaced(from)
	if err != nil {
		return err
	}
	if name == "" {
		name, err = localName(p, details, from)
	} else {
		name, err = a.localImage(name)
	}
	if err != nil {
		return err
	}
	if _, err := ref.Parse(name); err != nil {
		return err
	}
	src, err := a.openSource(ctx, p, details, f.place)
	if err != nil {
		return fmt.Errorf("opening the source: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return a.withImages(ctx, storeFill, func(images *service.Service) error {
		return a.pullInto(ctx, images, src, p.name+":"+details, name, f, opts)
	})
}

// localName is what an image is called here by its reference elsewhere.
func localName(p place, details, from string) (string, error) {
	if p.name != registryTransport {
		return "", fmt.Errorf("%.256q says no name for the image here, give it as NAME: %w", from, errdefs.ErrInvalidArgument)
	}
	r, err := registry.Parse(details)
	return r.Name.String(), err
}

// pullInto pulls, and tells what was done.
func (a *app) pullInto(ctx context.Context, images *service.Service, src transport.Source, from, name string, f *pullFlags, opts service.PullOptions) error {
	return a.moving(ctx, &f.movingFlags, func(events func(copy.Event)) (moved, error) {
		opts.Events = events
		pulled, err := images.Pull(ctx, src, name, opts)
		if pulled.Receipt != nil {
			pulled.Receipt.Source, pulled.Receipt.Destination = from, storeTransport+":"+pulled.Name
		}
		if pulled.Status == "" {
			return moved{receipt: pulled.Receipt}, err
		}
		r := newPulledReport(&pulled)
		line := fmt.Sprintf("%s %s %s; %s", text.Escape(r.Name), r.Target.Digest, r.Status, r.counts())
		return moved{pulled.Receipt, r, r.Notes, line}, err
	})
}

// pulledReport is the JSON form of what a pull has done.
type pulledReport struct {
	Name   string             `json:"name"` // familiar
	Target ocispec.Descriptor `json:"target"`
	Status service.PullStatus `json:"status"`
	// Before is what the name pointed at before, if that was something else. Dangling
	// tells that it has no name any more.
	Before   digest.Digest `json:"before,omitempty"`
	Dangling bool          `json:"dangling,omitempty"`
	movedReport
}

func newPulledReport(p *service.Pulled) *pulledReport {
	r := &pulledReport{
		Name: service.Familiar(store.Record{Name: p.Name}), Target: p.Target, Status: p.Status, Dangling: p.Dangling,
		movedReport: movedReport{p.Copied, p.Reused, p.BytesCopied, p.BytesReused, p.Notes},
	}
	if d := p.Before.Target.Digest; d != p.Target.Digest {
		r.Before = d
	}
	if r.Dangling {
		r.Notes = append(r.Notes, fmt.Sprintf("what %s was before, %s, has no name any more", r.Name, r.Before))
	}
	return r
}
