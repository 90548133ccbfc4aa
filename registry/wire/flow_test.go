package wire

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
)

// answer is what is left of one.
type answer struct {
	status int
	header http.Header
	text   string
}

// do has c send a request and reads the answer.
func do(t *testing.T, c *Client, req *http.Request, p Purpose, traffic Traffic) (answer, error) {
	t.Helper()
	resp, err := c.Do(req, p, traffic)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// follow asks the registry once, with a credential, in a world with others.
func follow(t *testing.T, w *world, p Policy, method, target string, body io.Reader, purpose Purpose) (answer, error) {
	t.Helper()
	f := w.factory(Options{})
	t.Cleanup(f.Close)
	req := newRequest(t, method, target, body)
	req.Header.Set("Authorization", "Bearer canary")
	req.Header["cookie"] = []string{"canary=1"}
	o := origin0(t, target)
	if purpose == Realm || purpose == Foreign {
		o = origin0(t, reg)
	}
	return do(t, client(t, f, o.String(), p), req, purpose, Control)
}

// TestRedirects has what a Location may be: B83, B84, B85.
func TestRedirects(t *testing.T) {
	t.Parallel()
	const cdn, http5 = "https://cdn.example.net", "http://registry.example.com:5000"
	for _, c := range []struct {
		name     string
		location string
		status   int    // 302 if it is 0
		policy   Policy //
		names    map[string]string
		says     []string // of the error
		kind     error
		own, cdn int // requests that came
		cred     bool
	}{
		{name: "B83 relative", location: "/v2/2", own: 2, cred: true},
		{name: "B83 relative to the path", location: "2?x=y", own: 2, cred: true},
		{name: "B84 another host", location: cdn + "/2?sig=canary", own: 1, cdn: 1},
		{name: "B84 another host, 307", status: 307, location: cdn + "/2", own: 1, cdn: 1},
		{name: "B83 another host without a scheme", location: "//cdn.example.net/2", own: 1, cdn: 1},
		{name: "B84 another port", location: reg + ":8443/2", own: 1, says: []string{"connection refused"}, kind: errdefs.ErrUnavailable},
		{name: "B84 https to http", location: http5 + "/2", own: 1, says: []string{"from https to http"}, kind: errdefs.ErrPermissionDenied},
		{name: "B83 none", own: 1, says: []string{"without a Location"}, kind: errdefs.ErrUnavailable},
		{name: "B83 javascript", location: "javascript:alert(1)", own: 1, says: []string{"no URL with a host", `"javascript"`}, kind: errdefs.ErrUnavailable},
		{name: "B83 file", location: "file:///etc/passwd", own: 1, says: []string{`"file"`}, kind: errdefs.ErrUnavailable},
		{name: "B83 userinfo", location: "https://user:canary@cdn.example.net/2", own: 1, says: []string{"user name"}, kind: errdefs.ErrUnavailable},
		{name: "B83 fragment", location: cdn + "/2#x", own: 1, says: []string{`'#'`}, kind: errdefs.ErrUnavailable},
		{name: "B83 space", location: cdn + "/2 3", own: 1, says: []string{`' '`}, kind: errdefs.ErrUnavailable},
		{name: "B83 backslash", location: `https://cdn.example.net\@evil.org/`, own: 1, says: []string{`'\\'`}, kind: errdefs.ErrUnavailable},
		{name: "B83 no URL", location: "https://[::1/", own: 1, says: []string{"no URL"}, kind: errdefs.ErrUnavailable},
		{name: "B83 9 KiB", location: cdn + "/" + strings.Repeat("x", 9<<10), own: 1, says: []string{"at most 8192"}, kind: errdefs.ErrUnavailable},
		{name: "B83 to itself", location: "/v2/1", own: 6, says: []string{"redirect 6, and 5 are allowed"}, kind: errdefs.ErrPermissionDenied},
		{name: "B85 loopback", location: "https://127.0.0.1/2", own: 1, says: []string{"loopback address", "allowed-hosts"}, kind: errdefs.ErrPermissionDenied},
		{name: "B85 metadata, mapped", location: "https://[::ffff:169.254.169.254]/2", own: 1, says: []string{"metadata", "allowed-hosts"}, kind: errdefs.ErrPermissionDenied},
		{name: "B85 decimal", location: "https://2130706433/2", own: 1, says: []string{"usual form"}, kind: errdefs.ErrUnavailable},
		{
			name: "B85 a name of a private address", location: cdn + "/2", names: map[string]string{"cdn.example.net": "10.0.0.7"},
			own: 1, says: []string{"its address 10.0.0.7 is a private address", "allowed-hosts"}, kind: errdefs.ErrPermissionDenied,
		},
		{
			name: "B85 a name of a metadata service", location: cdn + "/2", names: map[string]string{"cdn.example.net": "::ffff:169.254.169.254"},
			own: 1, says: []string{"metadata"}, kind: errdefs.ErrPermissionDenied,
		},
		{
			name: "B85 allowed", location: cdn + "/2", names: map[string]string{"cdn.example.net": "10.0.0.7"},
			policy: Policy{AllowedHosts: []string{"cdn.example.net"}}, own: 1, cdn: 1,
		},
		{
			name: "B85 the registry has such an address too", location: cdn + "/2",
			names: map[string]string{"cdn.example.net": "10.0.0.7", "registry.example.com": "192.168.1.1"}, own: 1, cdn: 1,
		},
		{
			name: "B85 the registry has another such address", location: cdn + "/2",
			names: map[string]string{"cdn.example.net": "10.0.0.7", "registry.example.com": "127.0.0.1"},
			own:   1, says: []string{"private address"}, kind: errdefs.ErrPermissionDenied,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				maps.Copy(w.names, c.names)
				if c.status == 0 {
					c.status = 302
				}
				redirect := status(c.status, "Location: "+c.location)
				if c.location == "" {
					redirect = status(c.status)
				}
				own := w.listen(reg, redirect, ok)
				if c.location == "/v2/1" {
					own.acts = own.acts[:1]
				}
				other := w.listen(cdn, ok)
				resp, err := follow(t, w, c.policy, "GET", reg+"/v2/1?n=5&_state=canary", nil, Registry)
				var kinds []error
				if c.kind != nil {
					kinds = []error{c.kind}
				}
				checkError(t, err, kinds, c.says)
				if err == nil && resp.status != http.StatusOK {
					t.Errorf("status %d", resp.status)
				}
				if err != nil && strings.Contains(err.Error(), "canary") {
					t.Errorf("the error has a secret: %v", err)
				}
				if n, m := len(own.asked()), len(other.asked()); n != c.own || m != c.cdn {
					t.Errorf("%d requests to the registry and %d elsewhere, want %d and %d", n, m, c.own, c.cdn)
				}
				for _, req := range other.asked() {
					clean(t, req)
				}
				if asked := own.asked(); c.cred && asked[1].Header.Get("Authorization") == "" {
					t.Error("no credential on the own origin")
				}
			})
		})
	}
}

