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

// cut notes what was left out of a document, which who names, to make it fit. Of
// members of one name that went for the same reason, the first is told.
func (l *losses) cut(who string, fit fitting) {
	type like struct{ name, why string }
	times := map[like]int{}
	for _, c := range fit.cuts {
		times[like{c.name, c.why}]++
	}
	for _, c := range fit.cuts {
		switch n := times[like{c.name, c.why}]; {
		case n == 1:
			l.add("%s lost %s: it %s", who, c.path, c.why)
		case n > 1:
			l.add("%s lost %s: it %s (and %d more like it)", who, c.path, c.why, n-1)
			times[like{c.name, c.why}] = 0
		}
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
