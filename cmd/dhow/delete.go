package main

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport/registry"
)

// deleteFlags are the flags of delete.
type deleteFlags struct {
	tagOnly bool
	place   settings
}

// deleteCommand makes the command that deletes an image from a registry.
func (a *app) deleteCommand() *cobra.Command {
	var f deleteFlags
	cmd := &cobra.Command{
		Use:   "delete IMAGE",
		Short: "Delete an image from a registry",
		Long: "Delete the manifest or list that IMAGE, as docker://NAME:TAG or docker://NAME@DIGEST, means,\n" +
			"and with it all tags that point at it. What it names stays. With --tag-only the tag is\n" +
			"deleted, and the manifest stays; not all registries can do that.",
		Args:              args("IMAGE"),
		ValidArgsFunction: a.completePlaces(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.place.registry.check(); err != nil {
				return err
			}
			return a.delete(cmd.Context(), f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.tagOnly, "tag-only", false, "delete the tag, and leave the manifest that it points at")
	f.place.registry.addOne(cmd)
	return cmd
}

func (a *app) delete(ctx context.Context, f deleteFlags, arg string) error {
	p, details, err := a.place(arg)
	if err != nil {
		return err
	}
	if p.name != "docker" {
		return fmt.Errorf("deleting from %s: is not supported: %w", p.name, errdefs.ErrNotImplemented)
	}
	r, err := registry.Parse(details)
	if err != nil {
		return err
	}
	name := r.Name
	f.place.registry.host = name.Domain()
	c, err := a.complete(f.place).client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	repo, err := c.Repository(name, hosts.Delete)
	if err != nil {
		return err
	}
	if f.tagOnly {
		if name.Digest() != "" || name.Tag() == "" {
			return fmt.Errorf("--tag-only wants a tag and no digest: %w", errdefs.ErrInvalidArgument)
		}
		if err := repo.DeleteTag(ctx, name.Tag()); err != nil {
			return err
		}
		return a.write(func(w io.Writer) error {
			_, err := fmt.Fprintln(w, name)
			return err
		})
	}
	d := name.Digest()
	if d == "" {
		desc, err := repo.Head(ctx, name.Tag())
		if err != nil {
			return err
		}
		d = desc.Digest
	}
	if err := repo.DeleteManifest(ctx, d); err != nil {
		return err
	}
	return a.write(func(w io.Writer) error {
		_, err := fmt.Fprintln(w, d)
		return err
	})
}