// clean checks that a request brings nothing that is not meant for who got it.
func clean(t *testing.T, req *http.Request) {
	t.Helper()
	for _, name := range []string{"Authorization", "Cookie", "Referer", "X-Own"} {
		if v := req.Header.Get(name); v != "" {
			t.Errorf("%s got %s: %s", req.Host, name, v)
		}
	}
}

// TestRedirectChain has a redirect that leaves the registry and comes back.
func TestRedirectChain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		own := w.listen(reg, status(302, "Location: https://a.example.net/1"), ok)
		a := w.listen("https://a.example.net", status(302, "Location: https://b.example.org/1"))
		b := w.listen("https://b.example.org", status(302, "Location: "+reg+"/v2/2"))
		if _, err := follow(t, w, Policy{}, "GET", reg+"/v2/1", nil, Registry); err != nil {
			t.Fatal(err)
		}
		for _, req := range append(append(a.asked(), b.asked()...), own.asked()[1:]...) {
			clean(t, req)
		}
		if len(own.asked()) != 2 || len(a.asked()) != 1 || len(b.asked()) != 1 {
			t.Error("the chain was not followed")
		}
	})
}

// TestNearIsTheRegistrys has a host that is allowed at a private address, which does
// not put others at such addresses within reach.
func TestNearIsTheRegistrys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.names["a.example.net"], w.names["b.example.org"] = "10.0.0.1", "10.0.0.2"
		w.listen(reg, status(302, "Location: https://a.example.net/1"))
		a := w.listen("https://a.example.net", ok, status(302, "Location: https://b.example.org/1"))
		b := w.listen("https://b.example.org", ok)
		f := w.factory(Options{})
		defer f.Close()
		c := client(t, f, reg, Policy{AllowedHosts: []string{"a.example.net"}})
		if _, err := do(t, c, newRequest(t, "GET", reg+"/v2/1", nil), Registry, Control); err != nil {
			t.Fatal(err)
		}
		_, err := do(t, c, newRequest(t, "GET", reg+"/v2/1", nil), Registry, Control)
		checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{"10.0.0.2 is a private address"})
		if len(a.asked()) != 2 || len(b.asked()) != 0 {
			t.Errorf("%d and %d requests", len(a.asked()), len(b.asked()))
		}
	})
}

