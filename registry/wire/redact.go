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
	case "digest", "mount", "from", "n", "last", "artifactType", "service", "scope":
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
		case !ok:
			parts[i] = redacted // all of it is a value, for those who do without names
		case value != "" && !shown(name):
			parts[i] = name + "=" + redacted
		}
	}
	return strings.Join(parts, "&")
}

// Redact returns an error whose text has no query of a URL in it, nor userinfo, but
// for parameters that are known not to be secrets. It wraps err. Libraries put URLs
// into their errors as they are, net/http for one. Nil stays nil.
func Redact(err error) error {
	if err == nil {
		return nil
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

// indexURL returns where the first URL begins, -1 if there is none.
func indexURL(text string) int {
	lower := strings.ToLower(text)
	plain, secure := strings.Index(lower, "http://"), strings.Index(lower, "https://")
	if plain < 0 || secure >= 0 && secure < plain {
		return secure
	}
	return plain
}

// redactRaw redacts what looks like a URL, valid or not. It never returns what
// indexURL finds at the same place again with more in it than before.
func redactRaw(raw string) string {
	scheme, rest, _ := strings.Cut(raw, "://")
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, has := strings.Cut(rest, "?")
	authority, path, slash := strings.Cut(rest, "/")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		authority = authority[at+1:]
	}
	out := scheme + "://" + authority
	if slash {
		out += "/" + path
	}
	if has {
		out += "?" + redactQuery(query)
	}
	return out
}

// secrets returns what of a request must not be seen in any text: what authorises
// it, and the headers that the operator set for the endpoint. Servers do repeat what
// they were sent.
func (x *exchange) secrets() []string {
	all := secretsOf(x.req.Header)
	for _, values := range x.client.endpoint.Header {
		all = append(all, values...)
	}
	return all
}

func secretsOf(h http.Header) []string {
	var all []string
	for _, name := range credentialHeaders() {
		for _, value := range h.Values(name) {
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

// scrub blanks secrets in a text. Those of less than four bytes could be anything.
func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	return text
}
