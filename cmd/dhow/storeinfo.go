package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/store"
)

// storeCommand makes the command whose commands are about the local store itself.
func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Commands about the local store itself",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %.64q for %q", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.storeInfoCommand())
	return cmd
}

// storeInfoFlags are the flags of store info.
type storeInfoFlags struct {
	json bool
}

// storeInfoCommand makes the command that tells about the local store.
func (a *app) storeInfoCommand() *cobra.Command {
	var f storeInfoFlags
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Tell about the local store: where it is, its state, and how much it has",
		Long: "Tell where the local store is, whether it can be read and written, and how much is in\n" +
			"it. Whether blobs have their bytes is not looked at: dhow fsck does that.",
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.storeInfo(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (a *app) storeInfo(ctx context.Context, f storeInfoFlags) (err error) {
	s, err := a.openStore(ctx, storeLook)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	informer, ok := s.(store.Informer)
	if !ok {
		return fmt.Errorf("store %.256s tells nothing about itself: %w", a.store.engine, errdefs.ErrNotImplemented)
	}
	info, err := informer.Info(ctx)
	if err != nil {
		return err
	}
	if f.json {
		return a.writeJSON(info)
	}
	return a.write(func(w io.Writer) error { return text.Table(w, infoRows(info)) })
}

// infoRows are what a store tells about itself, for people.
func infoRows(info store.Info) [][]string {
	var rows [][]string
	row := func(label, field, value string) {
		if why, untold := info.Untold[field]; untold {
			value = "not told: " + why
		}
		rows = append(rows, []string{label, text.Escape(oneLine(value))})
	}
	state := string(info.State)
	if info.Reason != "" {
		state += ": " + info.Reason
	}
	row("engine", "engine", info.Engine)
	row("location", "location", info.Location)
	row("format", "format", strconv.Itoa(info.Format))
	row("state", "state", state)
	row("names", "names", number(info.Names))
	row("dangling records", "dangling", number(info.Dangling))
	row("leases", "leases", number(info.Leases))
	row("blobs", "blobs", amount(info.Blobs))
	row("  in files", "files", amount(info.Files))
	row("  in the database", "inline", amount(info.Inline))
	row("partial blobs", "partial", amount(info.Partial))
	free := ""
	if info.Free != nil {
		free = text.Size(*info.Free)
	}
	row("free disk space", "free", free)
	return rows
}

func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func amount(a *store.Amount) string {
	if a == nil {
		return ""
	}
	return strconv.Itoa(a.Count) + ", " + text.Size(a.Bytes)
}
