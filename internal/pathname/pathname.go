// Package pathname splits what says a place and which of the images there: PATH, PATH:NAME
// or PATH:@N.
package pathname

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// maxPosition bounds N: nothing has as many images.
const maxPosition = 1 << 30

// Parts are the parts of such a text.
type Parts struct {
	// Path is as the operating system writes it.
	Path string
	// Name is empty where there is none, and with a Position.
	Name string
	// Named reports whether a colon follows the path, and no position.
	Named bool
	// Position counts from 1; 0 is none.
	Position int
}

// Split splits a text at the first colon, but on Windows, the GOOS, not at that of a drive. The
// parts are not checked but for N, which is a decimal number from 0 to below 2³⁰: else it
// returns the path alone, and errdefs.ErrInvalidArgument.
func Split(text, goos string) (Parts, error) {
	drive := 0
	if goos == "windows" && hasDrive(text) {
		drive = len("C:")
	}
	path, name, named := strings.Cut(text[drive:], ":")
	p := Parts{Path: text[:drive] + path}
	position, ok := strings.CutPrefix(name, "@")
	if !ok {
		p.Name, p.Named = name, named
		return p, nil
	}
	n, err := strconv.ParseUint(position, 10, 64)
	if err != nil || n >= maxPosition {
		return p, fmt.Errorf("%s is not the position of an image: %w", strictjson.Quote(name), errdefs.ErrInvalidArgument)
	}
	p.Position = int(n) + 1
	return p, nil
}

// hasDrive reports whether a path begins with a drive letter, as in C:\images.
func hasDrive(path string) bool {
	if len(path) < 3 || path[1] != ':' || path[2] != '\\' && path[2] != '/' {
		return false
	}
	letter := path[0] | 0x20
	return 'a' <= letter && letter <= 'z'
}
