package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/containerd/errdefs"
)

// Save keeps a credential for a registry, or for a namespace or repository of one,
// as in example.com/team, and returns where: a credential helper or a file. It
// replaces the one that is there.
//
// The first of Helpers gets it. Where that is the files, it is the first of them,
// or the helper that the file names for the registry. Helpers keep credentials of
// registries alone, and neither names of users without a secret nor access tokens:
// to ask that of them is errdefs.ErrInvalidArgument, as is an empty credential.
func (k *Keyring) Save(ctx context.Context, registry string, c Credential) (where string, err error) {
	s, err := parseTarget(registry)
	if err != nil {
		return "", err
	}
	if err := c.check(); err != nil {
		return "", fmt.Errorf("the credential for %s: %w", s, err)
	}
	h, file, err := k.target()
	if file != nil {
		h, _, err = k.helperOf(file, s)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("saving the credential for %s: %w", s, err)
	case h != nil:
		where, err = h.String(), h.keep(ctx, s, c)
	default:
		where, err = file.path, file.edit(ctx, func(all []member) ([]member, error) { return set(all, s, filepath.Base(file.path), c) })
	}
	if err != nil {
		return "", fmt.Errorf("saving the credential for %s: %w", s, err)
	}
	return where, nil
}

// Erase forgets the credential for a registry, a namespace or a repository, where
// Save would put one, and returns where that was. Credentials in other places are
// left alone. That there was none is errdefs.ErrNotFound; the error says where
// else there is one.
func (k *Keyring) Erase(ctx context.Context, registry string) (where []string, err error) {
	s, err := parseTarget(registry)
	if err != nil {
		return nil, err
	}
	if where, err = k.erase(ctx, s); err != nil {
		return where, fmt.Errorf("erasing the credential for %s: %w", s, err)
	}
	if len(where) > 0 {
		return where, nil
	}
	c, from, err := k.find(ctx, s)
	if err != nil || c.IsEmpty() {
		return nil, fmt.Errorf("there is no credential for %s: %w", s, errors.Join(err, errdefs.ErrNotFound))
	}
	return nil, fmt.Errorf("the credential for %s is in %s, which is left alone: %w", s, from, errdefs.ErrNotFound)
}

// check tells whether a credential can be kept.
func (c Credential) check() error {
	if c.Password.IsEmpty() && c.RefreshToken.IsEmpty() && c.AccessToken.IsEmpty() {
		return fmt.Errorf("there is nothing secret in it: %w", errdefs.ErrInvalidArgument)
	}
	for _, text := range []string{c.Username, c.Password.Reveal(), c.RefreshToken.Reveal(), c.AccessToken.Reveal()} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("it is not UTF-8, and JSON knows nothing else: %w", errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// target returns where new credentials go: a helper, or else a file.
func (k *Keyring) target() (*helper, *place, error) {
	if name := k.helpers[0]; name != FilesHelper {
		h := k.helper(name, "credential-helpers")
		return &h, nil, nil
	}
	if len(k.places) == 0 || k.places[0].old {
		return nil, nil, fmt.Errorf("there is no place for it; name a file: %w", errdefs.ErrFailedPrecondition)
	}
	return nil, &k.places[0], nil
}

// helperOf returns the helper that a file names for a registry, or nil, and
// whether there is such a file.
func (k *Keyring) helperOf(file *place, s scope) (h *helper, exists bool, err error) {
	f, err := k.read(*file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if name := f.helper(s.host); name != "" {
		named := k.helper(name, f.path)
		h = &named
	}
	return h, true, nil
}

// keep is save for what a helper can keep.
func (h helper) keep(ctx context.Context, s scope, c Credential) error {
	switch {
	case s.path != "":
		return fmt.Errorf("%s, named in %s, keeps credentials of registries, not of what is in them: %w", h, h.from, errdefs.ErrInvalidArgument)
	case c.Password.IsEmpty() && c.RefreshToken.IsEmpty():
		return fmt.Errorf("%s, named in %s, keeps passwords and identity tokens, not access tokens: %w", h, h.from, errdefs.ErrInvalidArgument)
	}
	return h.save(ctx, s, c)
}

func (k *Keyring) erase(ctx context.Context, s scope) (where []string, err error) {
	h, file, err := k.target()
	if err != nil {
		return nil, err
	}
	exists := false
	if file != nil {
		if h, exists, err = k.helperOf(file, s); err != nil {
			return nil, err
		}
	}
	if h != nil && s.path == "" {
		erased, err := h.erase(ctx, s)
		if err != nil {
			return nil, err
		}
		if erased {
			where = append(where, h.String())
		}
	}
	if !exists {
		return where, nil
	}
	removed := false
	err = file.edit(ctx, func(all []member) ([]member, error) {
		left := without(all, s)
		removed = len(left) < len(all)
		return left, nil
	})
	if removed && err == nil {
		where = append(where, file.path)
	}
	return where, err
}

// set replaces the entry of a scope, or adds one.
func set(all []member, s scope, file string, c Credential) ([]member, error) {
	value, err := entry(c)
	if err != nil {
		return nil, err
	}
	key := s.String()
	if key == dockerHub && file == dockerFile {
		key = dockerHubKey
	}
	for _, m := range all {
		if at, ok := parseKey(m.name); ok && at == s {
			key = m.name // as another program wrote it
			break
		}
	}
	return append(without(all, s), member{name: key, value: value}), nil
}

// without returns the entries of other scopes.
func without(all []member, s scope) []member {
	var left []member
	for _, m := range all {
		if at, ok := parseKey(m.name); !ok || at != s {
			left = append(left, m)
		}
	}
	return left
}

// entry writes a credential as an entry of auths.
func entry(c Credential) ([]byte, error) {
	user := c.Username
	if user == "" && !c.RefreshToken.IsEmpty() {
		user = tokenUser // containers skips what has no user
	}
	var out struct {
		Auth          string `json:"auth,omitempty"`
		IdentityToken string `json:"identitytoken,omitempty"`
		RegistryToken string `json:"registrytoken,omitempty"`
	}
	if strings.Contains(user, ":") {
		return nil, fmt.Errorf("the user name has a colon, which a file cannot tell from the one before the password: %w", errdefs.ErrInvalidArgument)
	}
	if user != "" || !c.Password.IsEmpty() {
		out.Auth = base64.StdEncoding.EncodeToString([]byte(user + ":" + c.Password.Reveal()))
	}
	out.IdentityToken, out.RegistryToken = c.RefreshToken.Reveal(), c.AccessToken.Reveal()
	value, err := json.Marshal(out)
	if err != nil {
		return nil, errors.New("the credential cannot be written") // the error might repeat it
	}
	return value, nil
}
