package strictjson

import (
	"unicode"
	"unicode/utf8"
)

// Fields are the names that an object is known to have. They are immutable.
type Fields struct {
	bits   map[string]uint64 // each name's own bit
	names  map[string]string // each name to the one string that is given out
	folded map[string]string // the folded form to the name
}

// NewFields returns a set of at most 64 names, no two of which fold alike.
func NewFields(names ...string) *Fields {
	f := &Fields{bits: map[string]uint64{}, names: map[string]string{}, folded: map[string]string{}}
	for i, name := range names {
		f.bits[name] = 1 << i
		f.names[name] = name
		f.folded[string(fold([]byte(name)))] = name
	}
	if len(names) > 64 || len(f.folded) != len(names) {
		panic("strictjson: more than 64 fields, or two that fold alike")
	}
	return f
}

// fold returns a name in the form that is the same for all names that simple
// Unicode folding does not tell apart, the relation that encoding/json matches by.
func fold(name []byte) []byte {
	out := make([]byte, 0, len(name))
	for i := 0; i < len(name); {
		c, n := rune(name[i]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRune(name[i:])
		}
		out = utf8.AppendRune(out, foldRune(c))
		i += n
	}
	return out
}

// foldRune returns the smallest rune of those that fold to one another.
func foldRune(c rune) rune {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	if c < utf8.RuneSelf {
		return c
	}
	for {
		next := unicode.SimpleFold(c)
		if next <= c {
			return next // the orbit is walked upwards, so this is where it begins
		}
		c = next
	}
}
