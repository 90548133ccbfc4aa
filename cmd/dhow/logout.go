package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// logoutCommand makes the command that forgets a credential.
func (a *app) logoutCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "logout REGISTRY",
		Short: "Forget the credential for a registry",
		Long: "Forget the credential for REGISTRY where login would keep one. Credentials in other\n" +
			"places stay, and are told.",
		Args: args("REGISTRY"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.logout(cmd.Context(), s, args[0]) },
	}
	share(&s.registry).addAuthFile(cmd.Flags())
	return cmd
}

func (a *app) logout(ctx context.Context, s settings, arg string) error {
	name, _, err := registryArg(arg)
	if err != nil {
		return err
	}
	ring, err := a.keyring(s)
	if err != nil {
		return err
	}
	where, err := ring.Erase(ctx, name)
	if err != nil {
		return err
	}
	return a.write(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "logged out of %s; the credential was in %s\n", name, strings.Join(where, " and "))
		return err
	})
}
