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

// Has reports whether name is one of them.
func (f *Fields) Has(name string) bool { return f.bits[name] != 0 }

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

// nameSet is what an object has been seen to have.
type nameSet struct {
	known   uint64 // the bits of known fields
	unknown int
	few     [8]string
	n       int // of few
	many    map[string]struct{}
}

// add adds a name and reports whether it is new.
func (s *nameSet) add(name string) bool {
	for _, have := range s.few[:s.n] {
		if have == name {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, have := s.many[name]; have {
		return false
	}
	if s.many == nil {
		s.many = map[string]struct{}{}
	}
	s.many[name] = struct{}{}
	return true
}
