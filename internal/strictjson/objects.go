package strictjson

import (
	"bytes"

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
