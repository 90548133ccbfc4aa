package containerd

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	leasesapi "github.com/containerd/containerd/api/services/leases/v1"

	"github.com/dhowhq/dhow/internal/process"
	"github.com/dhowhq/dhow/store"
)

// Who shares a daemon need not see each other's processes: in containers they are in other
// PID namespaces. So a lease that is tied to a process which cannot be seen is over when it
// is older than unseenTime, and the process has not signed since: that is, has not made a
// lease that holds nothing, and ends after that time. Those whose store is open for longer
// than signPause do so at every such pause.
const (
	unseenTime = 24 * time.Hour
	signPause  = unseenTime / 4
	// signLook is how often the clock is looked at: timers stand still while the machine
	// sleeps, but leases end.
	signLook = 10 * time.Minute
	useSign  = "sign"
)

// endUnseen finds out which leases are over because nobody has signed for them.
func (s *Store) endUnseen(ctx context.Context, all []lease) error {
	old := func(l lease) bool {
		return !l.over && l.Process && time.Since(l.Created) > unseenTime && l.process.State() == process.Unknown
	}
	if !slices.ContainsFunc(all, old) {
		return nil
	}
	answer, err := s.leases.List(ctx, &leasesapi.ListRequest{Filters: []string{fmt.Sprintf("labels.%q==%q", labelUse, useSign)}})
	if err != nil {
		return fmt.Errorf("listing the leases that processes sign with: %w", err)
	}
	signed := map[process.ID]bool{}
	for _, l := range answer.GetLeases() {
		if sign := leaseOf(l); !sign.over {
			signed[sign.process] = true
		}
	}
	for i, l := range all {
		all[i].over = l.over || old(l) && !signed[l.process]
	}
	return nil
}

// sign says that this process is there, to those who cannot see it.
func (s *Store) sign(ctx context.Context) error {
	l := store.Lease{ID: "dhow-" + rand.Text(), Until: time.Now().Add(unseenTime), Process: true}
	_, err := s.createLease(ctx, l, map[string]string{labelUse: useSign})
	return err
}

// keepSigning signs at every pause until the store is closed.
func (s *Store) keepSigning(pause, look time.Duration) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for last := time.Now().Round(0); ; { // what the clock on the wall says
		select {
		case <-ticker.C:
		case <-s.alive.Done():
			return
		}
		now := time.Now().Round(0)
		if since := now.Sub(last); since >= 0 && since < pause {
			continue
		}
		ctx, cancel := context.WithTimeout(s.alive, patience)
		err := s.sign(ctx)
		cancel()
		if err != nil {
			s.log.Warn("telling that this process still uses its leases", "error", err)
			continue
		}
		last = now
	}
}
