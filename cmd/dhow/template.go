package main

import (
	"fmt"
	"io"
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
		return fmt.Errorf("--format: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// jsonText is the function json of templates.
func jsonText(v any) (string, error) {
	var b strings.Builder
	err := text.JSONLine(&b, v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
