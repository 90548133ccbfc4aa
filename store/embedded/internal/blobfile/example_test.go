package blobfile_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store/embedded/internal/blobfile"
)

// A blob is written under a ref, verified, published, and read.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := roundTrip(ctx, dir, "hello"); err != nil {
		log.Print(err)
	}
	// Output: hello
}

func roundTrip(ctx context.Context, dir, content string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := blobfile.Open(ctx, root, blobfile.Options{})
	if err != nil {
		return err
	}
	defer files.Close()

	blob := digest.FromString(content)
	in, err := files.Create(ctx, "pull of "+string(blob), blob.Algorithm())
	if err != nil {
		return err
	}
	// Keeps what was written if something fails, and does nothing else.
	defer in.Close()
	err = in.Fill(ctx, blob, int64(len(content)), func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content[from:])), nil
	})
	if err != nil {
		return err
	}
	if err := files.Publish(ctx, []*blobfile.Ingest{in}); err != nil {
		return err
	}

	r, err := files.Open(ctx, blob, int64(len(content)), 0)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r) // ErrDataLoss if the file is damaged
	fmt.Println(string(data))
	return err
}
