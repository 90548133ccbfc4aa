// Package oci reads and writes images in OCI image layouts: directories with an
// index.json of names and a tree of blobs.
//
// A layout may be shared by many writers, in one process or several. Blobs are
// put in place verified and synced, and index.json is replaced as a whole under
// a lock, so that no writer loses what another one wrote and a reader never
// sees half of an image.
package oci

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

// Reference says which image of which layout is meant. Its zero value is not
// valid.
type Reference struct {
	// Path is the directory of the layout, as the operating system writes it.
	Path string
	// Name is the annotation org.opencontainers.image.ref.name of an entry of
	// index.json; empty for none.
	Name string

	position int // from 1; 0 for none
}

// Parse parses PATH, PATH:NAME or PATH:@N. The first colon ends the path, but on
// Windows not that of a drive; an empty NAME is none. NAME must be a valid
// ref.name, and N, which counts the entries of index.json from 0, a decimal
// number. Errors are errdefs.ErrInvalidArgument.
func Parse(details string) (Reference, error) {
	return parse(details, runtime.GOOS)
}

func parse(details, goos string) (Reference, error) {
	p, err := pathname.Split(details, goos)
	r := Reference{Path: p.Path, Name: p.Name, position: p.Position}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Reference{}, fmt.Errorf("oci reference %s: %w", strictjson.Quote(details), err)
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
	return ref.ValidLayoutName(r.Name)
}

// At returns a reference to the entry at a position of index.json, from 0; it
// has no name.
func (r Reference) At(position int) Reference {
	return Reference{Path: r.Path, position: position + 1}
}

// Position returns the position that the reference names; ok is false if it
// names none.
func (r Reference) Position() (position int, ok bool) {
	return r.position - 1, r.position > 0
}

// String returns the reference as Parse takes it.
func (r Reference) String() string {
	if position, ok := r.Position(); ok {
		return r.Path + ":@" + strconv.Itoa(position)
	}
	if r.Name != "" {
		return r.Path + ":" + r.Name
	}
	return r.Path
}
