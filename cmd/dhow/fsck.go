package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// fsckFlags are the flags of fsck.
type fsckFlags struct {
	repair bool
	quick  bool
	outputFlags
}

// fsckCommand makes the command that checks the local store.
func (a *app) fsckCommand() *cobra.Command {
	var f fsckFlags
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check the local store, and repair it",
		Long: "Check the local store: that all blobs have the bytes that their digests say, all names\n" +
			"their images, that the database is what the journal says, and that there is nothing else.\n" +
			"With --repair what is damaged is made anew from what is left, or else set aside, and the\n" +
			"store can be written to again. What is lost is said; pulling an image again heals it.",
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.fsck(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.repair, "repair", false, "repair what can be")
	flags.BoolVar(&f.quick, "quick", false, "look only whether files are there with their sizes, and read none of them")
	f.add(cmd)
	return cmd
}

func (a *app) fsck(ctx context.Context, f fsckFlags) (err error) {
	if a.store.engine != embeddedEngine {
		return fmt.Errorf("a store in containerd cannot be checked, damage is found where it is read: %w", errdefs.ErrNotImplemented)
	}
	use := storeLook
	if f.repair {
		use = storeChange
	}
	s, err := a.openEmbedded(ctx, use)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := a.check(ctx, s, f)
	if err != nil && len(r.Findings) == 0 {
		return err
	}
	if f.json {
		err = errors.Join(a.writeJSON(r), err)
	} else {
		err = errors.Join(a.write(r.print), err)
	}
	return errors.Join(err, r.remaining())
}

// check checks a store, and shows how far that is. The report is of what was checked
// before an error too.
func (a *app) check(ctx context.Context, s *embedded.Store, f fsckFlags) (checkReport, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return checkReport{}, err
	}
	shown := f.status(a)
	shown.Set("checking the records")
	found, err := s.Check(ctx, embedded.CheckOptions{
		Quick: f.quick, Repair: f.repair,
		Progress: func(r embedded.Report) { shown.Set(checkedLine(r, info.Blobs)) },
	})
	err = errors.Join(err, shown.Close())
	r := newCheckReport(info.Location, found, func(d digest.Digest) bool {
		_, err := s.Stat(ctx, d)
		return err == nil
	})
	r.repair = f.repair
	if err == nil {
		r.Lacking, err = lacking(ctx, s, damagedBlobs(found))
	}
	if err == nil {
		r.Recovered, err = recovered(ctx, s)
	}
	r.Complete = err == nil
	return r, err
}

// recoveredLease begins the IDs of the leases by which a repair holds blobs that have lost
// their records: see embedded.Store.Check.
const recoveredLease = "recovered "

// recovered counts the blobs that repairs have found without a record, and hold for a
// while.
func recovered(ctx context.Context, leases store.Leases) (int, error) {
	all, err := leases.Leases(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, l := range all {
		if !strings.HasPrefix(l.ID, recoveredLease) {
			continue
		}
		held, err := leases.Held(ctx, l.ID)
		if err != nil {
			return 0, err
		}
		n += len(held)
	}
	return n, nil
}

// checkedLine says how much of the blobs was checked.
func checkedLine(r embedded.Report, all *store.Amount) string {
	if all == nil {
		return fmt.Sprintf("checked %s, %s", text.Plural(r.Blobs, "blob"), text.Size(r.Bytes))
	}
	return fmt.Sprintf("checked %d of %s, %s of %s", r.Blobs, text.Plural(all.Count, "blob"), text.Size(r.Bytes), text.Size(all.Bytes))
}
