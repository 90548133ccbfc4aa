package strictjson

import (
	"bytes"
	"math"

	"github.com/containerd/errdefs"
	"github.com/go-json-experiment/json/jsontext"
)

// maxUnknown is how many unknown names an object with known fields may have.
const maxUnknown = 1000

// Object consumes an object with known fields and calls member for each of its
// names, in order, with its value next to be read; the path is that of the member
// meanwhile. A name that fields does not have is given to member as well, unless
// it folds to one of fields or to another name of this object: that is an error,
// as are a name that comes twice and more than 1000 names that fields does not have.
func (r *Reader) Object(fields *Fields, member func(name string) error) error {
	return r.members(member, func(seen *nameSet, raw []byte) (string, error) {
		if name, ok := fields.names[string(raw)]; ok {
			if seen.known&fields.bits[name] != 0 {
				return "", r.duplicate(raw)
			}
			seen.known |= fields.bits[name]
			return name, nil
		}
		if seen.unknown++; seen.unknown > maxUnknown {
			return "", r.Errorf(errdefs.ErrResourceExhausted, "has more than the %d unknown keys allowed", maxUnknown)
		}
		folded := string(fold(raw))
		if name, ok := fields.folded[folded]; ok {
			return "", r.Errorf(errdefs.ErrInvalidArgument, "has the ambiguous key %s, which can be taken for %q", Quote(raw), name)
		}
		if !seen.add(folded) {
			return "", r.Errorf(errdefs.ErrInvalidArgument, "has the ambiguous key %s twice, or once more in another case", Quote(raw))
		}
		return string(raw), nil
	})
}

// Map consumes an object with names of any kind and calls member, unless it is
// nil, for each as Object does. Only a name that comes twice is an error.
func (r *Reader) Map(member func(name string) error) error {
	return r.members(member, func(seen *nameSet, raw []byte) (string, error) {
		name := string(raw)
		if !seen.add(name) {
			return "", r.duplicate(raw)
		}
		return name, nil
	})
}

// StringMap consumes an object of which all values are strings.
func (r *Reader) StringMap() (map[string]string, error) {
	all := map[string]string{}
	err := r.members(func(name string) (err error) {
		all[name], err = r.String()
		return err
	}, func(_ *nameSet, raw []byte) (string, error) {
		if _, ok := all[string(raw)]; ok {
			return "", r.duplicate(raw)
		}
		return string(raw), nil
	})
	return all, err
}

func (r *Reader) duplicate(name []byte) error {
	return r.Errorf(errdefs.ErrInvalidArgument, "has the key %s twice", Quote(name))
}

// members consumes an object. accept checks a name against those before it and
// returns it as a string.
func (r *Reader) members(member func(name string) error, accept func(seen *nameSet, raw []byte) (string, error)) error {
	if err := r.open(Object); err != nil {
		return err
	}
	var seen nameSet
	for r.dec.PeekKind() == jsontext.KindString {
		raw, err := r.text()
		if err != nil {
			return err
		}
		name, err := accept(&seen, raw)
		if err != nil {
			return err
		}
		r.path = append(r.path, segment{name: name, index: -1})
		var read func() error
		if member != nil {
			read = func() error { return member(name) }
		}
		if err := r.value(read); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
	}
	return r.close()
}

// Array consumes an array and calls element, unless it is nil, for each element
// with its position from 0; the path is that of the element meanwhile.
func (r *Reader) Array(element func(i int) error) error {
	if err := r.open(Array); err != nil {
		return err
	}
	r.path = append(r.path, segment{})
	at := len(r.path) - 1
	for i := 0; ; i++ {
		if k := r.dec.PeekKind(); k == jsontext.KindEndArray || k == jsontext.KindInvalid {
			break
		}
		r.path[at].index = i
		var read func() error
		if element != nil {
			read = func() error { return element(i) }
		}
		if err := r.value(read); err != nil {
			return err
		}
	}
	r.path = r.path[:at]
	return r.close()
}

// open consumes the beginning of an object or array.
func (r *Reader) open(want Kind) error {
	if err := r.expect(want); err != nil {
		return err
	}
	if r.dec.StackDepth() >= r.maxDepth {
		return r.Errorf(errdefs.ErrInvalidArgument, "nests deeper than %d levels", r.maxDepth)
	}
	return r.consume()
}

// close consumes the end of an object or array: nothing else can be next but
// what breaks the grammar.
func (r *Reader) close() error { return r.consume() }

func (r *Reader) consume() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return r.syntaxError(err)
	}
	return nil
}

// expect checks that the next value is of that kind.
func (r *Reader) expect(want Kind) error {
	switch have := r.Kind(); have {
	case want:
		return nil
	case Invalid:
		// Have the error of the grammar.
		if err := r.consume(); err != nil {
			return err
		}
		return r.Errorf(errdefs.ErrInvalidArgument, "has no value")
	default:
		return r.Errorf(errdefs.ErrInvalidArgument, "is %s where %s is wanted", have, want)
	}
}

// String consumes a string.
func (r *Reader) String() (string, error) {
	if err := r.expect(String); err != nil {
		return "", err
	}
	text, err := r.text()
	return string(text), err
}

// text consumes a string or a name. What it returns may share the document's
// memory.
func (r *Reader) text() ([]byte, error) {
	quoted, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.syntaxError(err)
	}
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil, r.syntaxError(err)
	}
	return plain, nil
}

// Bool consumes a boolean.
func (r *Reader) Bool() (bool, error) {
	if k := r.Kind(); k != True && k != False {
		return false, r.expect(True)
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return false, r.syntaxError(err)
	}
	return token.Bool(), nil
}

// Int64 consumes a whole number from 0 to 2^63-1, written in digits alone: a sign,
// a fraction or an exponent is an error.
func (r *Reader) Int64() (int64, error) {
	if err := r.expect(Number); err != nil {
		return 0, err
	}
	digits, err := r.dec.ReadValue()
	if err != nil {
		return 0, r.syntaxError(err)
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, r.Errorf(errdefs.ErrInvalidArgument, "is %s, which is not a whole number of 0 or more", Quote(digits))
		}
		if n > (math.MaxInt64-int64(c-'0'))/10 {
			return 0, r.Errorf(errdefs.ErrInvalidArgument, "is %s, which is more than 2^63-1", Quote(digits))
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}
