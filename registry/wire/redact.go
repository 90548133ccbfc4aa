package wire

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dhowhq/dhow/internal/strictjson"
)

const (
	maxShown = 256 // bytes of text from elsewhere in a message
	redacted = "REDACTED"
)

// quote returns text from elsewhere for a message: quoted, escaped, cut.
func quote(text string) string { return strictjson.Quote(text) }

// cut returns at most n bytes of a text, and a mark where there was more.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return begin(text, n) + "…"
}

// begin returns at most n bytes of a text.
func begin(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// quoteBegin returns at most n bytes of a text, quoted, and a mark where there was more.
func quoteBegin(text string, n int) string {
	first := begin(text, n)
	quoted := strconv.QuoteToASCII(first)
	if len(first) < len(text) {
		quoted += "…"
	}
	return quoted
}

// shown are the parameters of a query that are part of the registries' and token
// servers' protocols, and say nothing that is secret.
func shown(parameter string) bool {
	switch parameter {
	case "digest", "mount", "from", "n", "last", "artifactType", "service", "scope", "tag":
		return true
	}
	return false
}

// redactURL returns a URL for a message or a log: without userinfo and fragment, and
// with the values in its query blanked that may be secrets, such as signatures.
func redactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	v := url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	v.RawQuery = redactQuery(u.RawQuery)
	return cut(v.String(), 2*maxShown)
}

func redactQuery(query string) string {
	if query == "" {
		return ""
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		switch {
		case !ok, !isParameter(name):
			parts[i] = redacted // all of it is a value, for those who do without names
		case value != "" && !shown(name):
			parts[i] = name + "=" + redacted
		}
	}
	return strings.Join(parts, "&")
}

// isParameter reports whether s looks like the name of a parameter.
func isParameter(s string) bool {
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Redact returns an error whose text has no query of a URL in it, nor userinfo, but
// for parameters that are known not to be secrets. It wraps err. Libraries put URLs
// into their errors as they are, net/http for one. Nil stays nil.
func Redact(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*url.Error); ok { //nolint:errorlint // its own URL, not that of what it wraps
		err = &url.Error{Op: e.Op, URL: redactRaw(e.URL), Err: e.Err}
	}
	text := err.Error()
	clean := redactText(text)
	if clean == text {
		return err
	}
	return &redactedError{text: clean, err: err}
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// redactText redacts the URLs of http and https in a text.
func redactText(text string) string {
	var b strings.Builder
	for {
		at := indexURL(text)
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:at])
		text = text[at:]
		end := strings.IndexAny(text, "\"'`<> \t\r\n\\")
		if end < 0 {
			end = len(text)
		}
		b.WriteString(redactRaw(text[:end]))
		text = text[end:]
	}
}

// indexURL returns where the first URL begins, -1 if there is none. The text need
// not be valid UTF-8.
func indexURL(text string) int {
	for from := 0; ; {
		at := strings.Index(text[from:], "://")
		if at < 0 {
			return -1
		}
		at += from
		for _, scheme := range []string{"https", "http"} {
			if begin := at - len(scheme); begin >= 0 && strings.EqualFold(text[begin:at], scheme) {
				return begin
			}
		}
		from = at + 3
	}
}

// redactRaw redacts what looks like a URL, valid or not. It never returns what
// indexURL finds at the same place again with more in it than before.
func redactRaw(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, has := strings.Cut(rest, "?")
	authority, path, slash := strings.Cut(rest, "/")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		authority = authority[at+1:]
	}
	out := scheme + "://" + authority
	if slash {
		// Userinfo also stands here where a URL is in another one.
		segments := strings.Split(path, "/")
		for i, s := range segments {
			if at := strings.LastIndex(s, "@"); strings.Contains(s[:max(at, 0)], ":") {
				segments[i] = redacted + s[at:]
			}
		}
		out += "/" + strings.Join(segments, "/")
	}
	if has {
		out += "?" + redactQuery(query)
	}
	return out
}

// secrets returns what of a request must not be seen in any text: what authorises
// it, what is redacted in its query, and the headers that the operator set for the
// endpoint. Servers do repeat what they were sent.
func (x *exchange) secrets() []string {
	all := secretsOf(x.req)
	for _, values := range x.client.endpoint.Header {
		all = append(all, values...)
	}
	return all
}

func secretsOf(req *http.Request) []string {
	var all []string
	for part := range strings.SplitSeq(req.URL.RawQuery, "&") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			value = name
		}
		if !ok || !shown(name) {
			decoded, err := url.QueryUnescape(value)
			if err == nil {
				all = append(all, decoded)
			}
			all = append(all, value)
		}
	}
	for _, name := range credentialHeaders() {
		for _, value := range req.Header.Values(name) {
			all = append(all, value)
			scheme, rest, _ := strings.Cut(value, " ")
			all = append(all, rest)
			if !strings.EqualFold(scheme, "Basic") {
				continue
			}
			if pair, err := base64.StdEncoding.DecodeString(rest); err == nil {
				_, password, _ := strings.Cut(string(pair), ":")
				all = append(all, password)
			}
		}
	}
	return all
}

// clean returns an error whose text can be shown: net/http puts into its own what a
// server sent, as it came. It wraps err.
func (x *exchange) clean(err error) error {
	text := err.Error()
	if shown := x.show(text); shown != text {
		return &redactedError{text: shown, err: err}
	}
	return err
}

// show returns a text without secrets, of printable ASCII, and not too long.
func (x *exchange) show(text string) string {
	text = cut(scrub(text, x.secrets()), 2*maxShown)
	if !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if odd(c) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(c), "'"))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func odd(c rune) bool { return (c < ' ' || c > '~') && c != '…' }

// scrub blanks secrets in a text. Those of less than four bytes could be anything.
func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	return text
}
