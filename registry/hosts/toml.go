package hosts

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// maxKeys is how many keys one table may have: the time that the TOML library
// takes grows with their square.
const maxKeys = 4096

// document is a TOML file that is read table by table. The first thing that is
// wrong stays in err, and what is read after it means nothing.
type document struct {
	file  string
	log   *slog.Logger
	lines []int          // the offset of the end of each line
	at    map[string]int // the offset of each key, by its path
	keys  map[string]int // the number of keys of each table, by its path
	err   error
}

// table is one table of a document.
type table struct {
	doc    *document
	path   string // "" at the top
	values map[string]any
}

// parse reads a document, of which the table at the top is returned.
func parse(file string, data []byte, log *slog.Logger) table {
	d := &document{file: file, log: log, at: map[string]int{}, keys: map[string]int{}}
	for i, c := range data {
		if c == '\n' {
			d.lines = append(d.lines, i)
		}
	}
	top := table{doc: d}
	d.locate(data)
	for path, n := range d.keys {
		if n > maxKeys {
			d.fail(path, errdefs.ErrResourceExhausted, "has %d keys of at most %d", n, maxKeys)
			return top
		}
	}
	err := toml.Unmarshal(data, &top.values)
	var syntax *toml.DecodeError
	switch {
	case errors.As(err, &syntax):
		line, _ := syntax.Position()
		d.err = fmt.Errorf("%s, line %d: %s: %w", file, line, strings.TrimPrefix(syntax.Error(), "toml: "), errdefs.ErrInvalidArgument)
	case err != nil:
		d.err = fmt.Errorf("%s: %w: %w", file, err, errdefs.ErrInvalidArgument)
	}
	return top
}

// locate notes where each key stands. What is not TOML is left to the decoder.
func (d *document) locate(data []byte) {
	var p unstable.Parser
	p.Reset(data)
	elements := map[string]int{} // how many tables each array of tables has
	path := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.KeyValue {
			d.locateValue(path, e)
			continue
		}
		path = ""
		keys := e.Key()
		for keys.Next() {
			path = d.note(path, keys.Node())
			if keys.IsLast() && e.Kind == unstable.ArrayTable {
				d.at[element(path, elements[path])] = int(keys.Node().Raw.Offset)
				elements[path]++
			}
			if n := elements[path]; n > 0 {
				path = element(path, n-1)
			}
		}
	}
}

// locateValue notes the key of a value and those in it.
func (d *document) locateValue(path string, e *unstable.Node) {
	keys := e.Key()
	for keys.Next() {
		path = d.note(path, keys.Node())
	}
	d.locateIn(path, e.Value())
}

func (d *document) locateIn(path string, value *unstable.Node) {
	children := value.Children()
	for i := 0; children.Next(); i++ {
		if value.Kind == unstable.InlineTable {
			d.locateValue(path, children.Node())
		} else {
			d.locateIn(element(path, i), children.Node())
		}
	}
}

// note notes a key of the table with that path, and returns the key's own path.
func (d *document) note(path string, key *unstable.Node) string {
	full := join(path, string(key.Data))
	if _, ok := d.at[full]; !ok {
		d.keys[path]++
		d.at[full] = int(key.Raw.Offset)
	}
	return full
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// join returns the path of a key of a table.
func join(path, key string) string {
	bare := key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
	if !bare {
		key = strictjson.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// line returns the line of what has that path, or of what it is in.
func (d *document) line(path string) int {
	for {
		if at, ok := d.at[path]; ok {
			return sort.SearchInts(d.lines, at) + 1
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return 1
		}
		path = path[:cut]
	}
}

// fail notes that what has that path is wrong, unless something was before.
func (d *document) fail(path string, kind error, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %s: %w", d.place(path), fmt.Sprintf(format, args...), kind)
	}
}

// place says where something stands, for a message.
func (d *document) place(path string) string {
	where := fmt.Sprintf("%s, line %d", d.file, d.line(path))
	if path != "" {
		where += ", " + path
	}
	return where
}

// known says which keys the table may have. Others are logged, because other
// tools have keys of their own; but one that differs in case alone is an error:
// some tools take it for the known one.
func (t table) known(keys ...string) {
	for _, key := range t.inOrder() {
		path := join(t.path, key)
		if slices.Contains(keys, key) || t.doc.err != nil {
			continue
		}
		if i := slices.IndexFunc(keys, func(k string) bool { return strings.EqualFold(k, key) }); i >= 0 {
			t.doc.fail(path, errdefs.ErrInvalidArgument, "is not a key; it is written %q", keys[i])
			continue
		}
		t.doc.log.Warn("unknown key in a configuration file is ignored", "file", t.doc.file, "line", t.doc.line(path), "key", path)
	}
}

func (t table) has(key string) bool {
	_, ok := t.values[key]
	return ok
}

// get returns the value of a key, or the zero value if there is none. what is
// the name of the type in a message.
func get[T any](t table, key, what string) T {
	value, ok := t.values[key]
	typed, is := value.(T)
	if ok && !is {
		t.fail(key, "is not %s", what)
	}
	return typed
}

// fail notes that the value of a key is wrong.
func (t table) fail(key, format string, args ...any) {
	t.doc.fail(join(t.path, key), errdefs.ErrInvalidArgument, format, args...)
}

func (t table) text(key string) string { return get[string](t, key, "a string") }

func (t table) flag(key string) bool { return get[bool](t, key, "true or false") }

// texts returns the strings of an array. No key is nil, an empty array is not.
func (t table) texts(key string) []string {
	if !t.has(key) {
		return nil
	}
	all := []string{}
	for i, value := range get[[]any](t, key, "an array of strings") {
		s, ok := value.(string)
		if !ok {
			t.doc.fail(element(join(t.path, key), i), errdefs.ErrInvalidArgument, "is not a string")
		}
		all = append(all, s)
	}
	return all
}

// table returns the table of that key, which is empty if there is none.
func (t table) table(key string) table {
	return table{doc: t.doc, path: join(t.path, key), values: get[map[string]any](t, key, "a table")}
}

// tables returns the tables of an array.
func (t table) tables(key string) []table {
	var all []table
	for i, value := range get[[]any](t, key, "an array of tables") {
		path := element(join(t.path, key), i)
		values, ok := value.(map[string]any)
		if !ok {
			t.doc.fail(path, errdefs.ErrInvalidArgument, "is not a table")
		}
		all = append(all, table{doc: t.doc, path: path, values: values})
	}
	return all
}

// inOrder returns the table's keys as they come in the file.
func (t table) inOrder() []string {
	keys := make([]string, 0, len(t.values))
	for key := range t.values {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return t.doc.at[join(t.path, a)] - t.doc.at[join(t.path, b)]
	})
	return keys
}
