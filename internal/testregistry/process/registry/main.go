// Command registry is distribution's own, with the storage driver and the
// authentication that tests need and no others. It takes less time to build.
package main

import (
	"fmt"
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"             // registers itself
	_ "github.com/distribution/distribution/v3/registry/auth/token"                // likewise
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // likewise
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // it is a main
	}
}
