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
	"github.com/dhowhq/dhow/service"
)

// rmiFlags are the flags of rmi.
type rmiFlags struct {
	platformFlags
	force   bool
	noPrune bool
	json    bool
}

// rmiCommand makes the command that removes images from the local store.
func (a *app) rmiCommand() *cobra.Command {
	var f rmiFlags
	cmd := &cobra.Command{
		Use:   "rmi IMAGE...",
		Short: "Remove names, images or platforms from the local store",
		Long: "Remove each IMAGE from the local store: of a name that name, and the image with the last\n" +
			"one; of an ID the image with all of its names; with --platform the content of platforms,\n" +
			"and no name. What another image needs stays. Each is tried, whatever becomes of the others.",
		Args:              argsBetween(1, 0, "IMAGE..."),
		ValidArgsFunction: a.completeImages(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			platforms, err := f.parse()
			if err != nil {
				return err
			}
			return a.withImages(cmd.Context(), storeChange, func(images *service.Service) error {
				return a.rmi(cmd.Context(), images, &f, args, platforms)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.platformFlags.add(flags, "remove the content for this `PLATFORM`, as linux/arm64, and no name; goes with --force")
	flags.BoolVarP(&f.force, "force", "f", false, "remove an image by its ID although several repositories name it, and platforms; what is not there is no error")
	flags.BoolVar(&f.noPrune, "no-prune", false, "keep the nameless images that it was built upon")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// removedReport is the JSON form of what was removed.
type removedReport struct {
	Removals []removalReport `json:"removals"` // in the order in which they were done
	// Reclaimed is how many bytes were freed.
	Reclaimed int64 `json:"reclaimed"`
}

// removalReport is one thing that was removed: a name, or what has this digest.
type removalReport struct {
	Untagged string        `json:"untagged,omitempty"`
	Deleted  digest.Digest `json:"deleted,omitempty"`
}

// line is what is printed of it.
func (r removalReport) line() string {
	if r.Untagged != "" {
		return "Untagged: " + text.Escape(r.Untagged)
	}
	return "Deleted: " + r.Deleted.String()
}

// add adds what was removed.
func (r *removedReport) add(removals []service.Removal, reclaimed int64) {
	for _, one := range removals {
		r.Removals = append(r.Removals, removalReport(one))
	}
	r.Reclaimed += reclaimed
}

// rmi removes images in turn, and tells of each what was done.
func (a *app) rmi(ctx context.Context, images *service.Service, f *rmiFlags, refs []string, platforms []ocispec.Platform) error {
	all := removedReport{Removals: []removalReport{}}
	var failed []error
	for _, image := range refs {
		if ctx.Err() != nil {
			failed = append(failed, ctx.Err())
			break
		}
		removed, err := images.Remove(ctx, image, service.RemoveOptions{Force: f.force, NoPrune: f.noPrune, Platforms: platforms})
		if f.force && len(platforms) == 0 && len(removed.Removals) == 0 && errdefs.IsNotFound(err) {
			removed.Warnings, err = append(removed.Warnings, err.Error()), nil
		}
		if err != nil {
			failed = append(failed, err)
		}
		first := len(all.Removals)
		all.add(removed.Removals, removed.Reclaimed)
		if err := a.tellRemovals(all.Removals[first:], removed.Warnings, f); err != nil {
			return errors.Join(append(failed, err)...)
		}
	}
	if f.json {
		failed = append(failed, a.writeJSON(all))
	} else if all.Reclaimed > 0 {
		failed = append(failed, a.writeLine("freed "+text.Size(all.Reclaimed)))
	}
	return errors.Join(failed...)
}

// tellRemovals prints what was removed, and what was warned of.
func (a *app) tellRemovals(removals []removalReport, warnings []string, f *rmiFlags) error {
	if err := a.warn(warnings); err != nil || f.json {
		return err
	}
	for _, r := range removals {
		if err := a.writeLine(r.line()); err != nil {
			return fmt.Errorf("what was removed cannot be told: %w", err)
		}
	}
	return nil
}
