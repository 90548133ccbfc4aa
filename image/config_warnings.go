package image

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// maxUser is how long the user of a config may be without being odd.
const maxUser = 256

// runtimeLabels is the namespace of labels by which containerd steers itself.
const runtimeLabels = "containerd.io/"

// Warnings returns what is odd about the config of an image with that many layers,
// one sentence each: what one who unpacks or runs it might refuse or stumble over.
// None of it is in the way of a copy.
func (c *Config) Warnings(layers int) []string {
	w := &warnings{}
	if len(c.DiffIDs) != layers {
		w.add("the config has %d diff IDs for %d layers", len(c.DiffIDs), layers)
	}
	if n := c.historyLayers(); len(c.History) > 0 && n != len(c.DiffIDs) {
		w.add("the config's history tells of %d layers where it has %d diff IDs", n, len(c.DiffIDs))
	}
	if c.Created != "" && !isTime(c.Created) {
		w.add("the config's creation time %s is no time by RFC 3339", strictjson.Quote(c.Created))
	}
	var times []string
	for _, line := range c.History {
		if line.Created != "" {
			times = append(times, line.Created)
		}
	}
	w.each("time in the config's history", times, func(s string) bool { return !isTime(s) }, "is no time by RFC 3339")
	w.each("environment variable", c.Env, func(s string) bool { return strings.IndexByte(s, '=') < 1 }, "is not of the form NAME=VALUE")
	w.each("working directory", []string{c.WorkingDir}, hasDotDot, `has the element ".."`)
	w.each("volume", c.Volumes, hasDotDot, `has the element ".."`)
	if len(c.User) > maxUser {
		w.add("the config's user has %d bytes", len(c.User))
	}
	w.each("label", c.reservedLabels(), func(string) bool { return true }, "is in a namespace of containerd's own")
	return w.all
}

// historyLayers returns for how many layers there are lines in the history.
func (c *Config) historyLayers() int {
	n := 0
	for _, line := range c.History {
		if !line.EmptyLayer {
			n++
		}
	}
	return n
}

// reservedLabels returns the names of labels that steer a runtime, sorted.
func (c *Config) reservedLabels() []string {
	var names []string
	for name := range c.Labels {
		if strings.HasPrefix(name, runtimeLabels) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// warnings gathers sentences.
type warnings struct{ all []string }

func (w *warnings) add(format string, args ...any) {
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

// each adds one sentence for all values that are odd: the first is named, the
// rest counted.
func (w *warnings) each(what string, values []string, odd func(string) bool, why string) {
	first, count := "", 0
	for _, v := range values {
		if !odd(v) {
			continue
		}
		if count++; count == 1 {
			first = v
		}
	}
	more := ""
	if count > 1 {
		more = fmt.Sprintf(" (and %d more like it)", count-1)
	}
	if count > 0 {
		w.add("the %s %s %s%s", what, strictjson.Quote(first), why, more)
	}
}

// isTime reports whether s is a time as configs have it.
func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

// hasDotDot reports whether a path, of Unix or Windows, has the element "..".
func hasDotDot(path string) bool {
	elements := strings.FieldsFunc(path, func(c rune) bool { return c == '/' || c == '\\' })
	return slices.Contains(elements, "..")
}