// TestBodiesAreClosed has requests that are refused before anything is sent.
func TestBodiesAreClosed(t *testing.T) {
	t.Parallel()
	f := New(Options{Limits: Limits{Upload: Limit{Max: 1}}})
	c := client(t, f, reg, Policy{})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name   string
		change func(*http.Request) *http.Request
		kind   error
	}{
		{"no origin", func(r *http.Request) *http.Request { r.URL.Host = "0x7f.1"; return r }, errdefs.ErrPermissionDenied},
		{"not allowed", func(r *http.Request) *http.Request { r.URL.Host = "evil.org"; r.Host = ""; return r }, errdefs.ErrPermissionDenied},
		{"another Host", func(r *http.Request) *http.Request { r.Host = "evil.org"; return r }, errdefs.ErrInvalidArgument},
		{"context is over", func(r *http.Request) *http.Request { return r.WithContext(over) }, context.Canceled},
	} {
		body := &counter{Reader: strings.NewReader(content)}
		_, err := do(t, c, row.change(newRequest(t, "PUT", reg+"/v2/", body)), Registry, Upload)
		if !errors.Is(err, row.kind) || body.n != 0 || !body.closed {
			t.Errorf("%s: %v, %d bytes were read, closed %t", row.name, err, body.n, body.closed)
		}
	}
}

// TestRedirectOfBody has an upload that a registry redirects.
func TestRedirectOfBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(reg, status(307, "Location: https://evil.example.net/1"))
		evil := w.listen("https://evil.example.net", ok)
		_, err := follow(t, w, Policy{}, "PUT", reg+"/v2/1", strings.NewReader(content), Location)
		checkError(t, err, []error{errdefs.ErrPermissionDenied}, []string{"has a body", keyHosts})
		if len(evil.asked()) != 0 || strings.Contains(strings.Join(w.dialed, " "), "evil") {
			t.Error("it was asked")
		}
		if _, err = follow(t, w, Policy{AllowedHosts: []string{"evil.example.net"}}, "PUT", reg+"/v2/1", strings.NewReader(content), Location); err != nil {
			t.Fatal(err)
		}
		clean(t, evil.asked()[0])
	})
}

// TestPages has pages for people where there should be a registry: B31.
func TestPages(t *testing.T) {
	t.Parallel()
	runCases(t, []exchangeCase{
		{
			name: "B31 a login", attempts: 1, kinds: []error{ErrNotRegistry, errdefs.ErrUnavailable},
			script: []act{reply(200, "\n <!DOCTYPE html><p>Log \x1b[31min\n"+strings.Repeat("x", 300), "Content-Type: text/html; charset=utf-8")},
			says:   []string{"not a registry response", `"text/html"`, `<!DOCTYPE html><p>Log \x1b[31min`, "…"},
		},
		{
			name: "B31 JSON that is called a page", status: 200, text: "true", attempts: 1,
			script: []act{reply(200, "true", "Content-Type: text/html")},
		},
		{
			name: "B31 a blob that is a page", traffic: Download, status: 200, text: "<html>", attempts: 1,
			script: []act{reply(200, "<html>", "Content-Type: text/html")},
		},
		{
			name: "B31 a page about a failure that passes", status: 200, attempts: 2, elapsed: 500 * time.Millisecond,
			script: []act{reply(502, "<html>", "Content-Type: text/html"), ok},
		},
	})
}

