package strictjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// walk reads a value of any kind into what encoding/json makes of it.
func walk(r *Reader) (any, error) {
	switch r.Kind() {
	case Object:
		all := map[string]any{}
		err := r.Map(func(name string) (err error) {
			all[name], err = walk(r)
			return err
		})
		return all, err
	case Array:
		all := []any{}
		err := r.Array(func(int) error {
			value, err := walk(r)
			all = append(all, value)
			return err
		})
		return all, err
	case String:
		return r.String()
	case True, False:
		return r.Bool()
	case Number:
		raw, err := r.Raw()
		return json.Number(raw), err
	}
	if r.Null() {
		return nil, nil
	}
	return nil, r.Skip()
}

// FuzzStrictJSON checks that what is accepted is accepted by encoding/json as well,
// and is the same to it, and that skipping accepts just what reading does.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,"x",true,false,null,{},[]]}`,
		`{"schemaVersion":2,"manifests":[{"digest":"sha256:00","size":9223372036854775807}]}`,
		`{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"layerſ":1}`, `{"a":{"b":{"c":1}},"b":{"c":[{"c":1}]}}`,
		`"\ud83d\ude00\u0000\/\b"`, `"\ud83d"`, "\"\xff\"", "\xef\xbb\xbf{}", `{} {}`, `[1,]`, `01`, `1e400`, `-0`, ``, ` `,
		`[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]`,
		`{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"0":0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var got any
		err := Read(data, Limits{}, func(r *Reader) (err error) {
			got, err = walk(r)
			return err
		})
		if skipped := Read(data, Limits{}, (*Reader).Skip); (skipped == nil) != (err == nil) {
			t.Errorf("reading gives %v, skipping %v", err, skipped)
		}
		if !bytes.Equal(data, before) {
			t.Error("reading changed the document")
		}
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read %v, encoding/json %v", got, want)
		}
	})
}
