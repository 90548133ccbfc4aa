package containerd

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/process"
	"github.com/dhowhq/dhow/store"
)

// TestUnseen shows that the lease of a process which cannot be seen from here is not over,
// unless the process has not signed for a day.
func TestUnseen(t *testing.T) {
	t.Parallel()
	s := connect(t, running(t), newNamespace())
	src := mine(t, s)
	parts := strings.Split(string(process.Self()), "/")
	if len(parts) == 4 && parts[0] == "" {
		t.Skip("nothing is known of processes here")
	}
	unseen := strings.Join([]string{parts[0], "1", parts[len(parts)-2], parts[len(parts)-1]}, "/") // in another namespace
	made := func(id, by string, ago time.Duration) {
		t.Helper()
		created := time.Now().Add(-ago).UTC().Format(time.RFC3339Nano)
		if _, err := s.createLease(t.Context(), store.Lease{ID: id, Process: true}, map[string]string{labelProcess: by, labelCreated: created}); err != nil {
			t.Fatal(err)
		}
		for _, d := range src.Digests() {
			if err := s.addResource(t.Context(), id, resourceContent, d.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantLeases := func(ids ...string) {
		t.Helper()
		if _, err := s.Collect(t.Context()); err != nil {
			t.Fatal("Collect:", err)
		}
		found := []string{}
		leases, err := s.Leases(t.Context())
		for _, l := range leases {
			found = append(found, l.ID)
		}
		if err != nil || !slices.Equal(found, ids) {
			t.Errorf("leases: %q, %v; want %q", found, err, ids)
		}
	}
	made("new", unseen, time.Hour)
	made("old", unseen, 25*time.Hour)
	made("old and seen", string(process.Self()), 25*time.Hour)
	made("signed", unseen+"1", 25*time.Hour)
	sign := func(id string, by string, until time.Duration) {
		t.Helper()
		l := store.Lease{ID: id, Process: true, Until: time.Now().Add(until)}
		if _, err := s.createLease(t.Context(), l, map[string]string{labelUse: "sign", labelProcess: by}); err != nil {
			t.Fatal(err)
		}
	}
	sign("late", unseen, -time.Second)
	sign("sign", unseen+"1", time.Hour)
	if err := s.Release(t.Context(), "mine"); err != nil {
		t.Fatal("Release:", err)
	}
	wantLeases("new", "old and seen", "signed")
	for _, id := range []string{"new", "old and seen"} {
		if err := s.Release(t.Context(), id); err != nil {
			t.Fatal("Release:", err)
		}
	}
	wantAll(t, s, src.Digests()...)
	if err := s.deleteLease(t.Context(), "sign", false); err != nil {
		t.Fatal(err)
	}
	wantLeases()
}

// TestSign shows that a store which is open for long signs for its process, again and again.
func TestSign(t *testing.T) {
	t.Parallel()
	s := connect(t, running(t), newNamespace())
	s.wg.Go(func() { s.keepSigning(10*time.Millisecond, time.Millisecond) })
	eventually(t, "it has signed twice", func() bool {
		all, err := s.listLeases(t.Context(), `labels."io.dhow.use"==sign`)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			if l.process != process.Self() || time.Until(l.Until) < unseenTime-time.Minute {
				t.Fatalf("signed with %+v", l)
			}
		}
		return len(all) > 1
	})
	if leases, err := s.Leases(t.Context()); len(leases) != 0 || err != nil {
		t.Errorf("Leases: %+v, %v; what a process signs with is not for others to see", leases, err)
	}
}
