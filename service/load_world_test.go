package service_test

import (
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/dhowhq/dhow/internal/testarchive"
)

// docker19 is what Docker before 1.10 wrote of an image that is app:1.
func docker19(im testarchive.Image) testarchive.Archive {
	return im.Docker19(fmt.Sprintf(`{"app":{"1":%q}}`, testarchive.LayerID(len(im.Layers)-1)))
}

// bzip2ed returns what bzip2 has made of data, which the standard library only reads: it was
// written to testdata once.
func bzip2ed(tb testing.TB, data []byte) []byte {
	tb.Helper()
	const file = "testdata/docker110.tar.bz2"
	packed, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(packed))); err != nil || !bytes.Equal(got, data) {
		tb.Fatalf("%s is not what bzip2 makes of the archive of the test (any more): %v", file, err)
	}
	return packed
}
