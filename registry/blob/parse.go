package blob

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/dhowhq/dhow/internal/strictjson"
)

const (
	maxURL = 8 << 10 // bytes of a Location
	// maxPiece is the largest OCI-Chunk-Min-Length that is believed.
	maxPiece = 1 << 30
)

// quote returns untrusted text for a message.
func quote(s string) string { return strictjson.Quote(s) }

// quoteURL returns a URL for a message, without what may be a secret.
func quoteURL(u *url.URL) string {
	if u == nil {
		return `""`
	}
	return quote((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// span is the bytes [start, end) of a blob of that many bytes, -1 if that is not said.
type span struct{ start, end, total int64 }

// parseContentRange reads the Content-Range of an answer that has a part of the
// content (RFC 9110, 14.4).
func parseContentRange(s string) (span, error) {
	unit, rest, _ := strings.Cut(s, " ")
	if !strings.EqualFold(unit, "bytes") {
		return span{}, fmt.Errorf("content range %s: not in bytes", quote(s))
	}
	between, total, ok := strings.Cut(rest, "/")
	first, last, dash := strings.Cut(between, "-")
	if !ok || !dash {
		return span{}, fmt.Errorf("content range %s: not of the form FIRST-LAST/TOTAL", quote(s))
	}
	out := span{total: -1}
	end, err := number(last)
	if err == nil {
		out.start, err = number(first)
	}
	if err == nil && total != "*" {
		out.total, err = number(total)
	}
	if err != nil {
		return span{}, fmt.Errorf("content range %s: %w", quote(s), err)
	}
	out.end = end + 1
	if out.start >= out.end || out.total >= 0 && out.end > out.total {
		return span{}, fmt.Errorf("content range %s: not a range of its total", quote(s))
	}
	return out, nil
}

// parseProgress reads the Range of an answer about an upload and returns how many
// bytes the registry has. The distribution specification has "0-LAST", which says the
// same for one byte as for none; it is taken for none. Where a registry subtracts
// from nothing and writes "0--1", it means none as well.
func parseProgress(s string) (int64, error) {
	rest := s
	if unit, after, ok := strings.Cut(s, "="); ok && strings.EqualFold(unit, "bytes") {
		rest = after
	}
	last, ok := strings.CutPrefix(rest, "0-")
	if !ok {
		return 0, fmt.Errorf("range %s: not of the form 0-LAST", quote(s))
	}
	if last == "-1" {
		return 0, nil
	}
	n, err := number(last)
	if err != nil {
		return 0, fmt.Errorf("range %s: %w", quote(s), err)
	}
	if n == 0 {
		return 0, nil
	}
	return n + 1, nil
}

// parseMinPiece reads an OCI-Chunk-Min-Length; no header is 0.
func parseMinPiece(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := number(s)
	if err == nil && n > maxPiece {
		err = fmt.Errorf("at most %d is believed", maxPiece)
	}
	if err != nil {
		return 0, fmt.Errorf("smallest piece %s: %w", quote(s), err)
	}
	return n, nil
}

// number reads decimal digits, of a number that another one can be added to.
func number(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, fmt.Errorf("%s is not a number", quote(s))
	}
	n, err := strconv.ParseInt(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s is too large a number", quote(s))
	}
	return n, nil
}

// parseLocation reads a Location, which may be relative to the URL that was asked
// (RFC 9110, 10.2.2). What it returns is http or https, has a host, and its query is
// that of the Location to the byte.
func parseLocation(base *url.URL, s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("the Location is missing or empty")
	}
	if len(s) > maxURL {
		return nil, fmt.Errorf("the Location has %d bytes, at most %d are allowed", len(s), maxURL)
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '\\' || c == '#' {
			return nil, fmt.Errorf("the Location has the character %q", rune(c))
		}
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the Location is no URL") // whose error would show its query
	}
	u = base.ResolveReference(u)
	if u.Opaque != "" || u.User != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the Location %s is no http or https URL of a host", quoteURL(u))
	}
	return u, nil
}

// withQuery returns a URL with one more parameter; the query before it stays as it is.
func withQuery(u *url.URL, name, value string) *url.URL {
	out := *u
	if out.RawQuery != "" {
		out.RawQuery += "&"
	}
	out.RawQuery += url.QueryEscape(name) + "=" + url.QueryEscape(value)
	return &out
}
