package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/transport"
)

// pushFlags are the flags of push.
type pushFlags struct {
	platformFlags
	all        bool
	referrers  bool
	digestTags bool
	place      settings // as far as flags set them
	verify     string
	movingFlags
}

// pushCommand makes the command that sends an image of the local store elsewhere.
func (a *app) pushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push IMAGE [DESTINATION]",
		Short: "Send an image of the local store elsewhere: what is there of it",
		Long: "Send IMAGE, a name or an ID in the local store, to DESTINATION: a name in a registry, or a\n" +
			"reference with its transport. Without one a name is pushed to where it says.\n\n" +
			"A list of which all is here, or of which the destination has the rest, is pushed as it\n" +
			"is; else a list of the platforms that are here, or if it is only one its manifest. Which\n" +
			"it was is said. No name is ever moved to what is not complete at the destination.",
		Args:              argsBetween(1, 2, "IMAGE [DESTINATION]"),
		ValidArgsFunction: a.completePush,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			to := ""
			if len(args) > 1 {
				to = args[1]
			}
			return a.push(cmd.Context(), &f, args[0], to)
		},
	}
	f.define(cmd)
	return cmd
}

// define defines the flags.
func (f *pushFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	f.platformFlags.add(flags, "push this `PLATFORM`, as linux/arm64, without its list")
	flags.BoolVar(&f.all, "all", false, "push all platforms that are here; the default")
	flags.BoolVar(&f.referrers, "referrers", true, "push the artifacts that refer to what is pushed")
	flags.BoolVar(&f.digestTags, "digest-tags", true, "push the tags sha256-<hex>.sig, .att and .sbom of what is pushed")
	f.movingFlags.add(cmd)
	flags.StringVar(&f.place.sharedBlobs, "shared-blob-dir", "", "the `DIR` that the layout shares its blobs in (oci: only)")
	f.place.registry.addOne(cmd, f.place.registry.addSendForeign, func() { addVerify(f.place.registry.flags, &f.verify) })
	choices(cmd, "verify", verifyHere, verifyDestination)
}

// check refuses flags that contradict one another.
func (f *pushFlags) check(cmd *cobra.Command) (err error) {
	if err := contradict(cmd, "all", "platform"); err != nil {
		return err
	}
	f.place.registry.blobs, err = whoVerifies(f.verify)
	return errors.Join(f.movingFlags.check(cmd), f.place.registry.check(), err)
}

func (a *app) push(ctx context.Context, f *pushFlags, image, to string) (err error) {
	opts := service.PushOptions{NoReferrers: !f.referrers, NoDigestTags: !f.digestTags, Parallel: f.parallel}
	if opts.Platforms, err = f.parse(); err != nil {
		return err
	}
	if image, err = a.localImage(image); err != nil {
		return err
	}
	return a.withImages(ctx, storeLook, func(images *service.Service) (err error) {
		if to == "" {
			if to, err = whereNamed(ctx, images, image); err != nil {
				return err
			}
		}
		p, details, err := a.inRegistryOrPlaced(to)
		if err != nil {
			return err
		}
		dst, err := a.openDestination(ctx, p, details, f.place)
		if err != nil {
			return fmt.Errorf("opening the destination: %w", err)
		}
		defer func() { err = errors.Join(err, dst.Close()) }()
		return a.pushTo(ctx, images, dst, image, p.name+":"+details, f, opts)
	})
}

// whereNamed is the place that the name of an image says.
func whereNamed(ctx context.Context, images *service.Service, image string) (string, error) {
	r, err := images.Resolve(ctx, image)
	if err != nil {
		return "", err
	}
	if r.Matched != service.ByName {
		return "", fmt.Errorf("cannot push a digest reference: %.256q is no name of an image, so DESTINATION is to say where it goes: %w", image, errdefs.ErrInvalidArgument)
	}
	return registryTransport + "://" + r.Record.Name, nil
}

// pushTo pushes, and tells what was done.
func (a *app) pushTo(ctx context.Context, images *service.Service, dst transport.Destination, image, to string, f *pushFlags, opts service.PushOptions) error {
	return a.moving(ctx, &f.movingFlags, func(events func(copy.Event)) (moved, error) {
		opts.Events = events
		pushed, err := images.Push(ctx, dst, image, opts)
		if pushed.Receipt != nil {
			pushed.Receipt.Source, pushed.Receipt.Destination = storeTransport+":"+image, to
		}
		if pushed.Root.Digest == "" {
			return moved{receipt: pushed.Receipt}, err
		}
		r := newPushedReport(&pushed, to)
		line := fmt.Sprintf("%s %s %s; %s", text.Escape(to), r.Root.Digest, r.Part, r.counts())
		return moved{pushed.Receipt, r, r.Notes, line}, err
	})
}

// pushedReport is the JSON form of what a push has done.
type pushedReport struct {
	Destination string             `json:"destination"`
	Image       ocispec.Descriptor `json:"image"` // what was meant
	Part        service.PushedPart `json:"part"`
	Root        ocispec.Descriptor `json:"root"` // what the destination's name points at now
	// Left are the instances that were not sent; of them Elsewhere are those that the
	// destination had.
	Left      []ocispec.Descriptor `json:"left,omitempty"`
	Elsewhere []ocispec.Descriptor `json:"elsewhere,omitempty"`
	movedReport
}

func newPushedReport(p *service.Pushed, to string) *pushedReport {
	return &pushedReport{
		Destination: to, Image: p.Image, Part: p.Part, Root: p.Root, Left: p.Left, Elsewhere: p.Elsewhere,
		movedReport: movedReport{p.Copied, p.Reused, p.BytesCopied, p.BytesReused, p.Notes},
	}
}
