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
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/transport"
)

// copyCommand makes the command that copies an image.
func (a *app) copyCommand() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy SOURCE DESTINATION",
		Short: "Copy an image: all of its platforms, or some",
		Long: "Copy the image SOURCE to DESTINATION, byte for byte, with its attestations, the\n" +
			"artifacts that refer to it, and its signatures. Without flags all platforms are\n" +
			"copied if the destination can hold a list, else that of this machine. Names move\n" +
			"last, when everything is there; a repeated copy moves only what is missing.",
		Args:              args("SOURCE", "DESTINATION"),
		ValidArgsFunction: a.completePlaces(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return a.copy(cmd.Context(), f, args[0], args[1])
		},
	}
	f.add(cmd)
	return cmd
}

// copy copies an image as the flags say, or only prints the plan.
func (a *app) copy(ctx context.Context, f copyFlags, from, to string) (err error) {
	opts, err := f.options()
	if err != nil {
		return err
	}
	opts.Limits, opts.Logger = a.limits, a.log
	mode, err := f.progressMode(a)
	if err != nil {
		return err
	}
	src, dst, err := a.open(ctx, f, from, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close(), src.Close()) }()
	if f.dryRun {
		plan, err := copy.Prepare(ctx, dst, src, opts)
		if err != nil {
			return err
		}
		return a.printPlan(newPlanReport(plan, from, to), f)
	}
	file, err := a.createReceipt(ctx, f.receipt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.close()) }()
	if f.json && file.isStdout() {
		return errJSONAndReceipt
	}
	shown := progress.New(mode, a.errOut)
	opts.Events = shown.Event
	receipt, err := copy.Image(ctx, dst, src, opts)
	if err = errors.Join(err, shown.Close()); err != nil {
		return err
	}
	receipt.Source, receipt.Destination = from, to
	if err = file.write(context.WithoutCancel(ctx), receipt); err != nil {
		err = fmt.Errorf("the image was copied, but its receipt could not be written: %w", err)
	}
	if file.isStdout() { // there it stands alone
		return err
	}
	return errors.Join(err, a.printReceipt(receipt, f))
}

// progressMode returns how progress is shown.
func (f *copyFlags) progressMode(a *app) (progress.Mode, error) {
	if f.quiet {
		return progress.None, nil
	}
	return a.progressMode(f.progress)
}

// progressMode returns how progress is shown by the word of --progress.
func (a *app) progressMode(word string) (progress.Mode, error) {
	mode, err := progress.ParseMode(word)
	return progress.Resolve(mode, a.stderr, a.term), err
}

// open opens the two places.
func (a *app) open(ctx context.Context, f copyFlags, from, to string) (src transport.Source, dst transport.Destination, err error) {
	sourcePlace, sourceDetails, err := a.place(from)
	if err != nil {
		return nil, nil, err
	}
	destPlace, destDetails, err := a.place(to)
	if err != nil {
		return nil, nil, err
	}
	nameRegistries(sourcePlace, destPlace, sourceDetails, destDetails, &f.source, &f.dest)
	if src, err = sourcePlace.source(ctx, sourceDetails, a.complete(f.source)); err != nil {
		return nil, nil, fmt.Errorf("opening the source: %w", err)
	}
	if dst, err = destPlace.destination(ctx, destDetails, a.complete(f.dest)); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening the destination: %w", err), src.Close())
	}
	return src, dst, nil
}

// printReceipt tells what was done: notes on standard error, and on standard output
// one line, or the whole receipt.
func (a *app) printReceipt(r *copy.Receipt, f copyFlags) error {
	if f.json {
		return a.writeJSON(r)
	}
	if err := a.printNotes(r.Notes); err != nil {
		return err
	}
	return a.write(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %s %s\n", text.Escape(r.Destination), r.Root.Digest, totalsLine(r.Totals))
		return err
	})
}

// printNotes writes notes to standard error, a line each.
func (a *app) printNotes(notes []string) error {
	for _, n := range notes {
		if _, err := fmt.Fprintln(a.errOut, "note:", text.Escape(n)); err != nil {
			return err
		}
	}
	return nil
}

// totalsLine sums a receipt up: copied and reused descriptors always, others if
// there are any.
func totalsLine(t copy.Totals) string {
	actions := []copy.Action{copy.Copied, copy.Reused, copy.Mounted, copy.Converted, copy.Edited, copy.Skipped, copy.Missing}
	var counts []string
	for i, action := range actions {
		if n := t.Descriptors[action]; n > 0 || i < 2 {
			counts = append(counts, fmt.Sprintf("%s %d", action, n))
		}
	}
	line := fmt.Sprintf("%s; %s moved", strings.Join(counts, ", "), text.Size(t.BytesCopied))
	if t.BytesVerifiedAtDestination > 0 {
		line += fmt.Sprintf(", %s of it verified by the destination alone", text.Size(t.BytesVerifiedAtDestination))
	}
	return line
}