// TestTargets has the Location of an upload and the Link of a list: B87, B91.
func TestTargets(t *testing.T) {
	t.Parallel()
	f := New(Options{})
	c := client(t, f, reg, Policy{AllowedHosts: []string{"up.example.net"}})
	asked := newRequest(t, "POST", reg+"/v2/a/blobs/uploads/?n=1", nil)
	for _, row := range []struct{ name, location, want, refused string }{
		{"B87 relative", "/v2/a/blobs/uploads/1", reg + "/v2/a/blobs/uploads/1", ""},
		{"B87 relative to the path", "1?_state=a%2Fb", reg + "/v2/a/blobs/uploads/1?_state=a%2Fb", ""},
		{"B87 absolute, its query kept", reg + "/u/1?a=b&c=d%26", reg + "/u/1?a=b&c=d%26", ""},
		{"B87 with the port", reg + ":443/u/1", reg + ":443/u/1", ""},
		{"B87 an allowed host", "https://up.example.net/1", "https://up.example.net/1", ""},
		{"B87 another host", "https://evil.org/1", "", keyHosts},
		{"B87 another host without a scheme", "//evil.org/1", "", keyHosts},
		{"B87 http", "http://registry.example.com/1", "", "https to http"},
		{"B87 none", "", "", "it is empty"},
		{"B87 userinfo", "https://a:b@registry.example.com/1", "", "user name"},
		{"B87 a name only", "mailto:a@b", "", "no URL with a host"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := c.Location(&http.Response{Request: asked, Header: http.Header{"Location": {row.location}}})
			checkTarget(t, got, err, row.want, row.refused)
		})
	}
	for _, row := range []struct{ name, link, want, refused string }{
		{"none", "", "", ""},
		{"B91 relative", `</v2/_catalog?last=b&n=1>; rel="next"`, reg + "/v2/_catalog?last=b&n=1", ""},
		{"B91 a token", `</v2/_catalog>;rel=next`, reg + "/v2/_catalog", ""},
		{"B91 several relations", `</x>; title="a, b"; rel="last NEXT"`, reg + "/x", ""},
		{"B91 the second link", `</a>; rel="prev", </b>; rel="next"`, reg + "/b", ""},
		{"B91 another relation", `</a>; rel="prev"`, "", ""},
		{"B91 only the first rel counts", `</a>; rel="prev"; rel="next"`, "", ""},
		{"B91 no relation", `</a>`, "", ""},
		{"B91 another host", `<http://127.0.0.1/>; rel="next"`, "", "https to http"},
		{"B91 another host by https", `<https://evil.org/>; rel="next"`, "", keyHosts},
		{"B91 no brackets", `/a; rel="next"`, "", "without < and >"},
		{"B91 open bracket", `</a; rel="next"`, "", "without < and >"},
		{"B91 open quote", `</a>; rel="next`, "", "not closed"},
		{"B91 seventeen", strings.Repeat("</a>, ", 17), "", "more than 16 links"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := c.NextPage(&http.Response{Request: asked, Header: http.Header{"Link": {row.link}}})
			if row.want == "" && row.refused == "" {
				if got != nil || err != nil {
					t.Errorf("%v, %v; want none", got, err)
				}
				return
			}
			checkTarget(t, got, err, row.want, row.refused)
		})
	}
}

func checkTarget(t *testing.T, got interface{ String() string }, err error, want, refused string) {
	t.Helper()
	if refused != "" {
		if err == nil || !strings.Contains(err.Error(), refused) {
			t.Fatalf("error %v, want one that says %q", err, refused)
		}
		if u, _ := got.(*url.URL); u != nil {
			t.Errorf("%s is returned with the error", u)
		}
		if !errdefs.IsPermissionDenied(err) && !errdefs.IsUnavailable(err) || errdefs.IsInvalidArgument(err) && !errors.As(err, new(*RefusedError)) {
			t.Errorf("error %v is of no kind that an answer can give", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("%s, want %s", got, want)
	}
}
