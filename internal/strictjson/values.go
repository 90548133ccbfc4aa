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
	return r.members(func(seen *nameSet, n name) error {
		known, ok := fields.names[string(n.text)]
		if !ok {
			if err := r.unknown(fields, seen, n); err != nil {
				return err
			}
			return r.member(n, func() error { return member(string(n.text)) })
		}
		if seen.known&fields.bits[known] != 0 {
			return r.duplicate(n.text)
		}
		seen.known |= fields.bits[known]
		return r.member(n, func() error { return member(known) })
	})
}

// Record consumes an object as Object does, but takes a member whose value is null
// for absent: member is not called for it.
func (r *Reader) Record(fields *Fields, member func(name string) error) error {
	return r.Object(fields, func(name string) error {
		if r.Null() {
			return nil
		}
		return member(name)
	})
}

// unknown checks a name that is not one of fields.
func (r *Reader) unknown(fields *Fields, seen *nameSet, n name) error {
	if seen.unknown == maxUnknown {
		return r.Errorf(errdefs.ErrResourceExhausted, "has more than the %d unknown keys allowed", maxUnknown)
	}
	folded := fold(n.text)
	if known, ok := fields.folded[string(folded)]; ok {
		return r.Errorf(errdefs.ErrInvalidArgument, "has the ambiguous key %s, which can be taken for %q", Quote(n.text), known)
	}
	if !seen.add(r.seed, folded, n.offset, func(offset uint32) bool {
		return bytes.Equal(fold(r.nameAt(offset)), folded)
	}) {
		return r.Errorf(errdefs.ErrInvalidArgument, "has the ambiguous key %s twice, or once more in another case", Quote(n.text))
	}
	return nil
}

// Map consumes an object with names of any kind and calls member for each as
// Object does. Only a name that comes twice is an error.
func (r *Reader) Map(member func(name string) error) error {
	return r.members(func(seen *nameSet, n name) error {
		if err := r.once(seen, n); err != nil {
			return err
		}
		return r.member(n, func() error { return member(string(n.text)) })
	})
}

// skipObject is Map for what is not read.
func (r *Reader) skipObject() error {
	return r.members(func(seen *nameSet, n name) error {
		if err := r.once(seen, n); err != nil {
			return err
		}
		return r.member(n, nil)
	})
}

// StringMap consumes an object of which all values are strings.
func (r *Reader) StringMap() (map[string]string, error) {
	var list pairs
	err := r.members(func(_ *nameSet, n name) error {
		return r.member(n, func() error {
			value, err := r.String()
			list.add(pair{string(n.text), value})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	all := list.asMap()
	if len(all) < list.n {
		return nil, r.duplicate([]byte(list.twice()))
	}
	return all, nil
}

// once checks that a name has not come before.
func (r *Reader) once(seen *nameSet, n name) error {
	if r.loose || seen.add(r.seed, n.text, n.offset, func(offset uint32) bool {
		return bytes.Equal(r.nameAt(offset), n.text)
	}) {
		return nil
	}
	return r.duplicate(n.text)
}

func (r *Reader) duplicate(name []byte) error {
	return r.Errorf(errdefs.ErrInvalidArgument, "has the key %s twice", Quote(name))
}

// name is a name in an object, and where its first quote stands in the document.
// The text may share the document's memory.
type name struct {
	text   []byte
	offset uint32
}

// members consumes an object and calls each for its names, which must consume the
// value.
func (r *Reader) members(each func(seen *nameSet, n name) error) error {
	if err := r.open(Object); err != nil {
		return err
	}
	depth := r.dec.StackDepth()
	for len(r.seen) < depth {
		r.seen = append(r.seen, &nameSet{})
	}
	seen := r.seen[depth-1]
	for r.dec.PeekKind() == jsontext.KindString {
		quoted, err := r.scalar()
		if err != nil {
			return err
		}
		offset := r.Consumed() - int64(len(quoted))
		n := name{unquote(quoted), uint32(offset)} //nolint:gosec // Read refuses what is larger than that
		if err := each(seen, n); err != nil {
			return err
		}
	}
	seen.reset()
	return r.consume()
}

// member has read consume the value of a member.
func (r *Reader) member(n name, read func() error) error {
	r.path = append(r.path, segment{name: n.text, index: -1})
	err := r.value(read)
	if err == nil {
		r.path = r.path[:len(r.path)-1]
	}
	return err
}

// nameAt returns the name whose first quote stands at offset.
func (r *Reader) nameAt(offset uint32) []byte {
	end := offset + 1
	for r.data[end] != '"' {
		if r.data[end] == '\\' {
			end++
		}
		end++
	}
	return unquote(r.data[offset : end+1])
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
		var err error
		if element == nil {
			err = r.Skip()
		} else {
			err = r.value(func() error { return element(i) })
		}
		if err != nil {
			return err
		}
	}
	r.path = r.path[:at]
	return r.consume()
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

// consume consumes one token.
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
	quoted, err := r.scalar()
	if err != nil {
		return "", err
	}
	return string(unquote(quoted)), nil
}

// unquote returns the text of a valid JSON string, in the same memory if possible.
func unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	text, _ := jsontext.AppendUnquote(nil, quoted) // fails only for what is not valid
	return text
}

// scalar consumes a value and returns its bytes as they stand in the document.
func (r *Reader) scalar() ([]byte, error) {
	value, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.syntaxError(err)
	}
	end := r.Consumed() // the decoder's own slice lives only until the next read
	return r.data[end-int64(len(value)) : end : end], nil
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
	digits, err := r.scalar()
	if err != nil {
		return 0, err
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
