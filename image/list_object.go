package image

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// object is a JSON object under edit: its members in their order, each value as
// it stood. Only what is set differs, so members that are not known survive.
type object struct {
	members []member
	changed bool
}

// splitObject takes an object apart. What it is given has been decoded before,
// so that depth is no concern any more.
func splitObject(raw []byte) (object, error) {
	var o object
	err := strictjson.Read(raw, strictjson.Limits{Depth: math.MaxInt}, func(r *strictjson.Reader) error {
		return r.Map(func(name string) error {
			value, err := r.Raw()
			o.members = append(o.members, member{name: name, value: value})
			return err
		})
	})
	return o, err
}

// splitArray takes an array apart, as splitObject does an object.
func splitArray(raw []byte) ([][]byte, error) {
	var items [][]byte
	err := strictjson.Read(raw, strictjson.Limits{Depth: math.MaxInt}, func(r *strictjson.Reader) error {
		return r.Array(func(int) error {
			item, err := r.Raw()
			items = append(items, item)
			return err
		})
	})
	return items, err
}

func (o *object) index(name string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.name == name })
}

// get returns a member's value, nil where there is none.
func (o *object) get(name string) []byte {
	if i := o.index(name); i >= 0 {
		return o.members[i].value
	}
	return nil
}

// set gives a member a value, where it stands or else at the end.
func (o *object) set(name string, value []byte) {
	o.changed = true
	if i := o.index(name); i >= 0 {
		o.members[i].value = value
		return
	}
	o.members = append(o.members, member{name: name, value: value})
}

// setAfter is set, but a new member stands behind the one named before.
func (o *object) setAfter(before, name string, value []byte) {
	if o.index(name) >= 0 {
		o.set(name, value)
		return
	}
	o.changed = true
	o.members = slices.Insert(o.members, o.index(before)+1, member{name: name, value: value})
}

// drop removes a member and reports whether it said anything: null and the empty
// text say nothing.
func (o *object) drop(name string) bool {
	i := o.index(name)
	if i < 0 {
		return false
	}
	o.changed = true
	value := string(o.members[i].value)
	o.members = slices.Delete(o.members, i, i+1)
	return value != "null" && value != `""`
}

// setText changes a text from now to another one; without text, the member goes.
func (o *object) setText(name, now, to string) {
	switch {
	case to == now:
	case to == "":
		o.drop(name)
	default:
		o.set(name, encodeJSON(to))
	}
}

// setList is setText for several texts.
func (o *object) setList(name string, now, to []string) {
	switch {
	case slices.Equal(to, now):
	case len(to) == 0:
		o.drop(name)
	default:
		o.set(name, encodeJSON(to))
	}
}

// bytes returns the object as JSON. It is compact where its values are.
func (o *object) bytes() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o.members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encodeJSON(m.name))
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// joinArray is the inverse of splitArray.
func joinArray(items [][]byte) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(item)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// encodeJSON returns v as JSON without the escapes meant for HTML, which would
// make other bytes of the text that was read. v is made of strings, numbers,
// slices, maps and structs of such, which always have a form.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("image: encoding what has no JSON form: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// compact returns the JSON text without the white space between its tokens.
func compact(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.Bytes(), err
}

// kind is what a JSON value is, in words.
type kind string

const (
	kindObject  kind = "an object"
	kindArray   kind = "an array"
	kindString  kind = "a string"
	kindBoolean kind = "a boolean"
	kindNull    kind = "null"
	kindNumber  kind = "a number"
)

func kindOf(k strictjson.Kind) kind {
	switch k {
	case strictjson.Object:
		return kindObject
	case strictjson.Array:
		return kindArray
	case strictjson.String:
		return kindString
	case strictjson.True, strictjson.False:
		return kindBoolean
	case strictjson.Null:
		return kindNull
	}
	return kindNumber
}
