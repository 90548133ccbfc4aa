package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/service"
)

// pruneFlags are the flags of prune.
type pruneFlags struct {
	all     bool
	filters []string
	force   bool
	json    bool
}

// pruneCommand makes the command that removes images that nobody names.
func (a *app) pruneCommand() *cobra.Command {
	var f pruneFlags
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the images of the local store that have no name, or all",
		Long: "Remove the images of the local store that have no name any more, or with --all those that\n" +
			"have one too, and free what nobody needs, as dhow gc does: partial blobs stay for a week,\n" +
			"for a pull to go on with. What it will do is asked about on the terminal; where there is\n" +
			"none --force is needed.",
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := f.options(time.Now())
			if err != nil {
				return err
			}
			return a.prune(cmd.Context(), &f, opts)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&f.all, "all", "a", false, "remove images that have names too")
	flags.StringArrayVar(&f.filters, "filter", nil, "remove only what this `KEY=VALUE` holds for: until=TIME or DURATION, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=false as --all; may be repeated")
	flags.BoolVarP(&f.force, "force", "f", false, "do not ask")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// options returns what the flags mean at a time.
func (f *pruneFlags) options(now time.Time) (service.PruneOptions, error) {
	opts := service.PruneOptions{All: f.all}
	var others []string
	for _, filter := range f.filters {
		if label, ok := strings.CutPrefix(filter, "label!="); ok && label != "" {
			opts.NotLabels = append(opts.NotLabels, label)
			continue
		}
		if key, _, _ := strings.Cut(filter, "="); !slices.Contains([]string{"dangling", "label", "until"}, key) {
			return opts, fmt.Errorf("--filter: unknown key %.64q (there are: dangling, label, label!, until): %w", key, errdefs.ErrInvalidArgument)
		}
		others = append(others, filter)
	}
	parsed, err := service.ParseFilter(others, now)
	if err != nil {
		return opts, fmt.Errorf("--filter: %w", err)
	}
	opts.Labels, opts.Until = parsed.Labels, parsed.Until
	if parsed.Dangling != nil && *parsed.Dangling && f.all {
		return opts, fmt.Errorf("--filter dangling=true and --all contradict one another: %w", errdefs.ErrInvalidArgument)
	}
	opts.All = f.all || parsed.Dangling != nil && !*parsed.Dangling
	return opts, nil
}

func (a *app) prune(ctx context.Context, f *pruneFlags, opts service.PruneOptions) error {
	if !f.force {
		agreed, err := a.confirm(ctx, pruneQuestion(opts))
		if err != nil || !agreed {
			return err
		}
	}
	var pruned service.Pruned
	err := a.withImagesIfAny(ctx, storeChange, func(images *service.Service) (err error) {
		pruned, err = images.Prune(ctx, opts)
		return err
	})
	if err != nil && len(pruned.Removals) == 0 && pruned.Reclaimed == 0 {
		return err
	}
	r := removedReport{Removals: []removalReport{}}
	r.add(pruned.Removals, pruned.Reclaimed)
	if f.json {
		return errors.Join(a.writeJSON(r), err)
	}
	return errors.Join(a.write(r.print), err)
}

// print writes what was removed for people.
func (r removedReport) print(w io.Writer) error {
	for _, one := range r.Removals {
		if _, err := fmt.Fprintln(w, one.line()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, "freed", text.Size(r.Reclaimed))
	return err
}

// pruneQuestion says what is about to be removed.
func pruneQuestion(opts service.PruneOptions) string {
	what := "all images that have no name"
	if opts.All {
		what = "all images, those with names too"
	}
	if !opts.Until.IsZero() || len(opts.Labels) > 0 || len(opts.NotLabels) > 0 {
		what += ", that the filters hold for"
	}
	return "Remove " + what + "? [y/N] "
}

// confirm asks a question on the terminal, and reports whether the answer is yes.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	if _, err := a.terminal("a confirmation", question); err != nil {
		return false, fmt.Errorf("--force goes on without being asked: %w", err)
	}
	answer, err := a.readLine(ctx)
	if err != nil {
		return false, err
	}
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), nil
}
