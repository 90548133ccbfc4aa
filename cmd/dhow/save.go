package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dhowhq/dhow/cmd/dhow/internal/progress"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/transport"
)

// saveFlags are the flags of save.
type saveFlags struct {
	output string
	platformFlags
	index      string
	referrers  bool
	digestTags bool
	progressFlags
	place settings // what completes images; as far as flags set them
}

// saveCommand makes the command that writes images of the local store into an archive.
func (a *app) saveCommand() *cobra.Command {
	var f saveFlags
	cmd := &cobra.Command{
		Use:   "save IMAGE...",
		Short: "Write images of the local store into one archive",
		Long: "Write each IMAGE, as much as is here of it, into one tar file, which is an OCI layout and\n" +
			"what docker save writes at once. A repository without a tag stands for all of its tags;\n" +
			"an ID has no name in the archive.",
		Args:              argsBetween(1, 0, "IMAGE..."),
		ValidArgsFunction: a.completeImages(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return a.save(cmd.Context(), &f, args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "", "write to this `FILE`, which it replaces when it is whole, instead of standard output")
	f.platformFlags.add(flags, "save this `PLATFORM`, as linux/arm64, in the place of its list")
	flags.StringVar(&f.index, "index", saveAuto, "a list of which a part is saved is `HOW`: pruned, whole (as it is, which some readers refuse), completed (what is missing is fetched from the registry that the name says), or auto: pruned, unless it is signed")
	flags.BoolVar(&f.referrers, "referrers", true, "save the artifacts that refer to what is saved")
	flags.BoolVar(&f.digestTags, "digest-tags", true, "save the tags sha256-<hex>.sig, .att and .sbom of what is saved")
	f.progressFlags.add(cmd)
	f.place.registry.addOne(cmd)
	choices(cmd, "index", saveAuto, string(service.SavePruned), string(service.SaveWhole), string(service.SaveCompleted))
	return cmd
}

// saveAuto is the word for service.SaveAuto.
const saveAuto = "auto"

// check refuses flags that contradict one another.
func (f *saveFlags) check(cmd *cobra.Command) error {
	if err := contradict(cmd, "quiet", "progress"); err != nil {
		return err
	}
	switch service.SaveIndex(f.index) {
	case saveAuto, service.SavePruned, service.SaveWhole:
		if err := f.place.registry.only(); err != nil {
			return fmt.Errorf("without --index %s: %w", service.SaveCompleted, err)
		}
	case service.SaveCompleted:
		return f.place.registry.check()
	default:
		return fmt.Errorf("--index: unknown way %.64q (there are: %s, %s, %s, %s): %w",
			f.index, saveAuto, service.SavePruned, service.SaveWhole, service.SaveCompleted, errdefs.ErrInvalidArgument)
	}
	return nil
}

// options returns what the flags mean.
func (f *saveFlags) options(a *app) (opts service.SaveOptions, err error) {
	opts = service.SaveOptions{NoReferrers: !f.referrers, NoDigestTags: !f.digestTags}
	if f.index != saveAuto {
		opts.Index = service.SaveIndex(f.index)
	}
	if opts.Index == service.SaveCompleted {
		opts.Complete = func(ctx context.Context, name string) (transport.Source, error) {
			p, details, err := a.place(registryTransport + "://" + name)
			if err != nil {
				return nil, err
			}
			return a.openSource(ctx, p, details, f.place)
		}
	}
	opts.Platforms, err = f.parse()
	return opts, err
}

func (a *app) save(ctx context.Context, f *saveFlags, references []string) (err error) {
	opts, err := f.options(a)
	if err != nil {
		return err
	}
	mode, err := f.mode(a)
	if err != nil {
		return err
	}
	file, err := a.createArchive(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.close()) }()
	return a.withImages(ctx, storeLook, func(images *service.Service) error {
		shown := progress.New(mode, a.errOut)
		var end *copy.Event // comes before the file is there
		opts.Events = func(e copy.Event) {
			if e.Kind == copy.EventCommitted {
				end = &e
				return
			}
			shown.Event(e)
		}
		var saved service.Saved
		err := file.fill(ctx, func(w io.Writer) (err error) {
			saved, err = images.Save(ctx, w, references, opts)
			return err
		})
		if err == nil && end != nil {
			shown.Event(*end)
		}
		if err = errors.Join(err, shown.Close()); err != nil {
			return err
		}
		return a.printSaved(&saved, f, file)
	})
}

// createArchive prepares to write the archive to a file, or to standard output, which then
// takes nothing else and is no terminal.
func (a *app) createArchive(ctx context.Context, f *saveFlags) (*outputFile, error) {
	file := a.standardOutput()
	if f.output != "" {
		var err error
		if file, err = a.createOutput(ctx, f.output); err != nil {
			return nil, fmt.Errorf("the archive: %w", err)
		}
	}
	out, ok := a.stdout.(*os.File)
	switch {
	case !file.isStdout():
		return file, nil
	case f.json:
		return nil, fmt.Errorf("--json goes with --output: the archive is on standard output: %w", errdefs.ErrInvalidArgument)
	case ok && term.IsTerminal(int(out.Fd())):
		return nil, fmt.Errorf("standard output is a terminal, --output names a file for the archive: %w", errdefs.ErrInvalidArgument)
	}
	return file, nil
}

// savedReport is the JSON form of an image that was saved.
type savedReport struct {
	Names []string             `json:"names"` // familiar
	Image ocispec.Descriptor   `json:"image"` // what was meant
	Part  service.SavedPart    `json:"part"`
	Root  ocispec.Descriptor   `json:"root"` // what the archive has
	Left  []ocispec.Descriptor `json:"left,omitempty"`
	Notes []string             `json:"notes,omitempty"`
}

// printSaved tells what was saved: notes on standard error, and on standard output, unless
// the archive is there, a line for each image, or all of it as JSON.
func (a *app) printSaved(saved *service.Saved, f *saveFlags, archive *outputFile) error {
	reports := make([]savedReport, len(saved.Images))
	for i, im := range saved.Images {
		reports[i] = savedReport{Names: familiarNames(im.Names), Image: im.Image, Part: im.Part, Root: im.Root, Left: im.Left, Notes: im.Notes}
	}
	if f.json {
		return a.writeJSON(reports)
	}
	for i := range reports {
		r := &reports[i]
		if err := a.printNotes(r.Notes); err != nil {
			return err
		}
		if archive.isStdout() {
			continue
		}
		if err := a.writeLine(fmt.Sprintf("%s %s %s", namesOrNone(r.Names), r.Root.Digest, r.Part)); err != nil {
			return err
		}
	}
	return nil
}

// familiarNames returns what people call names.
func familiarNames(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = splitName(name).familiar
	}
	return all
}

// namesOrNone is how the names of an image stand in a line.
func namesOrNone(names []string) string {
	if len(names) == 0 {
		return none
	}
	return text.Escape(strings.Join(names, ", "))
}
