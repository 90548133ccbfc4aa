package hosts

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// hostsFile is a hosts.toml: what stands before a registry, and the registry.
type hostsFile struct {
	file   string
	hosts  []upstream
	server upstream
}

// rights are what an upstream may be asked to do.
type rights struct {
	pull, resolve, push bool
	stated              bool // they were written down
}

// upstream is one address of a registry.
type upstream struct {
	extra  bool   // it comes before the registry, from a [host."…"] table
	scheme string // "" where none was stated
	host   string // "" for the registry's own
	prefix string // the path of the API
	rights rights
	tls    tlsSettings

	header  http.Header
	timeout time.Duration
	proxy   *url.URL
}

// tlsSettings are those of an upstream; what is nil was not stated.
type tlsSettings struct {
	ca         []string
	client     []ClientCert
	skipVerify *bool
}

func (s tlsSettings) stated() bool {
	return s.ca != nil || s.client != nil || s.skipVerify != nil
}

// upstreamKeys are those of the top and of every [host."…"] table.
var upstreamKeys = [...]string{
	"capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout", "proxy",
}

// parseHosts reads a hosts.toml. Paths in it are relative to its directory.
func parseHosts(file string, data []byte, log *slog.Logger) (hostsFile, error) {
	top := parse(file, data, log)
	h := hostsFile{file: file}
	hosts := top.table("host")
	for _, key := range hosts.inOrder() {
		t := hosts.table(key)
		u := t.upstream(key, t.path)
		u.extra = true
		h.hosts = append(h.hosts, u)
	}
	h.server = top.upstream(top.text("server"), "server")
	top.known(append(upstreamKeys[:], "server", "host")...)
	return h, top.doc.err
}

// upstream reads the table of the upstream at that URL, or at the registry's own
// address if it is "". The URL stands at the path key.
func (t table) upstream(at, key string) upstream {
	u := upstream{prefix: apiPath}
	if at != "" {
		u.address(at, key, t)
	}
	if t.path != "" {
		t.known(upstreamKeys[:]...)
	}
	u.rights = t.rights()
	u.tls = tlsSettings{ca: t.paths("ca"), client: t.clientCerts()}
	if t.has("skip_verify") {
		skip := t.flag("skip_verify")
		u.tls.skipVerify = &skip
	}
	u.header = t.header()
	if s := t.text("dial_timeout"); s != "" {
		var err error
		if u.timeout, err = time.ParseDuration(s); err != nil || u.timeout <= 0 {
			t.fail("dial_timeout", `is %s, not a time above zero, as in "5s"`, strictjson.Quote(s))
		}
	}
	u.proxy = t.proxy()
	return u
}

// apiPath is where the API of a registry begins.
const apiPath = "/v2"

// address reads a URL, of which the scheme may be left out. It is not shown in
// messages: it might have a password.
func (u *upstream) address(at, key string, t table) {
	raw := at
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	parsed, err := url.Parse(raw)
	problem := ""
	switch {
	case err != nil:
		problem = "is not a URL"
	case parsed.Scheme != "https" && parsed.Scheme != "http":
		problem = "is neither https nor http"
	case parsed.User != nil:
		problem = "has a user name, which does not belong there"
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		problem = "has a query or a fragment"
	default:
		if u.host, err = parseHost(parsed.Host); err != nil {
			problem = "has a bad host: " + err.Error()
		}
	}
	if problem != "" {
		t.doc.err = cmp.Or(t.doc.err, fmt.Errorf("%s, line %d: the URL of a host %s: %w", t.doc.file, t.doc.line(key), problem, errdefs.ErrInvalidArgument))
		return
	}
	u.scheme = parsed.Scheme
	u.prefix = strings.TrimRight(path.Clean("/"+parsed.EscapedPath()), "/")
	if !t.flag("override_path") && !strings.HasSuffix(u.prefix, apiPath) {
		u.prefix += apiPath
	}
}

// rights reads the capabilities; all of them where none is stated.
func (t table) rights() rights {
	if !t.has("capabilities") {
		return rights{pull: true, resolve: true, push: true}
	}
	r := rights{stated: true}
	for i, s := range t.texts("capabilities") {
		switch strings.ToLower(s) {
		case "pull":
			r.pull = true
		case "resolve":
			r.resolve = true
		case "push":
			r.push = true
		case "referrers": // whoever may be pulled from is asked for them
		default:
			t.fail("capabilities", "%s at position %d is none of pull, resolve, push and referrers", strictjson.Quote(s), i)
		}
	}
	return r
}

// paths reads a path or an array of them. No key is nil.
func (t table) paths(key string) []string {
	all := []string{}
	if s, ok := t.values[key].(string); ok {
		all = append(all, s)
	} else {
		all = t.texts(key)
	}
	for i, p := range all {
		if p == "" {
			t.fail(key, "at position %d is an empty path", i)
		}
		all[i] = t.absolute(p)
	}
	return all
}

// clientCerts reads a path, an array of paths, or an array of pairs of them.
func (t table) clientCerts() []ClientCert {
	if !t.has("client") {
		return nil
	}
	if s, ok := t.values["client"].(string); ok {
		return []ClientCert{t.clientCert(s, "")}
	}
	all := []ClientCert{}
	for i, value := range get[[]any](t, "client", "a path, an array of paths or an array of pairs of paths") {
		switch v := value.(type) {
		case string:
			all = append(all, t.clientCert(v, ""))
		case []any:
			cert, key, ok := pair(v)
			if !ok {
				t.fail("client", "at position %d is not a pair of paths, of the certificate and of the key", i)
			}
			all = append(all, t.clientCert(cert, key))
		default:
			t.fail("client", "at position %d is neither a path nor a pair of paths", i)
		}
	}
	return all
}

func pair(v []any) (first, second string, ok bool) {
	if len(v) != 2 {
		return "", "", false
	}
	first, ok1 := v[0].(string)
	second, ok2 := v[1].(string)
	return first, second, ok1 && ok2
}

// clientCert returns a pair of files; without a key, it is in the first one.
func (t table) clientCert(cert, key string) ClientCert {
	if key == "" {
		key = cert
	}
	return ClientCert{Cert: t.absolute(cert), Key: t.absolute(key)}
}

// absolute returns a path that may be relative to the file's directory.
func (t table) absolute(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(t.doc.file), p)
}

// header reads the header fields, each with one value or an array of them. The
// values may be secret and are in no message.
func (t table) header() http.Header {
	fields := t.table("header")
	header := http.Header{}
	for _, name := range fields.inOrder() {
		values := []string{}
		if s, ok := fields.values[name].(string); ok {
			values = append(values, s)
		} else {
			values = append(values, fields.texts(name)...)
		}
		if !validToken(name) {
			fields.fail(name, "is not the name of a header field")
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				fields.fail(name, "has a control character in its value")
			}
			header.Add(name, v)
		}
	}
	if len(header) == 0 {
		return nil
	}
	return header
}

// validToken reports whether a text is a token of RFC 9110, section 5.6.2.
func validToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// proxy reads the URL of a proxy, which may have a password and is in no message.
func (t table) proxy() *url.URL {
	s := t.text("proxy")
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		t.fail("proxy", "is not the URL of a proxy: a scheme and a host")
		return nil
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u
	}
	t.fail("proxy", "has the scheme %s, none of http, https, socks5 and socks5h", strictjson.Quote(u.Scheme))
	return nil
}
