package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dhowhq/dhow/cmd/dhow/internal/progress"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/internal/openfile"
	"github.com/dhowhq/dhow/service"
)

// loadFlags are the flags of load.
type loadFlags struct {
	input string
	platformFlags
	names      []string
	replace    bool
	lastWins   bool
	referrers  bool
	digestTags bool
	progressFlags
}

// loadCommand makes the command that reads images from an archive.
func (a *app) loadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Bring the images of an archive into the local store",
		Long: "Bring the images of an archive into the local store: of what dhow save or docker save has\n" +
			"written, whatever its age, or of an OCI layout, as a tar file, compressed or not. All of it\n" +
			"is verified before any of it appears. A name that is another image's here stays there,\n" +
			"unless --replace is given.",
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := contradict(cmd, "quiet", "progress"); err != nil {
				return err
			}
			return a.loadImages(cmd.Context(), &f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.input, "input", "i", "", "read this `FILE` instead of standard input")
	f.platformFlags.add(flags, "load only this `PLATFORM`, as linux/arm64")
	flags.StringArrayVar(&f.names, "name", nil, "call the one image that the archive has `NAME`, whatever the archive says; may be repeated")
	flags.BoolVar(&f.replace, "replace", false, "have the archive's names move although they are other images' here")
	flags.BoolVar(&f.lastWins, "last-wins", false, "where the archive gives a name to several images take the last one, instead of refusing")
	flags.BoolVar(&f.referrers, "referrers", true, "load the artifacts that refer to what is loaded")
	flags.BoolVar(&f.digestTags, "digest-tags", true, "load the tags sha256-<hex>.sig, .att and .sbom of what is loaded")
	f.progressFlags.add(cmd)
	return cmd
}

func (a *app) loadImages(ctx context.Context, f *loadFlags) (err error) {
	opts := service.LoadOptions{
		Names: f.names, Replace: f.replace, LastWins: f.lastWins, NoReferrers: !f.referrers, NoDigestTags: !f.digestTags,
	}
	if opts.Platforms, err = f.parse(); err != nil {
		return err
	}
	mode, err := f.mode(a)
	if err != nil {
		return err
	}
	in, err := a.openInput(ctx, f.input)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return a.withImages(ctx, storeFill, func(images *service.Service) error {
		shown := progress.New(mode, a.errOut)
		opts.Events = shown.Event
		loaded, err := images.Load(ctx, in, opts)
		if err = errors.Join(err, shown.Close()); err != nil {
			return err
		}
		return a.printLoaded(&loaded, f)
	})
}

// openInput opens the file that a command reads: standard input for an empty name or -,
// unless that is a terminal.
func (a *app) openInput(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "" || name == "-" {
		in, ok := a.stdin.(*os.File)
		if ok && term.IsTerminal(int(in.Fd())) {
			return nil, fmt.Errorf("standard input is a terminal, and no file is named to be read: %w", errdefs.ErrInvalidArgument)
		}
		if ok {
			return in, nil
		}
		return io.NopCloser(a.stdin), nil
	}
	f, err := openfile.Open(ctx, name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no file %q: %w", name, errdefs.ErrNotFound)
	}
	return f, err
}

// loadedReport is the JSON form of what was loaded.
type loadedReport struct {
	Images []loadedImage `json:"images"`
	Notes  []string      `json:"notes,omitempty"`
}

// loadedImage is one image of it.
type loadedImage struct {
	Target ocispec.Descriptor `json:"target"`
	// Names are those that point at it now, of those that it was loaded with; Kept those
	// that are other images' here, as they still are.
	Names []string `json:"names"`
	Kept  []string `json:"kept,omitempty"`
	// Left are the instances that were not loaded.
	Left []ocispec.Descriptor `json:"left,omitempty"`
	movedReport
}

func newLoadedReport(l *service.Loaded) loadedReport {
	r := loadedReport{Images: []loadedImage{}, Notes: l.Notes}
	for _, im := range l.Images {
		one := loadedImage{
			Target: im.Target, Names: []string{}, Left: im.Left,
			movedReport: movedReport{im.Copied, im.Reused, im.BytesCopied, im.BytesReused, im.Notes},
		}
		for _, name := range im.Names {
			familiar := splitName(name.Name).familiar
			one.Names = append(one.Names, familiar)
			if name.Dangling {
				one.Notes = append(one.Notes, fmt.Sprintf("what %s was before, %s, has no name any more", familiar, name.Before.Target.Digest))
			}
		}
		for _, rec := range im.Kept {
			one.Kept = append(one.Kept, service.Familiar(rec))
		}
		r.Images = append(r.Images, one)
	}
	return r
}

// printLoaded tells what was loaded: notes on standard error, and on standard output a line
// for each name, or all of it as JSON.
func (a *app) printLoaded(l *service.Loaded, f *loadFlags) error {
	r := newLoadedReport(l)
	if f.json {
		return a.writeJSON(r)
	}
	if err := a.printNotes(r.Notes); err != nil {
		return err
	}
	for i := range r.Images {
		if err := a.printNotes(r.Images[i].Notes); err != nil {
			return err
		}
	}
	return a.write(func(w io.Writer) error {
		for i := range r.Images {
			if err := r.Images[i].print(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// print writes the lines of an image, as they are known from docker load.
func (im *loadedImage) print(w io.Writer) error {
	if len(im.Names) == 0 {
		_, err := fmt.Fprintln(w, "Loaded image ID:", im.Target.Digest)
		return err
	}
	for _, name := range im.Names {
		if _, err := fmt.Fprintln(w, "Loaded image:", text.Escape(name)); err != nil {
			return err
		}
	}
	return nil
}
