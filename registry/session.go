package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/wire"
)

// session authorises requests about one repository of a server, or about the server
// as such. Credentials may be for a repository, so tokens are not shared beyond it.
type session struct {
	repository string
	store      credentials.Store
	listing    turn // to write lists of referrers

	mu      sync.Mutex
	scheme  auth.Scheme
	tokens  map[string]string    // by the scopes asked for
	fetches map[string]*fetch    // that go on
	secrets []credentials.Secret // that were used, for no text to repeat
}

// fetch is the fetching of a token that several requests wait for.
type fetch struct {
	done  chan struct{}
	token string
	err   error
}

func newSession(repository string, store credentials.Store) *session {
	s := &session{repository: repository, store: store, listing: newTurn()}
	s.tokens, s.fetches = map[string]string{}, map[string]*fetch{}
	return s
}

// do sends a request with what authorises it, asking a token server where the
// registry wants that.
func (s *session) do(client *wire.Client, host string, req *http.Request, h how) (*http.Response, error) {
	if again, ok := req.Body.(wire.Reopener); ok && req.GetBody == nil {
		req = req.Clone(req.Context())
		req.GetBody = again.Reopen
	}
	c := &call{session: s, client: client, how: h, method: req.Method, url: req.URL.String()}
	oras := &auth.Client{
		Client:   &http.Client{Transport: c},
		Cache:    c,
		ClientID: "dhow",
		Credential: func(ctx context.Context, _ string) (auth.Credential, error) {
			return s.credential(ctx, host)
		},
	}
	ctx := auth.WithScopesForHost(req.Context(), req.URL.Host, h.scopes...)
	resp, err := oras.Do(req.WithContext(ctx))
	if err != nil {
		return nil, s.clean(wire.Redact(c.unmask(err)))
	}
	return resp, nil
}

// credential looks up the credential for the host that is being talked to.
func (s *session) credential(ctx context.Context, host string) (auth.Credential, error) {
	if s.store == nil {
		return auth.EmptyCredential, nil
	}
	c, err := s.store.Get(ctx, host, s.repository)
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("the credential for %s: %w", host, err)
	}
	s.mu.Lock()
	s.secrets = []credentials.Secret{c.Password, c.RefreshToken, c.AccessToken}
	s.mu.Unlock()
	return auth.Credential{
		Username:     c.Username,
		Password:     c.Password.Reveal(),
		RefreshToken: c.RefreshToken.Reveal(),
		AccessToken:  c.AccessToken.Reveal(),
	}, nil
}

// clean gives an error of authentication its kind, and blanks what it must not show.
func (s *session) clean(err error) error {
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		err = &kindedError{err, errdefs.ErrPermissionDenied}
	}
	text := err.Error()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.secrets {
		if raw := secret.Reveal(); len(raw) >= 4 {
			text = strings.ReplaceAll(text, raw, secret.String())
		}
	}
	if text == err.Error() {
		return err
	}
	return &retoldError{text: text, err: err}
}

// retoldError is an error with a text that is fit to be shown.
type retoldError struct {
	text string
	err  error
}

func (e *retoldError) Error() string { return e.text }
func (e *retoldError) Unwrap() error { return e.err }
