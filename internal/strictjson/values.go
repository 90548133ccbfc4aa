package strictjson

import (
	"bytes"
	"math"

	"github.com/containerd/errdefs"
	"github.com/go-json-experiment/json/jsontext"
)

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
