package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/dhowhq/dhow/internal/userfile"
)

// FilesHelper stands in Options.Helpers for the files of credentials.
const FilesHelper = "containers-auth.json"

// Options say where a machine's credentials are. With the zero value a Keyring has
// none but those below /run/containers: LookupEnv and Home lead to the others.
type Options struct {
	// LookupEnv is os.LookupEnv, which only main is to call: it gives the
	// variables of docs/credentials.md. Nil is an empty environment.
	LookupEnv func(key string) (string, bool)
	// Home is the user's home directory; "" is the environment's HOME.
	Home string
	// Root is the directory that stands for / in /run/containers.
	Root string
	// UID is whose directory there; nil is the user of the process.
	UID *int

	// AuthFile is the one file to use, in the place of those that would be found
	// and of the environment.
	AuthFile string
	// Helpers are the sources to ask, in order: FilesHelper, or names of
	// credential helpers. Nil is FilesHelper alone.
	Helpers []string
	// LookPath finds a credential helper's program, docker-credential-NAME, and
	// returns an absolute path; nil is exec.LookPath.
	LookPath func(file string) (string, error)

	// Logger is told where a credential was found; nil is nobody.
	Logger *slog.Logger
}

// Keyring has the credentials of a machine. It keeps nothing: files are read, and
// helpers run, whenever it is asked. Its methods may be called concurrently.
type Keyring struct {
	helpers  []string
	places   []place
	env      environment
	authFile string
	look     func(string) (string, error)
	time     time.Duration // that a helper may take
	log      *slog.Logger
	warned   sync.Map // paths of files that others may read
}

// New returns the Keyring of a machine. It reads nothing yet.
func New(opts Options) *Keyring {
	k := &Keyring{
		helpers:  slices.Clone(opts.Helpers),
		env:      environmentOf(opts),
		authFile: opts.AuthFile,
		look:     opts.LookPath,
		time:     helperTime,
		log:      opts.Logger,
	}
	if len(k.helpers) == 0 {
		k.helpers = []string{FilesHelper}
	}
	if k.look == nil {
		k.look = exec.LookPath
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.places = k.env.places(opts.AuthFile)
	return k
}

// Get implements Store. It asks, in order and up to the first credential: the
// environment, unless AuthFile is set, and the Helpers. In a file a helper that it
// names for the registry stands for its auths, of which the narrowest scope that
// the repository is in counts.
func (k *Keyring) Get(ctx context.Context, host, repository string) (Credential, error) {
	asked, err := parseScope(host, repository)
	if err != nil {
		return Credential{}, err
	}
	c, from, err := k.find(ctx, asked)
	switch {
	case err != nil:
		return Credential{}, fmt.Errorf("looking for a credential for %s: %w", asked, err)
	case c.IsEmpty():
		k.log.DebugContext(ctx, "no credential", "registry", asked.String())
	default:
		k.log.DebugContext(ctx, "credential found", "registry", asked.String(), "in", from)
	}
	return c, nil
}

// find returns a credential and where it was.
func (k *Keyring) find(ctx context.Context, asked scope) (Credential, string, error) {
	if err := ctx.Err(); err != nil {
		return Credential{}, "", err
	}
	if f, ok, err := k.fromEnvironment(); ok {
		if err != nil {
			return Credential{}, "", err
		}
		if c, err := k.findIn(ctx, f, asked); err != nil || !c.IsEmpty() {
			return c, f.path, err
		}
	}
	for _, name := range k.helpers {
		if name == FilesHelper {
			if c, from, err := k.findInFiles(ctx, asked); err != nil || !c.IsEmpty() {
				return c, from, err
			}
			continue
		}
		h := k.helper(name, "credential-helpers")
		if c, err := h.get(ctx, asked); err != nil || !c.IsEmpty() {
			return c, h.String(), err
		}
	}
	return Credential{}, "", nil
}

func (k *Keyring) helper(name, from string) helper {
	return helper{name: name, from: from, time: k.time, look: k.look}
}

// fromEnvironment returns what a variable holds, and whether one is set.
func (k *Keyring) fromEnvironment() (f authFile, ok bool, err error) {
	if k.authFile != "" {
		return authFile{}, false, nil
	}
	for _, key := range inEnvironment {
		if value := k.env.get(key); value != "" {
			f, err := parseFile("$"+key, []byte(value))
			return f, true, err
		}
	}
	return authFile{}, false, nil
}

func (k *Keyring) findInFiles(ctx context.Context, asked scope) (Credential, string, error) {
	for _, p := range k.places {
		f, err := k.read(p)
		if errors.Is(err, fs.ErrNotExist) && !p.named {
			continue
		}
		if err != nil {
			return Credential{}, "", err
		}
		if c, err := k.findIn(ctx, f, asked); err != nil || !c.IsEmpty() {
			return c, p.path, err
		}
	}
	return Credential{}, "", nil
}

// findIn returns the credential that one file has.
func (k *Keyring) findIn(ctx context.Context, f authFile, asked scope) (Credential, error) {
	if name := f.helper(asked.host); name != "" {
		return k.helper(name, f.path).get(ctx, asked)
	}
	return f.find(asked)
}

// read reads a file of credentials.
func (k *Keyring) read(p place) (authFile, error) {
	data, info, err := readFile(p.path)
	if err != nil {
		return authFile{}, err
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && runtime.GOOS != "windows" {
		if _, again := k.warned.LoadOrStore(p.path, true); !again {
			k.log.Warn("a file of credentials can be read or written by others", "file", p.path, "mode", info.Mode().Perm().String())
		}
	}
	if p.old {
		return parseOldFile(p.path, data)
	}
	return parseFile(p.path, data)
}

// readFile returns the bytes of a file.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	data, info, err := userfile.Read(path, maxFile)
	if err != nil {
		return nil, nil, fmt.Errorf("a file of credentials: %w", err)
	}
	return data, info, nil
}
