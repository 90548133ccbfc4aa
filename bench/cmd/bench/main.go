// Command bench compares Dhow with its peers. docs/benchmarks.md describes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(start()) }

// start returns the exit code.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process as if there were no handler
	o, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = o.bench(ctx, os.Stdout, os.Stderr)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	_, _ = fmt.Fprintln(os.Stderr, "bench:", err) // there is nowhere left to tell that it failed
	return 1
}
