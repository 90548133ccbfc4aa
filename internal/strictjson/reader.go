// Package strictjson reads JSON that nobody vouches for. It is the one decoder
// for untrusted documents.
//
// A document is read value by value through a Reader, so that what is not wanted
// costs nothing and what is too much is refused before it is held. Beyond the
// grammar of RFC 8259, these are errors: a byte order mark, invalid UTF-8 (a lone
// surrogate too), anything after the document, nesting beyond a limit, a name
// that an object has twice, and in an object with known fields a name that only
// case folding tells from another one: decoders that fold, as encoding/json does,
// would take one for the other.
//
// Errors name the JSON path, as in manifests[3].digest, and are of the kind
// errdefs.ErrInvalidArgument, but for too many bytes or too many unknown names,
// which are errdefs.ErrResourceExhausted.
package strictjson

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"math"

	"github.com/containerd/errdefs"
	"github.com/go-json-experiment/json/jsontext"
)

// DefaultDepth is how deep a document may nest where Limits does not say.
const DefaultDepth = 64

// Limits bound a document.
type Limits struct {
	Bytes int64 // its size; zero or less, or more: 4 GiB - 1
	Depth int   // nesting of objects and arrays; zero or less: DefaultDepth

	// Loose lets Map take a name twice, and Skip whatever is JSON, up to a depth
	// of 10,000: for a first look at what is going to be read strictly.
	Loose bool
}

// Kind is the kind of a JSON value, written as its first byte.
type Kind byte

// The kinds. Invalid stands for what is not the beginning of a value.
const (
	Invalid Kind = 0
	Null    Kind = 'n'
	False   Kind = 'f'
	True    Kind = 't'
	String  Kind = '"'
	Number  Kind = '0'
	Object  Kind = '{'
	Array   Kind = '['
)

// String returns what a message calls a value of the kind, as "an array".
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case False, True:
		return "a boolean"
	case String:
		return "a string"
	case Number:
		return "a number"
	case Object:
		return "an object"
	case Array:
		return "an array"
	}
	return "no value"
}

// Reader reads one document. Each method that reads consumes exactly one value.
// After an error the reader is of no further use. A Reader must not be used by
// several goroutines at once.
type Reader struct {
	data     []byte
	dec      *jsontext.Decoder
	maxDepth int
	loose    bool
	path     []segment
	seen     []*nameSet // of the objects that are open, by depth
	seed     maphash.Seed
}

// Read has read consume the one value that data is, and checks that nothing comes
// after it. What read leaves unread is skipped, but checked. The error is that of
// read, or the reader's own. Read does not keep data and does not change it.
func Read(data []byte, lim Limits, read func(r *Reader) error) error {
	r := &Reader{data: data, maxDepth: lim.Depth, loose: lim.Loose, seed: maphash.MakeSeed()}
	if r.maxDepth <= 0 {
		r.maxDepth = DefaultDepth
	}
	limit := int64(math.MaxUint32)
	if lim.Bytes > 0 {
		limit = min(limit, lim.Bytes)
	}
	if int64(len(data)) > limit {
		return r.Errorf(errdefs.ErrResourceExhausted, "is %d bytes, at most %d are allowed", len(data), limit)
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return r.Errorf(errdefs.ErrInvalidArgument, "begins with a byte order mark")
	}
	// Names are checked by nameSet, which needs a third of the time and folds.
	r.dec = jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(false))
	if err := r.value(func() error { return read(r) }); err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return r.Errorf(errdefs.ErrInvalidArgument, "has data after its end at byte %d", r.Consumed())
	}
	return nil
}

// Kind returns the kind of the next value without consuming it.
func (r *Reader) Kind() Kind {
	switch k := r.dec.PeekKind(); k {
	case 'n', 'f', 't', '"', '0', '{', '[':
		return Kind(k)
	}
	return Invalid
}

// Null consumes a null and reports true, or reports false and consumes nothing.
func (r *Reader) Null() bool {
	if r.Kind() != Null {
		return false
	}
	_, err := r.dec.ReadToken()
	return err == nil
}

// Skip consumes a value of any kind. All of it is checked.
func (r *Reader) Skip() error {
	if r.loose {
		if err := r.dec.SkipValue(); err != nil {
			return r.syntaxError(err)
		}
		return nil
	}
	switch r.dec.PeekKind() {
	case jsontext.KindBeginObject:
		return r.skipObject()
	case jsontext.KindBeginArray:
		return r.Array(nil)
	}
	return r.consume()
}

// Raw consumes a value of any kind and returns its bytes as they stand in the
// document, without the space around them. They share the document's memory.
func (r *Reader) Raw() ([]byte, error) { return r.Capture(r.Skip) }

// Capture has read consume the next value and returns its bytes as Raw does.
func (r *Reader) Capture(read func() error) ([]byte, error) {
	start := r.Consumed()
	if err := r.value(read); err != nil {
		return nil, err
	}
	end := r.Consumed()
	// Only space and a separator can stand between two tokens.
	raw := bytes.TrimLeft(r.data[start:end:end], " \t\r\n:,")
	return raw, nil
}

// Consumed returns how many bytes of the document have been read.
func (r *Reader) Consumed() int64 { return r.dec.InputOffset() }

// value calls read, if any, and skips the value where it was not consumed.
func (r *Reader) value(read func() error) error {
	if read == nil {
		return r.Skip()
	}
	before := r.Consumed()
	if err := read(); err != nil {
		return err
	}
	if r.Consumed() == before {
		return r.Skip()
	}
	return nil
}
