// Command hello says for which platform it was built. It is the program in the
// sample image.
package main

import (
	"os"
	"runtime"
)

func main() {
	_, err := os.Stdout.WriteString("hello from " + runtime.GOOS + "/" + runtime.GOARCH + ", built by " + runtime.Version() + "\n")
	if err != nil {
		os.Exit(1)
	}
}
