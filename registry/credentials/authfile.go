package credentials

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// maxFile is how large a file of credentials, or the answer of a helper, may be.
const maxFile = 1 << 20

// authFile is what a file of credentials says: the auth.json of containers, the
// config.json of Docker, or its older .dockercfg.
type authFile struct {
	path    string // for messages
	auths   []auth
	helpers map[string]string // credHelpers, by scope
	store   string            // credsStore
}

// auth is an entry of auths.
type auth struct {
	key   string // as it is written
	scope scope
	auth  Secret // base64 of user:password
	user  string
	pass  Secret
	ident Secret
	token Secret
}

var (
	fileFields = strictjson.NewFields("auths", "credHelpers", "credsStore")
	authFields = strictjson.NewFields("auth", "username", "password", "identitytoken", "registrytoken")
)

// limits are those of all JSON here.
var limits = strictjson.Limits{
	Bytes: maxFile,
}

// parseFile reads a file of credentials. An empty one says nothing.
func parseFile(path string, data []byte) (authFile, error) {
	f := authFile{path: path, helpers: map[string]string{}}
	if strings.TrimSpace(string(data)) == "" {
		return f, nil
	}
	err := strictjson.Read(data, limits, func(r *strictjson.Reader) error {
		return r.Record(fileFields, func(name string) (err error) {
			switch name {
			case "auths":
				return f.readAuths(r)
			case "credHelpers":
				return f.readHelpers(r)
			case "credsStore":
				f.store, err = r.String()
			}
			return err
		})
	})
	return f, wrapFile(path, err)
}

// parseOldFile reads a .dockercfg, which is nothing but the auths of registries.
func parseOldFile(path string, data []byte) (authFile, error) {
	f := authFile{path: path}
	if strings.TrimSpace(string(data)) == "" {
		return f, nil
	}
	err := strictjson.Read(data, limits, f.readAuths)
	return f, wrapFile(path, err)
}

func wrapFile(path string, err error) error {
	if err != nil {
		return fmt.Errorf("credentials in %s: %w", path, err)
	}
	return nil
}

func (f *authFile) readAuths(r *strictjson.Reader) error {
	return r.Map(func(key string) error {
		a := auth{key: key}
		var known bool
		if a.scope, known = parseKey(key); !known {
			return nil // no registry has that name
		}
		if !r.Null() {
			if err := a.read(r); err != nil {
				return err
			}
		}
		f.auths = append(f.auths, a)
		return nil
	})
}

func (a *auth) read(r *strictjson.Reader) error {
	return r.Record(authFields, func(name string) error {
		var into *Secret
		switch name {
		case "auth":
			into = &a.auth
		case "username":
			var err error
			a.user, err = r.String()
			return err
		case "password":
			into = &a.pass
		case "identitytoken":
			into = &a.ident
		case "registrytoken":
			into = &a.token
		default:
			return nil
		}
		text, err := r.String()
		*into = NewSecret(text)
		return err
	})
}

func (f *authFile) readHelpers(r *strictjson.Reader) error {
	return r.Map(func(key string) error {
		helper, err := r.String()
		s, ok := parseKey(key)
		if _, twice := f.helpers[s.host]; err == nil && ok && !twice && s.path == "" {
			f.helpers[s.host] = helper
		}
		return err
	})
}

// helper returns the name of the helper that has the credentials of a registry,
// or "". An empty name in credHelpers takes a registry out of credsStore.
func (f *authFile) helper(host string) string {
	if name, ok := f.helpers[host]; ok {
		return name
	}
	return f.store
}

// find returns the credential in auths for the narrowest scope. Of several keys of
// one scope, the one that is the scope's own name counts, or else the first. An
// entry that is empty, as Docker writes for helpers, counts for nothing.
func (f *authFile) find(asked scope) (Credential, error) {
	for level := range asked.levels {
		for _, own := range []bool{true, false} {
			for _, a := range f.auths {
				if a.scope != level || (a.key == level.String()) != own {
					continue
				}
				c, err := a.credential()
				if err != nil {
					return c, fmt.Errorf("credentials in %s: auths[%s]: %w", f.path, strictjson.Quote(a.key), err)
				}
				if !c.IsEmpty() {
					return c, nil
				}
			}
		}
	}
	return Credential{}, nil
}

// credential decodes an entry. No error shows any of it.
func (a *auth) credential() (Credential, error) {
	c := Credential{Username: a.user, Password: a.pass, RefreshToken: a.ident, AccessToken: a.token}
	if !a.auth.IsEmpty() {
		decoded, err := base64.StdEncoding.DecodeString(a.auth.Reveal())
		if err != nil {
			return Credential{}, fmt.Errorf("auth is not base64: %w", errdefs.ErrInvalidArgument)
		}
		user, password, ok := strings.Cut(string(decoded), ":")
		if !ok {
			return Credential{}, fmt.Errorf("auth has no colon between user and password: %w", errdefs.ErrInvalidArgument)
		}
		c.Username, c.Password = user, NewSecret(strings.TrimRight(password, "\x00"))
	}
	return c.withToken(), nil
}

// tokenUser is the user name that says that the password is an identity token.
const tokenUser = "<token>"

// withToken puts a token that is written as a password into its place.
func (c Credential) withToken() Credential {
	if c.Username == tokenUser {
		c.Username = ""
		if c.RefreshToken.IsEmpty() {
			c.RefreshToken = c.Password
		}
		c.Password = Secret{}
	}
	return c
}
