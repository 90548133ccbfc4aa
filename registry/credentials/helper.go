package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

const (
	helperPrefix = "docker-credential-"
	// helperTime is how long a helper may take.
	helperTime = 10 * time.Second
	// pipeTime is how long a helper that was killed may keep its output open, by
	// way of a process that it started.
	pipeTime = 50 * time.Millisecond
	// notInKeychain is what helpers answer, by the protocol, for what they do not
	// have.
	notInKeychain = "credentials not found in native keychain"
)

// helper is a program that keeps credentials: docker-credential-NAME.
type helper struct {
	name string // without the prefix
	from string // where it is named, for messages
	time time.Duration
	look func(string) (string, error)
}

// check refuses what could be another program than one with the prefix.
func (h helper) check() error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if h.name == "" || strings.Trim(h.name, allowed) != "" {
		return fmt.Errorf("%s names the credential helper %s, which is not letters, digits, dots, dashes and underscores: %w",
			h.from, strictjson.Quote(h.name), errdefs.ErrInvalidArgument)
	}
	return nil
}

func (h helper) String() string { return helperPrefix + h.name }

// keys are the names under which helpers know a registry. For Docker Hub it is
// the one that Docker uses, before its own.
func (s scope) keys() []string {
	if s.host == dockerHub {
		return []string{dockerHubKey, dockerHub}
	}
	return []string{s.host}
}

// answerFields are those of what a helper answers to get.
var answerFields = strictjson.NewFields("ServerURL", "Username", "Secret")

// get returns the credential for a registry, or an empty one if the helper has
// none.
func (h helper) get(ctx context.Context, s scope) (Credential, error) {
	for _, key := range s.keys() {
		out, err := h.run(ctx, "get", []byte(key))
		if errors.Is(err, errNone) {
			continue
		}
		if err != nil {
			return Credential{}, err
		}
		c, ok := parseAnswer(out)
		if !ok {
			// What is wrong is not said: it might repeat what is secret.
			return Credential{}, h.failed("get", fmt.Errorf("its answer is not an object with Username and Secret: %w", errdefs.ErrInvalidArgument))
		}
		if !c.IsEmpty() {
			return c, nil
		}
	}
	return Credential{}, nil
}

// parseAnswer reads what a helper answers to get.
func parseAnswer(data []byte) (Credential, bool) {
	var c Credential
	err := strictjson.Read(data, limits, func(r *strictjson.Reader) error {
		return r.Record(answerFields, func(name string) error {
			if name != "Username" && name != "Secret" {
				return nil
			}
			text, err := r.String()
			if name == "Username" {
				c.Username = text
			} else {
				c.Password = NewSecret(text)
			}
			return err
		})
	})
	return c.withToken(), err == nil
}

// save gives the helper a credential, in the place of the one that it may have.
func (h helper) save(ctx context.Context, s scope, c Credential) error {
	user, secret := c.Username, c.Password
	if !c.RefreshToken.IsEmpty() {
		user, secret = tokenUser, c.RefreshToken
	}
	in, err := json.Marshal(struct{ ServerURL, Username, Secret string }{s.keys()[0], user, secret.Reveal()}) //nolint:gosec // for the helper alone
	if err != nil {
		return h.failed("store", errors.New("the credential cannot be written")) // the error might repeat it
	}
	if _, err := h.run(ctx, "store", in); err != nil {
		if errors.Is(err, errNone) {
			err = h.failed("store", err)
		}
		return err
	}
	return nil
}

// erase has the helper forget a registry, and reports whether it knew it. Not all
// helpers tell.
func (h helper) erase(ctx context.Context, s scope) (bool, error) {
	erased := false
	for _, key := range s.keys() {
		_, err := h.run(ctx, "erase", []byte(key))
		if errors.Is(err, errNone) {
			continue
		}
		if err != nil {
			return erased, err
		}
		erased = true
	}
	return erased, nil
}

// errNone is that a helper does not have what it was asked for.
var errNone = fmt.Errorf("it has no such credential: %w", errdefs.ErrNotFound)

// run runs the helper without a shell, and returns its output. Neither that nor
// what it says when it fails is in an error: it might be what is secret.
func (h helper) run(ctx context.Context, action string, in []byte) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	path, err := h.look(h.String())
	if err == nil && !filepath.IsAbs(path) {
		err = exec.ErrDot
	}
	if err != nil {
		return nil, fmt.Errorf("%s names the credential helper %s: %w: %w", h.from, h.name, err, errdefs.ErrFailedPrecondition)
	}
	limited, cancel := context.WithTimeout(ctx, h.time)
	defer cancel()
	out := &limitedBuffer{full: cancel}
	cmd := exec.CommandContext(limited, path, action) //nolint:gosec // what the configuration names, with a fixed prefix
	cmd.Stdin, cmd.Stdout = bytes.NewReader(in), out
	cmd.WaitDelay = pipeTime
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && limited.Err() == nil {
		err = nil // it is done; what it started holds the output open
	}
	switch {
	case out.overflow:
		return nil, h.failed(action, fmt.Errorf("its output has more than %d bytes: %w", maxFile, errdefs.ErrResourceExhausted))
	case ctx.Err() != nil:
		return nil, h.failed(action, ctx.Err())
	case limited.Err() != nil:
		return nil, h.failed(action, fmt.Errorf("it was not done after %v: %w", h.time, errdefs.ErrFailedPrecondition))
	case err != nil && strings.TrimSpace(out.taken.String()) == notInKeychain:
		return nil, errNone
	case err != nil:
		return nil, h.failed(action, fmt.Errorf("%w (run it by hand to see why): %w", err, errdefs.ErrFailedPrecondition))
	}
	return out.taken.Bytes(), nil
}

func (h helper) failed(action string, err error) error {
	return fmt.Errorf("credential helper %s %s, named in %s: %w", h, action, h.from, err)
}

// limitedBuffer takes maxFile bytes, and for more calls full.
type limitedBuffer struct {
	taken    bytes.Buffer // not embedded: its ReadFrom knows no limit
	overflow bool
	full     func()
}

// Write takes bytes as long as there is room.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.taken.Len()+len(p) > maxFile {
		b.overflow = true
		b.full()
		return 0, errors.New("too much output")
	}
	return b.taken.Write(p)
}
