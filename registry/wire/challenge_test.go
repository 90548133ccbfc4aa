package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/containerd/errdefs"
)

// TestChallenges has what a WWW-Authenticate may say, and what is left of it for the
// client that is to answer: B81, B86.
func TestChallenges(t *testing.T) {
	t.Parallel()
	const fine = `Bearer realm="https://auth.example.com/token",service="registry.example.com"`
	var flood []string
	for i := range 9 {
		flood = append(flood, fmt.Sprintf("X%d a=b", i))
	}
	for _, row := range []struct {
		name   string
		values []string
		want   string   // what is left
		says   []string // of the error
		kind   error    // unavailable if it is nil
	}{
		{name: "B81 no challenge"},
		{name: "bearer", values: []string{fine}, want: fine},
		{name: "basic", values: []string{`Basic realm="x"`}, want: `Basic realm="x"`},
		{name: "basic without a realm", values: []string{"basic"}, want: "Basic"},
		{name: "in other letters, without quotes", values: []string{`bEARER Realm = https://auth.example.com , SERVICE="a"`}, says: []string{`"realm"`, "goes on with"}},
		{name: "in other letters", values: []string{`bEARER Realm = "https://auth.example.com/" , SERVICE=a`}, want: `Bearer realm="https://auth.example.com/",service="a"`},
		{name: "scope and error stay, the rest goes", values: []string{fine + `,scope="repository:a:pull",error="invalid_token",charset="x"`}, want: fine + `,scope="repository:a:pull",error="invalid_token"`},
		{name: "B81 two challenges in one", values: []string{`Basic realm="x", ` + fine}, want: fine},
		{name: "B81 two challenges in two", values: []string{`Basic realm="x"`, fine}, want: fine},
		{name: "B81 one that we do not know, with its token", values: []string{"Negotiate YII=", `Digest realm="x",nonce="y", Basic realm="z"`}, want: `Basic realm="z"`},
		{name: "B81 none that we know", values: []string{"Negotiate, NTLM"}, says: []string{`"negotiate", "ntlm"`, "Basic or Bearer"}, kind: errdefs.ErrUnauthenticated},
		{name: "escapes in a quote", values: []string{`Basic realm="a\"b\\c"`}, want: `Basic realm="a\"b\\c"`},
		{name: "B81 no realm", values: []string{`Bearer service="x"`}, says: []string{"realm", "no realm"}},
		{name: "B81 an empty realm", values: []string{`Bearer realm="",service="x"`}, says: []string{"no realm"}},
		{name: "B81 a relative realm", values: []string{`Bearer realm="/token"`}, says: []string{"realm", "neither https nor http"}},
		{name: "B81 a realm without a scheme", values: []string{`Bearer realm="auth.example.com/token"`}, says: []string{"neither https nor http"}},
		{name: "B81 a realm of a file", values: []string{`Bearer realm="file:///etc/passwd"`}, says: []string{`"file"`}},
		{name: "B81 a realm by gopher", values: []string{`Bearer realm="gopher://auth.example.com/"`}, says: []string{`"gopher"`}},
		{name: "B81 a newline in the realm, as an escape of Go", values: []string{`Bearer realm="https://auth.example.com/\ntoken"`}, want: `Bearer realm="https://auth.example.com/ntoken"`},
		{name: "B81 a tab in the realm", values: []string{"Bearer realm=\"https://auth.example.com/\ttoken\""}, says: []string{`'\t'`}},
		{name: "B81 a realm with a password", values: []string{`Bearer realm="https://a:b@auth.example.com/token"`}, says: []string{"user name"}},
		{name: "B81 a realm with a fragment", values: []string{`Bearer realm="https://auth.example.com/token#x"`}, says: []string{`'#'`}},
		{name: "a realm twice", values: []string{`Bearer realm="https://auth.example.com/",realm="https://evil.org/"`}, says: []string{"twice"}},
		{name: "an open quote", values: []string{`Bearer realm="https://auth.example.com/`}, says: []string{"not closed"}},
		{name: "nine challenges", values: flood, says: []string{"more than 8 challenges"}},
		{name: "B86 a realm by http", values: []string{`Bearer realm="http://auth.example.com/token"`}, says: []string{"https to http"}, kind: errdefs.ErrPermissionDenied},
		{name: "B85 a realm on loopback", values: []string{`Bearer realm="https://127.0.0.1/token"`}, says: []string{"loopback", keyRealms}, kind: errdefs.ErrPermissionDenied},
		{name: "B86 a realm of another domain may be asked, anonymously", values: []string{`Bearer realm="https://evil.org/token"`}, want: `Bearer realm="https://evil.org/token"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var headers []string
				for _, v := range row.values {
					headers = append(headers, "WWW-Authenticate: "+v)
				}
				w.listen(reg, status(401, headers...))
				resp, err := follow(t, w, Policy{}, "GET", reg+"/v2/", nil, Registry)
				if len(row.says) > 0 {
					kind := row.kind
					if kind == nil {
						kind = errdefs.ErrUnavailable
					}
					checkError(t, err, []error{kind}, row.says)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(resp.header.Values("Www-Authenticate"), "|"); resp.status != http.StatusUnauthorized || got != row.want {
					t.Errorf("%d %s\nwant %s", resp.status, got, row.want)
				}
			})
		})
	}
}

// TestChallengeElsewhere has another host than the registry ask for a credential.
func TestChallengeElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(reg, status(302, "Location: https://cdn.example.net/1"))
		w.listen("https://cdn.example.net", status(401, `WWW-Authenticate: Basic realm="x"`))
		resp, err := follow(t, w, Policy{}, "GET", reg+"/v2/", nil, Registry)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.header.Get("Www-Authenticate"); resp.status != http.StatusUnauthorized || got != "" {
			t.Errorf("%d %q, want 401 and no challenge", resp.status, got)
		}
	})
}

// TestManyRealms has a registry name a token server more than are remembered.
func TestManyRealms(t *testing.T) {
	t.Parallel()
	var r realms
	for i := range maxRealms {
		if err := r.add(&url.URL{Scheme: "https", Host: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.add(&url.URL{Scheme: "https", Host: "1"}); err != nil {
		t.Errorf("one that is known: %v", err)
	}
	if err := r.add(&url.URL{Scheme: "https", Host: "x"}); !errdefs.IsUnavailable(err) {
		t.Errorf("one more: %v, want an error", err)
	}
}

// TestWithheld has a token server of another domain, asked as the client means it to
// be: with the credential of the registry.
func TestWithheld(t *testing.T) {
	t.Parallel()
	const realm = "https://sso.example.net"
	login := status(401, `WWW-Authenticate: Bearer realm="`+realm+`/token",service="x"`)
	ask := func(t *testing.T, c *Client, method, target, authorization string) (answer, error) {
		t.Helper()
		req := newRequest(t, method, target, nil)
		if method == http.MethodPost {
			req = newRequest(t, method, target, strings.NewReader("password=canary"))
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		return do(t, c, req, Registry, Control)
	}
	scene := func(t *testing.T, p Policy, own, sso act) (*Client, *server) {
		t.Helper()
		w := newWorld(t)
		w.listen(reg, login, own)
		s := w.listen(realm, sso)
		f := w.factory(Options{})
		t.Cleanup(f.Close)
		c := client(t, f, reg, p)
		if _, err := ask(t, c, "GET", realm+"/token", ""); !errdefs.IsPermissionDenied(err) {
			t.Fatalf("a token server that nobody has named: %v", err)
		}
		if _, err := ask(t, c, "GET", reg+"/v2/", ""); err != nil {
			t.Fatal(err)
		}
		return c, s
	}
	told := func(t *testing.T, err error, behind error) {
		t.Helper()
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Key != keyRealms || !strings.Contains(err.Error(), realm) || !errors.Is(err, behind) {
			t.Fatalf("error %v, want one that names %s, %s and the key", err, realm, behind)
		}
	}
	t.Run("anonymous is enough", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, sso := scene(t, Policy{}, ok, ok)
			if _, err := ask(t, c, "GET", realm+"/token?service=x", "Basic canary"); err != nil {
				t.Fatal(err)
			}
			clean(t, sso.asked()[0])
			if _, err := ask(t, c, "GET", reg+"/v2/", "Bearer anonymous"); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("the token server wants more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, sso := scene(t, Policy{}, ok, status(401, `WWW-Authenticate: Basic realm="x"`))
			_, err := ask(t, c, "GET", realm+"/token", "Basic canary")
			told(t, err, errdefs.ErrUnauthenticated)
			clean(t, sso.asked()[0])
		})
	})
	t.Run("the registry wants more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := scene(t, Policy{}, reply(403, `{"errors":[{"code":"DENIED"}]}`), ok)
			if _, err := ask(t, c, "GET", realm+"/token", "Basic canary"); err != nil {
				t.Fatal(err)
			}
			_, err := ask(t, c, "GET", reg+"/v2/", "Bearer anonymous")
			told(t, err, errdefs.ErrPermissionDenied)
			checkError(t, err, nil, []string{"403 Forbidden: DENIED"})
		})
	})
	t.Run("a form is not sent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, sso := scene(t, Policy{}, ok, ok)
			_, err := ask(t, c, "POST", realm+"/token", "")
			told(t, err, errdefs.ErrPermissionDenied)
			if len(sso.asked()) != 0 {
				t.Error("the token server was asked")
			}
		})
	})
	t.Run("trusted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, sso := scene(t, Policy{TrustedRealms: []string{"*.example.net"}}, ok, ok)
			for _, method := range []string{"GET", "POST"} {
				if _, err := ask(t, c, method, realm+"/token", "Basic secret"); err != nil {
					t.Fatal(err)
				}
			}
			if got := sso.asked()[0].Header.Get("Authorization"); got != "Basic secret" {
				t.Errorf("the trusted token server got %q", got)
			}
			if got := sso.asked()[0].Header.Get("X-Own"); got != "" {
				t.Errorf("the token server got the registry's own header: %q", got)
			}
			// Another page of the token server was not named.
			if _, err := ask(t, c, "GET", realm+"/admin", ""); !errdefs.IsPermissionDenied(err) {
				t.Errorf("another page: %v", err)
			}
		})
	})
}
