package wire

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"5", "0", "-5", "999999999", "99999999999999999999", "abc", "1.5", "5, 6", "Thu, 01 Jan 2099 00:00:00 GMT", "Thursday, 01-Jan-99 00:00:00 GMT"} {
		f.Add(value, "")
		f.Add(value, "Thu, 01 Jan 1970 00:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		a := readAdvice(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(1e9, 0))
		if a.wait < 0 || a.wait > maxAdvice {
			t.Errorf("a wait of %s", a.wait)
		}
		if a.value != strings.TrimSpace(value) {
			t.Errorf("%q became %q", value, a.value)
		}
	})
}

func FuzzChallenge(f *testing.F) {
	for _, value := range []string{
		`Bearer realm="https://auth.example.com/token",service="x",scope="repository:a:pull,push"`, `Basic realm="x"`, "Negotiate YII=",
		`Basic realm="x", Bearer realm="https://a/"`, `Digest a="b\"c", b=c , Basic`, `bearer realm = "https://a" , error=x`, "Bearer realm=\"a\nb\"", ",,a b,", "=", `a "`,
	} {
		f.Add(value, "")
		f.Add("NTLM", value)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		all, err := parseChallenges([]string{first, second})
		if err != nil {
			return
		}
		c, ok := choose(all)
		if !ok {
			return
		}
		// What we hand on has to be read by others as it was read by us.
		again, err := parseChallenges([]string{c.header()})
		if err != nil || len(again) != 1 || again[0].scheme != c.scheme {
			t.Fatalf("%q: %v, %v", c.header(), again, err)
		}
		maps.DeleteFunc(c.params, func(name, _ string) bool {
			return name != "realm" && name != "service" && name != "scope" && name != "error"
		})
		if !maps.Equal(again[0].params, c.params) {
			t.Errorf("%q became %q", c.params, again[0].params)
		}
		if strings.ContainsFunc(c.header(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is not fit for a header", c.header())
		}
		realm, err := c.realm()
		if err != nil {
			return
		}
		if _, err := OriginOf(realm); err != nil || !realm.IsAbs() || realm.User != nil || realm.Fragment != "" {
			t.Errorf("the realm %s: %v", realm, err)
		}
	})
}

func FuzzLocation(f *testing.F) {
	for _, raw := range []string{
		"/v2/a", "../b?c=d", "//evil.org/", `\\evil.org`, "https://registry.example.com:443/u", "https://registry.example.com.evil.org/", "javascript:alert(1)",
		"https://user:pass@registry.example.com/", "https://registry.example.com@evil.org/", "https:///x", "http:registry.example.com", "https://[::1]:5000/", "?x", "",
		"https://registry.example.com%2eevil.org/", "HTTPS://REGISTRY.EXAMPLE.COM./x", "https://127.1/", "https://2130706433/", "https://[::ffff:7f00:1]/", "/%2e%2e//x",
	} {
		f.Add(raw)
	}
	base, err := url.Parse(reg + "/v2/a/blobs/uploads/?x=y")
	if err != nil {
		f.Fatal(err)
	}
	own, err := OriginOf(base)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := resolve(base, raw)
		if err != nil {
			return
		}
		o, err := OriginOf(u)
		if err != nil || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q became %s: %v", raw, u, err)
		}
		// As text it means the same, to us and to those whom we hand it to.
		again, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("%q became %s: %v", raw, u, err)
		}
		if o2, err := OriginOf(again); err != nil || o2 != o {
			t.Fatalf("%q became %s, and its text %s: %v", raw, o, o2, err)
		}
		v, err := Policy{}.decide(ask{purpose: Location, endpoint: own, url: u, body: true})
		if (err == nil) != (o == own) || v.credential != (o == own) {
			t.Errorf("%s: %+v, %v", u, v, err)
		}
		v, err = Policy{}.decide(ask{purpose: Registry, endpoint: own, url: u, via: []*url.URL{base}})
		if err == nil && (v.credential != (o == own) || o.Scheme != "https") {
			t.Errorf("redirect to %s: %+v", u, v)
		}
	})
}

func FuzzLink(f *testing.F) {
	for _, value := range []string{
		`</v2/_catalog?last=a&n=1>; rel="next"`, `<a>; rel=prev, <b>;title="x, y";rel="last next"`, `<a`, `<a>;`, `<a>; rel`, `<a>; ;; rel=next`, `<>; rel=next`, `<a>; rel="`,
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		target, ok, err := nextLink([]string{value})
		if ok && (err != nil || !strings.Contains(value, "<"+target+">")) {
			t.Errorf("%q: %q, %v", value, target, err)
		}
		if !ok && target != "" {
			t.Errorf("%q: %q is not said to be one", value, target)
		}
	})
}

func FuzzRedact(f *testing.F) {
	for _, text := range []string{`Get "`, `: EOF`, "http://a?b=", "https://u:", "@", "?", "&n=", "#", " ", "https://", "ħttp://", "İhttp://x?"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "s3cr3t"
		if strings.Contains(before, secret) || strings.Contains(after, secret) {
			return
		}
		for _, text := range []string{before + "http://a.b/c?sig=" + secret + after, before + "https://u:" + secret + "@a.b/c" + after} {
			clean := redactText(text)
			if strings.Contains(clean, secret) {
				t.Errorf("%q became %q", text, clean)
			}
			if again := redactText(clean); again != clean {
				t.Errorf("%q became %q, and then %q", text, clean, again)
			}
		}
	})
}
