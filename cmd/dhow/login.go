package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
)

// maxPassword bounds what is read as a password.
const maxPassword = 64 << 10

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
			"credentials. The password is asked for on the terminal, or read from standard input.",
		Args: args("REGISTRY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.place.registry.check(cmd, ""); err != nil {
				return err
			}
			return a.login(cmd.Context(), f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.user, "username", "u", "", "the `NAME` of the user")
	flags.BoolVar(&f.stdin, "password-stdin", false, "read the password from standard input, to the end of its first line")
	f.place.registry.addTLS(cmd, "", "the")
	addAuthFile(cmd, &f.place.registry)
	return cmd
}

func (a *app) login(ctx context.Context, f loginFlags, host string) error {
	if f.user == "" {
		return fmt.Errorf("--username is missing: %w", errdefs.ErrInvalidArgument)
	}
	password, err := a.password(ctx, f)
	if err != nil {
		return err
	}
	c, err := a.complete(f.place).client()
	if err != nil {
		return err
	}
	defer c.Close()
	login := credentials.Credential{Username: f.user, Password: credentials.NewSecret(password)}
	if err := c.Check(ctx, host, login); err != nil {
		return fmt.Errorf("logging in to %s: %w", host, err)
	}
	ring, err := a.keyring(f.place)
	if err != nil {
		return err
	}
	where, err := ring.Save(ctx, host, login)
	if err != nil {
		return err
	}
	return a.write(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "logged in to %s; the credential is in %s\n", host, where)
		return err
	})
}

// password reads the password, without echo where it comes from a terminal.
func (a *app) password(ctx context.Context, f loginFlags) (string, error) {
	if f.stdin {
		line, err := wait(ctx, func() (string, error) {
			return bufio.NewReader(io.LimitReader(a.stdin, maxPassword)).ReadString('\n')
		})
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	terminal, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return "", fmt.Errorf("standard input is no terminal to ask for a password on; --password-stdin reads it from there: %w", errdefs.ErrInvalidArgument)
	}
	if _, err := fmt.Fprint(a.stderr, "Password: "); err != nil {
		return "", err
	}
	typed, err := wait(ctx, func() ([]byte, error) { return term.ReadPassword(int(terminal.Fd())) })
	_, _ = fmt.Fprintln(a.stderr) // what was typed did not end the line
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return string(typed), nil
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
