// Package progress renders the events of a copy for people and programs: as bars
// on a terminal, as plain lines, or as JSON lines.
package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/copy"
)

// Mode names a rendering.
type Mode string

// The modes.
const (
	// Auto is Bars on a terminal, else Plain.
	Auto  Mode = "auto"
	Bars  Mode = "bars"
	Plain Mode = "plain"
	JSON  Mode = "json"
	None  Mode = "none"
)

// Modes returns the names of all modes.
func Modes() []string {
	return []string{string(Auto), string(Bars), string(Plain), string(JSON), string(None)}
}

// ParseMode returns the mode of that name, or an error that lists them all.
func ParseMode(s string) (Mode, error) {
	if slices.Contains(Modes(), s) {
		return Mode(s), nil
	}
	return "", fmt.Errorf("unknown progress %.64q (there are: %s): %w", s, strings.Join(Modes(), ", "), errdefs.ErrInvalidArgument)
}

// Renderer shows the events of one copy. Its methods are not called concurrently.
type Renderer interface {
	// Event shows the next event.
	Event(e copy.Event)
	// Close ends the rendering, however far the copy came: what was shown is
	// complete, and nothing is drawn over it any more. It returns the first error
	// of writing.
	Close() error
}

// New returns a renderer of that mode, which writes to out. Bars take it for a
// terminal; Auto must have been resolved by the caller and is Plain here.
func New(mode Mode, out *Output) Renderer {
	switch mode {
	case Bars:
		return newBars(out)
	case JSON:
		return newJSON(out)
	case None:
		return none{}
	default:
		return newPlain(out)
	}
}

// none shows nothing.
type none struct{}

func (none) Event(copy.Event) {}
func (none) Close() error     { return nil }

// lines is a Renderer of one function, which writes what an event is worth.
type lines struct {
	out    io.Writer
	render func(w io.Writer, e copy.Event) error
	err    error
}

func (l *lines) Event(e copy.Event) {
	if l.err == nil {
		l.err = l.render(l.out, e)
	}
}

func (l *lines) Close() error {
	if l.err != nil {
		return fmt.Errorf("writing progress: %w", l.err)
	}
	return nil
}
