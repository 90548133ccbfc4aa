package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/progress"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
)

// progressFlags say how the progress of copies is shown.
type progressFlags struct {
	progress string
	outputFlags
}

// add defines the flags.
func (f *progressFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.progress, "progress", string(progress.Auto), "show progress on standard error as `MODE`: bars, plain (lines), json (lines), none, or auto: bars on a terminal, else plain")
	f.outputFlags.add(cmd)
	choices(cmd, "progress", progress.Modes()...)
}

// mode returns how it is shown.
func (f *progressFlags) mode(a *app) (progress.Mode, error) {
	if f.quiet {
		return progress.None, nil
	}
	return a.progressMode(f.progress)
}

// movingFlags say how an image is moved into or out of the local store, and what is said
// of it.
type movingFlags struct {
	parallel int
	receipt  string
	progressFlags
}

// add defines the flags.
func (f *movingFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.parallel, "parallel", 0, "move `N` descriptors at once (default 16)")
	flags.StringVar(&f.receipt, "receipt", "", "write to this `FILE` what became of every descriptor, as JSON; - is standard output")
	f.progressFlags.add(cmd)
}

// check refuses flags that contradict one another.
func (f *movingFlags) check(cmd *cobra.Command) error {
	if err := contradict(cmd, "quiet", "progress"); err != nil {
		return err
	}
	if f.parallel < 0 {
		return fmt.Errorf("--parallel: %d is less than 1: %w", f.parallel, errdefs.ErrInvalidArgument)
	}
	return nil
}

// moved is what there is to tell of a move.
type moved struct {
	receipt *copy.Receipt // nil if it failed
	report  any           // the JSON form; nil if nothing was done
	notes   []string
	line    string
}

// moving calls move, shows its events, writes its receipt and tells what was done.
func (a *app) moving(ctx context.Context, f *movingFlags, move func(events func(copy.Event)) (moved, error)) (err error) {
	mode, err := f.mode(a)
	if err != nil {
		return err
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
	m, err := move(shown.Event)
	if err = errors.Join(err, shown.Close()); err == nil && m.receipt != nil {
		if err = file.write(context.WithoutCancel(ctx), m.receipt); err != nil {
			err = fmt.Errorf("the image was moved, but its receipt could not be written: %w", err)
		}
	}
	if m.report == nil {
		return err
	}
	return errors.Join(err, a.printMoved(f, file, &m))
}

// printMoved tells what was done: notes on standard error, and on standard output one line,
// or all of it as JSON. A receipt that was printed there stands alone.
func (a *app) printMoved(f *movingFlags, receipt *outputFile, m *moved) error {
	if f.json {
		return a.writeJSON(m.report)
	}
	if err := a.printNotes(m.notes); err != nil || receipt.isStdout() {
		return err
	}
	return a.writeLine(m.line)
}

// movedReport counts what a pull or push has moved.
type movedReport struct {
	Copied      int      `json:"copied"`
	Reused      int      `json:"reused"`
	BytesCopied int64    `json:"bytesCopied"`
	BytesReused int64    `json:"bytesReused"`
	Notes       []string `json:"notes,omitempty"`
}

// counts is the end of the line on what was moved.
func (r *movedReport) counts() string {
	return fmt.Sprintf("copied %d, reused %d; %s moved", r.Copied, r.Reused, text.Size(r.BytesCopied))
}
