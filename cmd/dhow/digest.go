package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/image"
)

// digestCommand makes the command that prints the digest of a manifest.
func (a *app) digestCommand() *cobra.Command {
	var algorithm string
	cmd := &cobra.Command{
		Use:   "digest FILE",
		Short: "Print the digest by which a manifest is known",
		Long: "Print the digest by which the manifest or list in FILE is known. It is that of the\n" +
			"bytes, but of a signed schema 1 manifest that of what was signed. FILE may be - for\n" +
			"standard input.",
		Args: args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.digestOf(cmd.Context(), args[0], digest.Algorithm(algorithm))
			if err != nil {
				return err
			}
			return a.write(func(w io.Writer) error {
				_, err := fmt.Fprintln(w, d)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&algorithm, "algorithm", digest.SHA256.String(), "the `ALGORITHM`: sha256, sha384 or sha512")
	return cmd
}

// digestOf returns the digest of the manifest in a file.
func (a *app) digestOf(ctx context.Context, file string, algorithm digest.Algorithm) (digest.Digest, error) {
	known := []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512}
	if !slices.Contains(known, algorithm) {
		return "", fmt.Errorf("unknown digest algorithm %.64q (there are: sha256, sha384, sha512): %w", algorithm, errdefs.ErrInvalidArgument)
	}
	limit := a.limits.WithDefaults().DocumentBytes
	data, err := wait(ctx, func() ([]byte, error) { return a.readFile(file, limit+1) })
	if err != nil {
		return "", err
	}
	if int64(len(data)) > limit {
		return "", fmt.Errorf("%q has more than %d bytes, the limit for a manifest: %w", file, limit, errdefs.ErrResourceExhausted)
	}
	d, err := image.DigestOf(data, image.Guess(data), algorithm)
	if err != nil {
		return "", fmt.Errorf("digest of %q: %w", file, err)
	}
	return d, nil
}

// readFile returns the first bytes of a file, or of standard input for -.
func (a *app) readFile(file string, most int64) ([]byte, error) {
	in := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no file %q: %w", file, errdefs.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", file, err)
	}
	return data, nil
}

// wait waits for what may block, on a terminal or pipe say, until the context
// ends; then it is left to the end of the process.
func wait[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
