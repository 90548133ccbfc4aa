package progress

import (
	"fmt"
	"io"
	"strconv"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
)

// newJSON returns a renderer that writes each event as one line of JSON.
func newJSON(out io.Writer) Renderer {
	return &lines{out: out, render: func(w io.Writer, e copy.Event) error { return text.JSONLine(w, e) }}
}

// newPlain returns a renderer that writes a line for each node that is finished,
// one for the plan and one for the end.
func newPlain(out io.Writer) Renderer {
	return &lines{out: out, render: plain}
}

func plain(w io.Writer, e copy.Event) error {
	var err error
	switch e.Kind {
	case copy.EventPlanned:
		_, err = fmt.Fprintf(w, "planned: %s, %s\n", text.Plural(e.Count, "descriptor"), text.Size(e.Total))
	case copy.EventGrown:
		_, err = fmt.Fprintf(w, "with what is attached: %s, %s\n", text.Plural(e.Count, "descriptor"), text.Size(e.Total))
	case copy.EventFinished:
		_, err = io.WriteString(w, finished(e)+"\n")
	case copy.EventCommitted:
		_, err = fmt.Fprintf(w, "committed: %s, %s\n", text.Plural(e.Finished, "descriptor"), text.Size(e.Done))
	case copy.EventStarted, copy.EventAdvanced:
	}
	return err
}

// finished returns the line of a node that is done.
func finished(e copy.Event) string {
	width := len(strconv.Itoa(e.Count))
	line := fmt.Sprintf("[%*d/%d] %-9s %-11s %s %10s", width, e.Finished, e.Count, e.Action, e.Role, text.Short(e.Digest), text.Size(e.Size))
	if e.Platform != "" {
		line += "  " + text.Cut(e.Platform, text.MaxValue)
	}
	if e.Reason != "" {
		line += "  (" + text.Escape(e.Reason) + ")"
	}
	return line
}
