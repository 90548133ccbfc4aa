package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/containerd"
	"github.com/dhowhq/dhow/store/embedded"
)

// The words of --store, beside the address of a containerd.
const embeddedEngine = "embedded"

// storeSettings are what the global flags say of the local store.
type storeSettings struct {
	root   string // empty: the default
	engine string
	wait   time.Duration
}

// defaultStoreWait is how long a store is waited for that another process has open.
const defaultStoreWait = 10 * time.Second

// add defines the flags.
func (s *storeSettings) add(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&s.root, "root", "", "the `DIR` of the local store (default $XDG_DATA_HOME/dhow, or ~/.local/share/dhow; for root /var/lib/dhow)")
	flags.StringVar(&s.engine, "store", embeddedEngine, "the `ENGINE` of the local store: embedded, or the address of a running containerd, containerd:///run/containerd/containerd.sock?namespace=NAME")
	flags.DurationVar(&s.wait, "store-wait", defaultStoreWait, "wait so long, a `DURATION` as 30s or 5m, until another process no longer has the store open; 0: not at all")
	choices(root, "store", embeddedEngine, containerd.Scheme+"://")
	if err := root.MarkPersistentFlagDirname("root"); err != nil {
		panic(err) // there is no such flag
	}
}

// check refuses what no store can be opened by. It opens none.
func (s *storeSettings) check(cmd *cobra.Command) error {
	if s.wait < 0 {
		return fmt.Errorf("--store-wait: %s is less than 0: %w", s.wait, errdefs.ErrInvalidArgument)
	}
	if s.engine == embeddedEngine {
		return nil
	}
	if !strings.HasPrefix(s.engine, containerd.Scheme+":") {
		return fmt.Errorf("--store: unknown engine %.256q (there are: %s, %s:///SOCKET?namespace=NAME): %w",
			s.engine, embeddedEngine, containerd.Scheme, errdefs.ErrInvalidArgument)
	}
	if _, err := containerd.ParseAddress(s.engine); err != nil {
		return fmt.Errorf("--store: %w", err)
	}
	for _, flag := range []string{"root", "store-wait"} {
		if cmd.Flags().Changed(flag) {
			return fmt.Errorf("--%s goes with --store %s only: %w", flag, embeddedEngine, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// dir returns the absolute path of the store's directory.
func (s *storeSettings) dir() (string, error) {
	if s.root != "" {
		return filepath.Abs(s.root)
	}
	return defaultRoot(os.Geteuid(), os.Getenv)
}

// defaultRoot returns the directory of a user's store.
func defaultRoot(uid int, env func(string) string) (string, error) {
	if uid == 0 {
		return "/var/lib/dhow", nil
	}
	if data := env("XDG_DATA_HOME"); filepath.IsAbs(data) { // another one is to be ignored, by its specification
		return filepath.Join(data, "dhow"), nil
	}
	home := env("HOME")
	if runtime.GOOS == "windows" {
		home = env("USERPROFILE")
	}
	if !filepath.IsAbs(home) {
		return "", fmt.Errorf("there is no home directory to have the local store in, --root names one: %w", errdefs.ErrFailedPrecondition)
	}
	return filepath.Join(home, ".local", "share", "dhow"), nil
}

// storeUse is what a command wants of the local store.
type storeUse int

const (
	// storeLook reads. One that cannot be written to, because it is damaged or may not be,
	// will do.
	storeLook storeUse = iota
	// storeChange changes what is there.
	storeChange
	// storeFill writes to it, and makes it if there is none.
	storeFill
)

// errNoStore is that nothing was ever kept in a local store, which has no images then.
var errNoStore = errors.New("there is no store")

// openStore opens the local store for a command, which closes it. One that is not there
// is ErrNotFound, unless it is made. That it is damaged was said on standard error.
func (a *app) openStore(ctx context.Context, use storeUse) (store.Store, error) {
	if a.store.engine != embeddedEngine {
		return containerd.Open(ctx, a.store.engine, containerd.Options{Logger: a.log})
	}
	s, err := a.openEmbedded(ctx, use)
	if err != nil {
		return nil, err
	}
	if use == storeLook {
		return s, nil
	}
	if err := s.Degraded(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openEmbedded opens the store in a directory, damaged or not.
func (a *app) openEmbedded(ctx context.Context, use storeUse) (*embedded.Store, error) {
	dir, err := a.store.dir()
	if err != nil {
		return nil, err
	}
	there, err := embedded.Exists(dir)
	if err != nil {
		return nil, err
	}
	if !there && use != storeFill {
		return nil, fmt.Errorf("%w in %s: %w", errNoStore, dir, errdefs.ErrNotFound)
	}
	opts := embedded.Options{Logger: a.log, LockTimeout: a.store.wait, Waiting: a.waitingFor(dir), Limits: a.limits}
	if opts.LockTimeout == 0 {
		opts.LockTimeout = -1 // not at all
	}
	s, err := embedded.Open(ctx, dir, opts)
	if errdefs.IsUnavailable(err) {
		return nil, fmt.Errorf("waited for %s (--store-wait says how long): %w", a.store.wait, err)
	}
	if use != storeLook || !mayNotWrite(err) {
		return s, err
	}
	opts.ReadOnly = true
	s, readErr := embedded.Open(ctx, dir, opts)
	if readErr != nil {
		return nil, err
	}
	return s, a.printNotes([]string{"the store can only be read: " + oneLine(err.Error())})
}

// waitingFor tells who has a store open that is waited for.
func (a *app) waitingFor(dir string) func(owner string) {
	return func(owner string) {
		_ = a.printNotes([]string{fmt.Sprintf("waiting for the store %s, which is open in another process (%s)", dir, owner)}) // it is waited for all the same
	}
}

// mayNotWrite reports whether that is what an error says.
func mayNotWrite(err error) bool {
	return errdefs.IsPermissionDenied(err) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS)
}
