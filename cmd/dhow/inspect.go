package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/transport"
)

// inspectFlags are the flags of inspect.
type inspectFlags struct {
	platform string
	raw      bool
	config   bool
	json     bool
	format   string
	place    settings // as far as flags set them
}

// inspectCommand makes the command that shows an image.
func (a *app) inspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show what an image is made of",
		Long: "Show what IMAGE is made of as a tree: its platforms, their layers, their\n" +
			"attestations, and the artifacts and tags that belong to them. Nothing but documents\n" +
			"is read.\n\n" +
			"Without a transport IMAGE is a name or an ID in the local store: then it is shown what is\n" +
			"there of each platform, and what the names of the image are.",
		Args:              args("IMAGE"),
		ValidArgsFunction: a.completeImagesAndPlaces,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return a.inspect(cmd.Context(), f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.platform, "platform", "", "show the instance of a list for this `PLATFORM`, as linux/arm64")
	flags.BoolVar(&f.raw, "raw", false, "print the bytes of the manifest or list as they are; with --config those of the config")
	flags.BoolVar(&f.config, "config", false, "print the config, indented; of a list that of the instance for --platform, or else for this machine")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.format, "format", "", "print what this Go `TEMPLATE` makes of the JSON form; values are printed as they are stored")
	flags.StringVar(&f.place.sharedBlobs, "shared-blob-dir", "", "the `DIR` that the layout shares its blobs in (oci: only)")
	f.place.registry.addOne(cmd)
	flags.BoolVar(&f.place.lastWins, "last-wins", false, lastWinsUsage)
	return cmd
}

// check refuses flags that contradict one another.
func (f *inspectFlags) check(cmd *cobra.Command) error {
	for _, group := range [][]string{{"raw", "json", "format"}, {"config", "json", "format"}} {
		if err := contradict(cmd, group...); err != nil {
			return err
		}
	}
	return f.place.registry.check()
}

// inspect shows an image as the flags say.
func (a *app) inspect(ctx context.Context, f inspectFlags, ref string) (err error) {
	asked, err := parsePlatform(f.platform)
	if err != nil {
		return err
	}
	if _, _, ok := a.placed(ref); !ok {
		return a.inspectLocal(ctx, f, ref, asked)
	}
	show, err := shower(f, (*describe.Image).Tree)
	if err != nil {
		return err
	}
	src, err := a.source(ctx, ref, f.place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	switch {
	case f.config:
		return a.printConfig(ctx, src, asked, f)
	case f.raw:
		return a.printRaw(ctx, src, asked)
	}
	loaded, err := a.load(ctx, src, asked, a.loadOptions(asked))
	if err != nil {
		return err
	}
	im := describe.Of(ref, loaded, a.limits)
	return a.write(func(w io.Writer) error { return show(w, im) })
}

// shower returns the function that prints what inspect has to say as the flags want it; tree
// does it for people.
func shower[T any](f inspectFlags, tree func(T, io.Writer) error) (func(io.Writer, T) error, error) {
	switch {
	case f.json:
		return func(w io.Writer, v T) error { return text.JSON(w, v) }, nil
	case f.format != "":
		t, err := parseTemplate(f.format)
		if err != nil {
			return nil, err
		}
		return func(w io.Writer, v T) error { return writeTemplate(w, t, v) }, nil
	default:
		return func(w io.Writer, v T) error { return tree(v, w) }, nil
	}
}

// loadOptions are those for the documents of an image: of all of it, or of the
// instance for a platform. What is absent is no error.
func (a *app) loadOptions(asked *ocispec.Platform) copy.Options {
	opts := copy.Options{Limits: a.limits, Logger: a.log, Selection: copy.Selection{Mode: copy.All, Absent: copy.Keep}}
	if asked != nil {
		opts.Selection.Mode, opts.Selection.Platforms = copy.One, []ocispec.Platform{*asked}
	}
	return opts
}

// load reads the documents of an image. A platform that was asked for in vain, for
// the image is a single one for another platform, is told as a note.
func (a *app) load(ctx context.Context, src transport.Source, asked *ocispec.Platform, opts copy.Options) (*copy.Loaded, error) {
	l, err := copy.Load(ctx, src, transport.Accepts{}, opts)
	if err != nil {
		return nil, err
	}
	m, ok := l.Graph.Root.Doc.(*image.Manifest)
	if !ok || asked == nil || l.Within != "" || !m.IsImage() {
		return l, nil
	}
	c, err := image.DecodeConfig(l.Configs[m.Config().Digest], a.limits)
	if err != nil {
		return l, nil //nolint:nilerr // an image can be shown without its config
	}
	if _, err := platform.Select(platform.CopyOne, asked, []ocispec.Descriptor{{Platform: &c.Platform}}, platform.Options{}); err != nil {
		return l, a.printNotes([]string{fmt.Sprintf("this is a single image for %s: %s could not be chosen", platform.Format(c.Platform), platform.Format(*asked))})
	}
	return l, nil
}

// instance reads the manifest of a single image, or of the instance of a list for
// a platform: the one asked for, or else that of this machine.
func (a *app) instance(ctx context.Context, src transport.Source, asked *ocispec.Platform) (image.Document, error) {
	chosen := platform.Host()
	if asked != nil {
		chosen = *asked
	}
	opts := a.loadOptions(&chosen)
	opts.NoReferrers, opts.NoDigestTags = true, true
	l, err := a.load(ctx, src, asked, opts)
	if err != nil {
		return nil, err
	}
	return l.Graph.Root.Doc, nil
}

// printRaw prints the bytes of the root, whatever they are, or of the instance for
// a platform.
func (a *app) printRaw(ctx context.Context, src transport.Source, asked *ocispec.Platform) error {
	var data []byte
	if asked != nil {
		doc, err := a.instance(ctx, src, asked)
		if err != nil {
			return err
		}
		data = doc.Bytes()
	} else {
		root, err := src.Root(ctx)
		if err != nil {
			return err
		}
		if data, err = transport.Fetch(ctx, src, root, a.limits.WithDefaults().DocumentBytes); err != nil {
			return err
		}
	}
	return a.writeBytes(data)
}

// printConfig prints the config of a single image, or of the instance of a list
// for a platform or else for this machine.
func (a *app) printConfig(ctx context.Context, src transport.Source, asked *ocispec.Platform, f inspectFlags) error {
	doc, err := a.instance(ctx, src, asked)
	if err != nil {
		return err
	}
	m, ok := doc.(*image.Manifest)
	if !ok {
		return fmt.Errorf("a manifest of type %q has no config: %w", doc.MediaType(), errdefs.ErrNotImplemented)
	}
	data, err := transport.Fetch(ctx, src, m.Config(), a.limits.WithDefaults().ConfigBytes)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if !f.raw {
		if data, err = text.Indent(data); err != nil {
			return fmt.Errorf("config %s of type %q is not JSON, and can be printed raw only: %w: %w",
				m.Config().Digest, m.Config().MediaType, err, errdefs.ErrInvalidArgument)
		}
	}
	return a.writeBytes(data)
}

func (a *app) writeBytes(data []byte) error {
	_, err := a.stdout.Write(data)
	return err
}
