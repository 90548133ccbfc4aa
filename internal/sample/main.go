// Command sample makes the image that "make run" shows: a small program, built
// from source for eight platforms, as a multi-platform OCI layout with
// attestations and an SBOM.
//
//	go run ./internal/sample DIR
//
// It needs the Go toolchain and nothing from a network, and must run inside of
// this module. The same toolchain makes the same bytes. The layout has one name,
// latest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sample:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: sample DIR")
	}
	dir := args[0]
	if err := writable(dir); err != nil {
		return err
	}
	programs, err := compile(ctx, targets())
	if err != nil {
		return err
	}
	store := &testimage.Store{}
	root, sbom, err := assemble(store, programs)
	if err != nil {
		return err
	}
	if err := store.WriteLayout(dir, testimage.Named{Name: "latest", Desc: root}, testimage.Named{Desc: sbom}); err != nil {
		return fmt.Errorf("writing %s: %w", dir, err)
	}
	_, err = fmt.Fprintf(stdout, "oci:%s:latest %s\n", dir, root.Digest)
	return err
}

// writable fails if the directory has something in it that is not a layout.
func writable(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, ocispec.ImageLayoutFile)); err != nil {
		return fmt.Errorf("%s is not empty, and no OCI layout: %w", dir, err)
	}
	return nil
}
