package image

import (
	"fmt"
	"math"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// shape is what the JSON schema of OCI's image specification asks of a value.
// Members of which the schema does not speak are free.
type shape struct {
	kind     kind
	nullable bool                   // null does as well
	null     string                 // the value that null is made; empty: none
	accept   func(text string) bool // of a string: whether it has the form
	form     string                 // that accept wants, in words
	fields   map[string]*shape      // of an object, by member
	required []string               // members that must be there
	strict   []string               // members that must fit if they are there
	each     *shape                 // an array's items, or an object's other members
	least    int                    // items that an array must have
	lone     bool                   // of an array: a string alone is made the one item
}

// fitTo makes JSON text fit the shape by leaving out what does not. Members of
// objects are left out alone. An item of an array never is, because its place may
// matter: the array goes as a whole. A null says nothing, so that it goes without a
// word or becomes what decoders take it for.
//
// ErrNotImplemented says why the text cannot be made to fit; an array of more than
// so many items is ErrResourceExhausted.
func fitTo(raw []byte, s *shape, items int) (*fitting, error) {
	fit := &fitting{items: items}
	err := strictjson.Read(raw, strictjson.Limits{Depth: math.MaxInt}, func(r *strictjson.Reader) error {
		var unfit, err error
		fit.json, unfit, err = fit.value(r, s)
		if err == nil && unfit != nil {
			err = fmt.Errorf("%w: %w", unfit, errdefs.ErrNotImplemented)
		}
		return err
	})
	return fit, err
}

// fitting is the work and the result of fitTo.
type fitting struct {
	json    []byte
	changes int   // how often json is not as it was
	cuts    []cut // what was left out
	at      map[reason]int
	items   int
}

// cut is something that was left out; of several for one reason, the first.
type cut struct {
	reason
	path  string
	times int
}

// reason is the name of a member, or "*" for any of a map, and why it had to go.
type reason struct{ name, why string }

func (f *fitting) leaveOut(c cut) {
	if i, ok := f.at[c.reason]; ok {
		f.cuts[i].times += c.times
		return
	}
	if f.at == nil {
		f.at = map[reason]int{}
	}
	f.at[c.reason] = len(f.cuts)
	f.cuts = append(f.cuts, c)
}

// value reads the next value. unfit tells why it cannot be made to fit.
func (f *fitting) value(r *strictjson.Reader, s *shape) (value []byte, unfit, err error) {
	have := kindOf(r.Kind())
	switch {
	case have == kindNull && s.nullable:
	case have == kindNull && s.null != "":
		f.changes++
		return []byte(s.null), nil, r.Skip()
	case have == kindString && s.lone:
		f.changes++
		value, unfit, err = f.value(r, s.each)
		return joinArray([][]byte{value}), unfit, err
	case have != s.kind:
		unfit = fmt.Errorf("is %s, not %s", have, s.kind)
	case have == kindObject:
		return f.object(r, s)
	case have == kindArray:
		return f.array(r, s)
	case s.accept != nil:
		return f.text(r, s)
	}
	value, err = r.Raw()
	return value, unfit, err
}

func (f *fitting) text(r *strictjson.Reader, s *shape) (value []byte, unfit, err error) {
	value, err = r.Capture(func() error {
		text, err := r.String()
		if err == nil && !s.accept(text) {
			unfit = fmt.Errorf("is %s, not %s", strictjson.Quote(text), s.form)
		}
		return err
	})
	return value, unfit, err
}

func (f *fitting) object(r *strictjson.Reader, s *shape) (value []byte, unfit, err error) {
	var o object
	before := f.changes
	value, err = r.Capture(func() error {
		return r.Map(func(name string) error {
			want, like := s.fields[name], name
			if want == nil && name != "" { // the schema leaves a member without a name free
				want, like = s.each, "*"
			}
			value, bad, err := f.member(r, want)
			switch {
			case bad == nil:
				o.members = append(o.members, member{name, value})
			case slices.Contains(s.required, name), slices.Contains(s.strict, name):
				unfit = fmt.Errorf("has an unfit %q: it %w", name, bad)
			case string(value) == "null":
				f.changes++
			default:
				f.changes++
				f.leaveOut(cut{reason{like, bad.Error()}, r.Path(), 1})
			}
			return err
		})
	})
	for _, name := range s.required {
		if unfit == nil && o.get(name) == nil {
			unfit = fmt.Errorf("has no %q", name)
		}
	}
	if f.changes > before {
		value = o.bytes()
	}
	return value, unfit, err
}

// member reads the value of a member; a nil shape is that of one which is free.
func (f *fitting) member(r *strictjson.Reader, want *shape) (value []byte, unfit, err error) {
	if want == nil {
		value, err = r.Raw()
		return value, nil, err
	}
	return f.value(r, want)
}

func (f *fitting) array(r *strictjson.Reader, s *shape) (value []byte, unfit, err error) {
	var items [][]byte
	inner := &fitting{items: f.items} // forgotten if the array goes
	value, err = r.Capture(func() error {
		return boundedArray(r, f.items, func(i int) error {
			item, bad, err := inner.value(r, s.each)
			if bad != nil && unfit == nil {
				unfit = fmt.Errorf("has an unfit item %d: it %w", i, bad)
			}
			items = append(items, item)
			return err
		})
	})
	if unfit == nil && len(items) < s.least {
		unfit = fmt.Errorf("has %d items where at least %d are wanted", len(items), s.least)
	}
	if unfit != nil || inner.changes == 0 {
		return value, unfit, err
	}
	f.changes += inner.changes
	for _, c := range inner.cuts {
		f.leaveOut(c)
	}
	return joinArray(items), nil, err
}
