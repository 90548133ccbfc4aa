package main

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"text/template"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
)

// parseTemplate reads the template of --format.
func parseTemplate(format string) (*template.Template, error) {
	t, err := template.New("format").Funcs(template.FuncMap{"json": jsonText}).Parse(format)
	if err != nil {
		return nil, fmt.Errorf("--format: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return t, nil
}

// writeTemplate writes what a template makes of a value, all or nothing, with a newline
// after it if it has none.
func writeTemplate(w io.Writer, t *template.Template, v any) error {
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("--format: %w%s: %w", err, knownFields(err, reflect.TypeOf(v)), errdefs.ErrInvalidArgument)
	}
	if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTemplates writes what a template makes of each value, as writeTemplate does, all or nothing.
func writeTemplates[T any](w io.Writer, t *template.Template, values []T) error {
	var all bytes.Buffer
	for i := range values {
		if err := writeTemplate(&all, t, &values[i]); err != nil {
			return err
		}
	}
	_, err := w.Write(all.Bytes())
	return err
}

// unknownField is what package template says of a field that a type does not have.
var unknownField = regexp.MustCompile(`can't evaluate field \w+ in type \*?([\w.]+)`)

// knownFields tells which fields a type has if that of a template's error is below the type of
// its value, and has some.
func knownFields(err error, of reflect.Type) string {
	said := unknownField.FindStringSubmatch(err.Error())
	if said == nil {
		return ""
	}
	found := structBelow(of, said[1], map[reflect.Type]bool{})
	if found == nil {
		return ""
	}
	var names []string
	for _, f := range reflect.VisibleFields(found) {
		if f.IsExported() && !f.Anonymous {
			names = append(names, "."+f.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (there are: " + strings.Join(names, ", ") + ")"
}

// structBelow finds the struct of that name among a type and those of its elements and fields;
// nil if there is none.
func structBelow(t reflect.Type, name string, seen map[reflect.Type]bool) reflect.Type {
	if seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return structBelow(t.Elem(), name, seen)
	case reflect.Struct:
		if t.String() == name {
			return t
		}
		for _, f := range reflect.VisibleFields(t) {
			if found := structBelow(f.Type, name, seen); found != nil {
				return found
			}
		}
	}
	return nil
}

// jsonText is the function json of templates.
func jsonText(v any) (string, error) {
	var b strings.Builder
	err := text.JSONLine(&b, v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
