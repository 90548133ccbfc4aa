package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/progress"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/store"
)

// outputFlags are those of commands that take a while and then print what they did.
type outputFlags struct {
	json  bool
	quiet bool
}

// add defines the flags.
func (f *outputFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
}

// status begins to show how far a command has come.
func (f *outputFlags) status(a *app) *progress.Status {
	if f.quiet {
		return progress.NewStatus(progress.None, a.errOut)
	}
	return progress.NewStatus(progress.Resolve(progress.Auto, a.stderr, a.term), a.errOut)
}

// gcCommand makes the command that collects what nobody needs.
func (a *app) gcCommand() *cobra.Command {
	var f outputFlags
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Free what nobody needs in the local store",
		Long: "Free the blobs of the local store that are below no name, dangling record or lease that\n" +
			"is not over, and partial blobs that nobody has gone on with for a week: until then a pull\n" +
			"can. What is stopped has freed what it has freed; the next run goes on.",
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.gc(cmd.Context(), f) },
	}
	f.add(cmd)
	return cmd
}

// collectedReport is the JSON form of what gc did.
type collectedReport struct {
	Complete bool  `json:"complete"` // there is nothing left to examine
	Blobs    int   `json:"blobs"`
	Bytes    int64 `json:"bytes"`
	Leases   int   `json:"leases"`
	Partial  int   `json:"partial"`
	Examined int   `json:"examined"`
	// LongestWait is the longest time for which writers had to wait, in milliseconds.
	LongestWait float64 `json:"longestWaitMilliseconds"`
}

func (a *app) gc(ctx context.Context, f outputFlags) (err error) {
	s, err := a.openStore(ctx, storeChange)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return a.collect(ctx, s, f)
}

// collect collects, and tells what was freed, before an error too.
func (a *app) collect(ctx context.Context, gc store.GC, f outputFlags) error {
	shown := f.status(a)
	steps := collector{GC: gc, shown: shown}
	_, err := store.Collect(ctx, &steps)
	err = errors.Join(err, shown.Close())
	c := steps.sum
	if f.json {
		return errors.Join(a.writeJSON(collectedReport{
			Complete: err == nil, Blobs: c.Blobs, Bytes: c.Bytes, Leases: c.Leases, Partial: c.Partial, Examined: c.Examined,
			LongestWait: float64(c.Longest.Microseconds()) / 1000,
		}), err)
	}
	return errors.Join(a.write(func(w io.Writer) error {
		_, err := fmt.Fprintln(w, collectedLine(c))
		return err
	}), err)
}

// collector shows the steps of a collection.
type collector struct {
	store.GC
	shown *progress.Status
	sum   store.Collected
}

// Collect implements store.GC.
func (c *collector) Collect(ctx context.Context) (store.Collected, error) {
	step, err := c.GC.Collect(ctx)
	c.sum.Add(step)
	c.shown.Set(fmt.Sprintf("%s; %d examined", collectedLine(c.sum), c.sum.Examined))
	return step, err
}

// collectedLine says what was freed: blobs always, what else there is if there is any.
func collectedLine(c store.Collected) string {
	parts := []string{fmt.Sprintf("freed %s, %s", text.Plural(c.Blobs, "blob"), text.Size(c.Bytes))}
	if c.Leases > 0 {
		parts = append(parts, "ended "+text.Plural(c.Leases, "lease"))
	}
	if c.Partial > 0 {
		parts = append(parts, "gave up "+text.Plural(c.Partial, "partial blob"))
	}
	return strings.Join(parts, "; ")
}
