package progress

import (
	"os"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// minWidth is the width in columns of the narrowest terminal that bars fit on.
const minWidth = 40

// Resolve returns the mode that Auto means for output to a file, and any other
// mode as it is. term is the value of TERM.
func Resolve(mode Mode, out *os.File, term string) Mode {
	if mode != Auto {
		return mode
	}
	fd := int(out.Fd())
	if term == "dumb" || !cwriter.IsTerminal(fd) {
		return Plain
	}
	if width, _, err := cwriter.GetSize(fd); err != nil || width < minWidth {
		return Plain
	}
	return Bars
}
