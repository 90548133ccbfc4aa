// Command dhow moves container images, whole or in part, between the places where
// they live, and shows what they are made of. docs/cli.md describes it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

// run returns the exit code.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process as if there were no handler
	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Getenv("TERM"))
	err := a.execute(ctx, a.command())
	if err != nil {
		_, _ = fmt.Fprintln(a.errOut, errorLine(ctx, err)) // there is nowhere left to tell that it failed
	}
	return exitCode(err)
}
