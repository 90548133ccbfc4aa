package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/service"
)

// importFlags are the flags of import.
type importFlags struct {
	changes  []string
	message  string
	platform string
	json     bool
}

// importCommand makes the command that makes an image of a root file system.
func (a *app) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE [NAME]",
		Short: "Make an image of a root file system",
		Long: "Make an image with one layer of the root file system in FILE, a tar file that may be\n" +
			"compressed, and call it NAME; without that it has no name. FILE may be - for standard\n" +
			"input.",
		Args: argsBetween(1, 2, "FILE [NAME]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := service.ImportOptions{Message: f.message, Changes: f.changes}
			if len(args) > 1 {
				opts.Name = args[1]
			}
			return a.importImage(cmd.Context(), &f, args[0], opts)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&f.changes, "change", "c", nil, "change the config by this `INSTRUCTION` of a Dockerfile, as 'CMD [\"/bin/sh\"]'; may be repeated")
	flags.StringVarP(&f.message, "message", "m", "", "the `TEXT` that the history has as its comment")
	flags.StringVar(&f.platform, "platform", "", "the `PLATFORM` that the image is for, as linux/arm64 (default that of this machine)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// importedReport is the JSON form of an image that was made.
type importedReport struct {
	Name   string             `json:"name,omitempty"` // familiar
	Target ocispec.Descriptor `json:"target"`
	Config ocispec.Descriptor `json:"config"`
	Layer  ocispec.Descriptor `json:"layer"`
	DiffID digest.Digest      `json:"diffID"`
	// Before is what the name pointed at before, if that was something else. Dangling
	// tells that it has no name any more.
	Before   digest.Digest `json:"before,omitempty"`
	Dangling bool          `json:"dangling,omitempty"`
}

func newImportedReport(im *service.Imported) importedReport {
	r := importedReport{Target: im.Target, Config: im.Config, Layer: im.Layer, DiffID: im.DiffID, Dangling: im.Dangling}
	if im.Name != "" {
		r.Name = splitName(im.Name).familiar
	}
	if d := im.Before.Target.Digest; d != r.Target.Digest {
		r.Before = d
	}
	return r
}

func (a *app) importImage(ctx context.Context, f *importFlags, file string, opts service.ImportOptions) (err error) {
	if opts.Platform, err = parsePlatform(f.platform); err != nil {
		return err
	}
	in, err := a.openInput(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return a.withImages(ctx, storeFill, func(images *service.Service) error {
		imported, err := images.Import(ctx, in, opts)
		if err != nil {
			return err
		}
		r := newImportedReport(&imported)
		if f.json {
			return a.writeJSON(r)
		}
		if r.Dangling {
			if err := a.printNotes([]string{fmt.Sprintf("what %s was before, %s, has no name any more", r.Name, r.Before)}); err != nil {
				return err
			}
		}
		name := none
		if r.Name != "" {
			name = text.Escape(r.Name)
		}
		return a.writeLine(name + " " + r.Target.Digest.String())
	})
}
