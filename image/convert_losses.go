package image

import (
	"fmt"
	"strings"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// losses are what a conversion could not carry over, a sentence each.
type losses struct{ all []string }

func (l *losses) add(format string, args ...any) {
	l.all = append(l.all, fmt.Sprintf(format, args...))
}

// drop drops members of an object, which who names, and notes those that said
// something.
func (l *losses) drop(who string, o *object, names ...string) {
	var lost []string
	for _, name := range names {
		value := o.get(name)
		if !o.drop(name) {
			continue
		}
		if keys, err := splitObject(value); err == nil && name == "annotations" {
			name += " (" + keys.names() + ")"
		}
		lost = append(lost, name)
	}
	if len(lost) > 0 {
		l.add("%s lost its %s", who, strings.Join(lost, ", "))
	}
}

// cut notes what was left out of a document, which who names, to make it fit.
func (l *losses) cut(who string, fit *fitting) {
	for _, c := range fit.cuts {
		more := ""
		if c.times > 1 {
			more = fmt.Sprintf(" (and %d more like it)", c.times-1)
		}
		l.add("%s lost %s: it %s%s", who, c.path, c.why, more)
	}
}

// names returns the names of all members for a message.
func (o *object) names() string {
	all := make([]string, len(o.members))
	for i, m := range o.members {
		all[i] = m.name
	}
	return strictjson.Quote(strings.Join(all, ", "))
}
