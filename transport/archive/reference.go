package archive

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/pathname"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
)

// Reference says which image of which archive is meant. Its zero value is not valid.
type Reference struct {
	// Kind is that of the archive.
	Kind Kind
	// Path is the file, as the operating system writes it.
	Path string
	// Name is that of an image: for Docker a full reference with a tag, for OCI a ref.name;
	// empty for none.
	Name string

	position int // from 1; 0 for none
}

// ParseDocker parses PATH, PATH:NAME[:TAG] or PATH:@N, what follows `docker-archive:`. The
// first colon ends the path, but on Windows not that of a drive. NAME is that of an image in
// any form that Docker takes, but without a digest; the tag is latest if there is none. N
// counts the entries of manifest.json from 0, or where there is no such file those of
// index.json. Errors are errdefs.ErrInvalidArgument.
func ParseDocker(details string) (Reference, error) { return parse(Docker, details, runtime.GOOS) }

// ParseOCI parses PATH, PATH:NAME or PATH:@N, what follows `oci-archive:`. The first colon
// ends the path, but on Windows not that of a drive; an empty NAME is none. NAME must be a
// valid ref.name, and N counts the entries of index.json from 0. Errors are
// errdefs.ErrInvalidArgument.
func ParseOCI(details string) (Reference, error) { return parse(OCI, details, runtime.GOOS) }

func parse(kind Kind, details, goos string) (Reference, error) {
	r, err := split(kind, details, goos)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Reference{}, fmt.Errorf("%s reference %s: %w", kind, strictjson.Quote(details), err)
	}
	return r, nil
}

func split(kind Kind, details, goos string) (Reference, error) {
	p, err := pathname.Split(details, goos)
	r := Reference{Kind: kind, Path: p.Path, Name: p.Name, position: p.Position}
	if err != nil {
		return r, err
	}
	if kind == Docker && p.Named {
		parsed, err := ref.Parse(p.Name)
		if err != nil {
			return r, err
		}
		r.Name = parsed.Tagged().String()
	}
	return r, nil
}

// check checks a reference, which a caller may have made up.
func (r Reference) check() error {
	if r.Path == "" || strings.ContainsRune(r.Path, 0) {
		return fmt.Errorf("path %s: %w", strictjson.Quote(r.Path), errdefs.ErrInvalidArgument)
	}
	if r.Name == "" {
		return nil
	}
	return checkName(r.Kind, r.Name)
}

// checkName checks that a name is one by which an archive of the kind can name an image.
func checkName(kind Kind, name string) error {
	if kind == OCI {
		return ref.ValidLayoutName(name)
	}
	parsed, err := ref.Parse(name)
	switch {
	case err != nil:
		return err
	case parsed.Digest() != "":
		return fmt.Errorf("the name %s has a digest, and an archive names images by tags: %w", strictjson.Quote(name), errdefs.ErrInvalidArgument)
	case parsed.Tagged().String() != name:
		return fmt.Errorf("the name %s is not a full one, as %s: %w", strictjson.Quote(name), parsed.Tagged(), errdefs.ErrInvalidArgument)
	}
	return nil
}

// At returns a reference to the image at a position, from 0; it has no name.
func (r Reference) At(position int) Reference {
	return Reference{Kind: r.Kind, Path: r.Path, position: position + 1}
}

// Position returns the position that the reference names; ok is false, and the position -1,
// if it names none.
func (r Reference) Position() (position int, ok bool) {
	return r.position - 1, r.position > 0
}

// String returns the reference with the name of its transport.
func (r Reference) String() string {
	s := r.Kind.String() + ":" + r.Path
	if position, ok := r.Position(); ok {
		return s + ":@" + strconv.Itoa(position)
	}
	if r.Name != "" {
		return s + ":" + r.Name
	}
	return s
}
