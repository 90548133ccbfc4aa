package main

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
)

// reposCommand makes the command that lists the repositories of a registry.
func (a *app) reposCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "repos HOST",
		Short: "List the repositories of a registry",
		Long: "List the repositories of the registry HOST, as example.com or example.com:5000, each on a\n" +
			"line. Many registries have no such list, or not for everybody.",
		Args: args("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.place.registry.check(); err != nil {
				return err
			}
			return a.repos(cmd.Context(), f, args[0])
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) repos(ctx context.Context, f listFlags, arg string) error {
	name, host, err := registryArg(arg)
	if err == nil && name != host {
		err = fmt.Errorf("%.256q is not the name of a registry alone: %w", arg, errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return err
	}
	f.place.registry.host = host
	c, err := a.complete(f.place).client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return a.writeNames(f, func(yield func(string) bool) error { return c.Repositories(ctx, host, yield) })
}
