// Package text turns what a command has to say into text: sizes, short digests,
// tables, JSON, and words from untrusted documents that a terminal may show.
package text

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// Size prints a number of bytes for people, in powers of 1000 with one decimal; a
// negative one is not known and prints as "?".
func Size(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	}
	value := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		value /= 1000
		// 999.95 and more would print as 1000.0.
		if value < 999.95 {
			return fmt.Sprintf("%.1f %s", value, unit)
		}
	}
	return fmt.Sprintf("%.1f EB", value/1000)
}

// shortHex is how many hex characters of a digest are enough to tell the blobs of
// one image apart.
const shortHex = 12

// Short returns a digest with the beginning of its hex part. The digest must have
// been checked.
func Short(d digest.Digest) string {
	algorithm, hex, _ := strings.Cut(d.String(), ":")
	return algorithm + ":" + hex[:min(shortHex, len(hex))]
}

// Escape returns untrusted text as one line without anything that a terminal acts
// upon: characters that do not print, and bytes that are not UTF-8, are written
// as Go writes them in a string. Text that is harmless is returned as it is.
func Escape(s string) string {
	harmless := utf8.ValidString(s)
	for _, c := range s {
		harmless = harmless && unicode.IsPrint(c)
	}
	if harmless {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// MaxValue is how many bytes of a value are shown where people read it.
const MaxValue = 80

// Quote returns untrusted text quoted, escaped, and cut where it is longer than
// most bytes: then it says how many there are.
func Quote(s string, most int) string { return cut(s, most, strconv.Quote) }

// Cut is Escape, but cuts as Quote does.
func Cut(s string, most int) string { return cut(s, most, Escape) }

func cut(s string, most int, show func(string) string) string {
	if len(s) <= most {
		return show(s)
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", show(s[:end]), len(s))
}

// Plural returns the number with the noun, with an s where it wants one.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Table writes rows in aligned columns, two spaces apart, without trailing
// spaces.
func Table(w io.Writer, rows [][]string) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := io.WriteString(t, strings.Join(row, "\t")+"\n"); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
