package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/transport"
)

// referrersCommand makes the command that lists what refers to an image.
func (a *app) referrersCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "referrers IMAGE",
		Short: "List the artifacts that refer to an image",
		Long: "List the manifests whose subject is the list or manifest that IMAGE means, by what the\n" +
			"place says: whether they really name it is not asked.",
		Args:              args("IMAGE"),
		ValidArgsFunction: a.completePlaces(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.place.registry.check(); err != nil {
				return err
			}
			return a.referrers(cmd.Context(), f, args[0])
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) referrers(ctx context.Context, f listFlags, arg string) (err error) {
	src, err := a.source(ctx, arg, f.place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	lister, ok := src.(transport.Referrers)
	if !ok {
		return fmt.Errorf("%.256q: the place does not know what refers to an image: %w", arg, errdefs.ErrNotImplemented)
	}
	root, err := src.Root(ctx)
	if err != nil {
		return err
	}
	found, err := lister.Referrers(ctx, root.Digest)
	if err != nil {
		return err
	}
	if f.json {
		if found == nil {
			found = []ocispec.Descriptor{}
		}
		return a.writeJSON(found)
	}
	return a.write(func(w io.Writer) error {
		if len(found) == 0 {
			return nil
		}
		rows := [][]string{{"DIGEST", "ARTIFACT TYPE", "SIZE"}}
		for _, d := range found {
			rows = append(rows, []string{d.Digest.String(), text.Escape(d.ArtifactType), text.Size(d.Size)})
		}
		return text.Table(w, rows)
	})
}
