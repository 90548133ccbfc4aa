package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
)

// loginFlags are the flags of login.
type loginFlags struct {
	user  string
	stdin bool
	place settings
}

// loginCommand makes the command that keeps a credential.
func (a *app) loginCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login REGISTRY",
		Short: "Log in to a registry",
		Long: "Check a user name and password with REGISTRY, as example.com or example.com:5000, and\n" +
			"keep them: with the credential helper that is configured for it, else in the file of\n" +
			"credentials. They are for all of the registry, or as example.com/team for what is below\n" +
			"that. What is not given is asked for on the terminal.",
		Args: args("REGISTRY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.login(cmd.Context(), f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.user, "username", "u", "", "log in as `NAME`")
	flags.BoolVar(&f.stdin, "password-stdin", false, "read the password from standard input, to the end of its first line")
	f.place.registry.flags = newFlags()
	f.place.registry.addTLS()
	f.place.registry.addEgress()
	flags.AddFlagSet(f.place.registry.flags)
	share(&f.place.registry).addAuthFile(flags)
	return cmd
}

func (a *app) login(ctx context.Context, f loginFlags, arg string) error {
	name, host, err := registryArg(arg)
	if err != nil {
		return err
	}
	login, err := a.credential(ctx, f, host)
	if err != nil {
		return err
	}
	c, err := a.complete(f.place).client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Check(ctx, host, login); err != nil {
		return err
	}
	ring, err := a.keyring(f.place)
	if err != nil {
		return err
	}
	where, err := ring.Save(ctx, name, login)
	if err != nil {
		return err
	}
	return a.write(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "logged in to %s; the credential is in %s\n", name, where)
		return err
	})
}

// credential asks for what the flags do not say.
func (a *app) credential(ctx context.Context, f loginFlags, host string) (c credentials.Credential, err error) {
	if c.Username = f.user; c.Username == "" && !f.stdin {
		c.Username, err = a.askLine(ctx, "User name at "+host+": ")
	}
	if err == nil && c.Username == "" {
		err = fmt.Errorf("--username is missing: %w", errdefs.ErrInvalidArgument)
	}
	if err != nil {
		return c, err
	}
	var password string
	if f.stdin {
		password, err = a.readLine(ctx)
	} else if password, err = a.askPassword(ctx, fmt.Sprintf("Password for %s at %s: ", c.Username, host)); err != nil {
		err = fmt.Errorf("%w; --password-stdin reads it from there", err)
	}
	c.Password = credentials.NewSecret(password)
	return c, err
}

// keyring is what the machine keeps credentials in.
func (a *app) keyring(s settings) (*credentials.Keyring, error) {
	home, _ := os.UserHomeDir() // without one there are no files of the user's
	conf, err := hosts.Load(hosts.Options{LookupEnv: os.LookupEnv, Home: home, Logger: a.log})
	if err != nil {
		return nil, err
	}
	return s.registry.keyring(home, conf, a.log), nil
}
