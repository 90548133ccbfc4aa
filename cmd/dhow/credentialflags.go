package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/pflag"

	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
)

// loginSettings are what flags can say of how to log in to a registry.
type loginSettings struct {
	creds    string // USER[:PASSWORD]
	username string
	password string
	token    string
	none     bool
	authFile string // of this side alone
}

// The names of those flags, without the prefix of a side.
const (
	credsFlag    = "creds"
	usernameFlag = "username"
	passwordFlag = "password"
	tokenFlag    = "registry-token"
	noCredsFlag  = "no-creds"
)

// add defines the flags. A side with a prefix has a file of credentials of its own.
func (l *loginSettings) add(flags *pflag.FlagSet, prefix string) {
	flags.StringVar(&l.creds, prefix+credsFlag, "", "log in as `USER:PASSWORD`, which all users of this machine can see; or as USER, whose password is asked for")
	flags.StringVar(&l.username, prefix+usernameFlag, "", "log in as `NAME`; the password is asked for if it is not given")
	flags.StringVar(&l.password, prefix+passwordFlag, "", "the `PASSWORD`, which all users of this machine can see")
	flags.StringVar(&l.token, prefix+tokenFlag, "", "use this bearer `TOKEN`, which all users of this machine can see")
	flags.BoolVar(&l.none, prefix+noCredsFlag, false, "do not log in")
	if prefix != "" {
		flags.StringVar(&l.authFile, prefix+"authfile", "", "the `FILE` of credentials, before --authfile")
	}
}

// checkLogin refuses flags that contradict one another.
func (s registrySettings) checkLogin() error {
	first := ""
	for _, name := range []string{credsFlag, usernameFlag, tokenFlag, noCredsFlag} {
		switch {
		case !s.given(name):
		case first == "":
			first = name
		default:
			return fmt.Errorf("--%s and --%s contradict one another: %w", s.prefix+first, s.prefix+name, errdefs.ErrInvalidArgument)
		}
	}
	switch {
	case s.given(passwordFlag) && !s.given(usernameFlag):
		return fmt.Errorf("--%s goes with --%s: %w", s.prefix+passwordFlag, s.prefix+usernameFlag, errdefs.ErrInvalidArgument)
	case strings.HasPrefix(s.login.creds, ":"), strings.HasSuffix(s.login.creds, ":") && strings.Count(s.login.creds, ":") == 1:
		return fmt.Errorf("--%s has an empty user or password: %w", s.prefix+credsFlag, errdefs.ErrInvalidArgument)
	}
	return nil
}

// store is where credentials come from; nil is nowhere.
func (s settings) store(ctx context.Context, home string, conf *hosts.Config) (credentials.Store, error) {
	r := s.registry
	var c credentials.Credential
	switch user, password, whole := strings.Cut(r.login.creds, ":"); {
	case r.login.none:
		return nil, nil //nolint:nilnil // nil is anonymous
	case r.login.token != "":
		c.AccessToken = credentials.NewSecret(r.login.token)
	case whole:
		c.Username, c.Password = user, credentials.NewSecret(password)
	case r.login.password != "":
		c.Username, c.Password = r.login.username, credentials.NewSecret(r.login.password)
	case user != "", r.login.username != "":
		c.Username = user + r.login.username // one of them is empty
		asked, err := s.ask(ctx, fmt.Sprintf("Password for %s at %s: ", c.Username, r.host))
		if err != nil {
			return nil, fmt.Errorf("a user without a password for %s: %w", r.host, err)
		}
		c.Password = credentials.NewSecret(asked)
	default:
		return r.keyring(home, conf, s.log), nil
	}
	return credentials.Static(r.host, c)
}

// keyring has the credentials of the machine.
func (s registrySettings) keyring(home string, conf *hosts.Config, log *slog.Logger) *credentials.Keyring {
	file := s.login.authFile
	if file == "" && s.shared != nil {
		file = s.shared.authFile
	}
	return credentials.New(credentials.Options{
		LookupEnv: os.LookupEnv, Home: home, AuthFile: file, Helpers: conf.CredentialHelpers(), Logger: log,
	})
}
