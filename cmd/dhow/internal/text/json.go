package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON writes a value as indented JSON with a newline at the end. Characters that
// a terminal may act upon are escaped; they stand in strings only, where an escape
// means the same.
func JSON(w io.Writer, v any) error { return write(w, v, "  ") }

// JSONLine writes a value as JSON on one line, escaped like JSON.
func JSONLine(w io.Writer, v any) error { return write(w, v, "") }

func write(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(b.Bytes()))
	return err
}

// escapeJSON escapes what does not print and is not ASCII, and DEL; below that
// encoding/json has done it.
func escapeJSON(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		c, n := utf8.DecodeRune(data)
		switch {
		case c < utf8.RuneSelf && c != 0x7f, unicode.IsPrint(c):
			out = append(out, data[:n]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		data = data[n:]
	}
	return out
}

// Indent returns a JSON document indented, as JSON would write it, with its
// numbers and the order of its members as they are.
func Indent(data []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return escapeJSON(b.Bytes()), nil
}
