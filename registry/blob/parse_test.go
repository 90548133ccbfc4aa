package blob

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]*span{
		"bytes 0-9/10":                      {0, 10, 10},
		"BYTES 5-9/*":                       {5, 10, -1},
		"bytes 0-0/1":                       {0, 1, 1},
		"bytes 5-9/9":                       nil,
		"bytes 9-5/10":                      nil,
		"bytes */10":                        nil,
		"bytes -5-9/10":                     nil,
		"bytes +5-9/10":                     nil,
		"bytes  5-9/10":                     nil,
		"bytes 5-9":                         nil,
		"bytes=5-9/10":                      nil,
		"items 5-9/10":                      nil,
		"5-9/10":                            nil,
		"":                                  nil,
		"bytes 0-9223372036854775807/*":     nil,
		"bytes 0-9/99999999999999999999999": nil,
	} {
		got, err := parseContentRange(in)
		if (err == nil) != (want != nil) || want != nil && got != *want {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseProgress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{
		"0-9":                    10,
		"bytes=0-9":              10,
		"0-0":                    0,
		"0--1":                   0,
		"0-1":                    2,
		"1-9":                    -1,
		"0-":                     -1,
		"9":                      -1,
		"":                       -1,
		"0-x":                    -1,
		"bytes 0-9":              -1,
		"0-99999999999999999999": -1,
	} {
		got, err := parseProgress(in)
		if (err == nil) != (want >= 0) || want >= 0 && got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
}

func TestParseLocation(t *testing.T) {
	t.Parallel()
	base, _ := url.Parse("https://registry.example/v2/team/app/blobs/uploads/?mount=x")
	for in, want := range map[string]string{
		"/v2/u/1":                          "https://registry.example/v2/u/1",
		"1?_state=a%2Bb%3D&x":              "https://registry.example/v2/team/app/blobs/uploads/1?_state=a%2Bb%3D&x",
		"https://other.example:8443/u?a=b": "https://other.example:8443/u?a=b",
		"http://registry.example/u":        "http://registry.example/u",
		"//evil.example/u":                 "https://evil.example/u", // for the policy to refuse
		"?a=%2F":                           "https://registry.example/v2/team/app/blobs/uploads/?a=%2F",
		"/a%2Fb":                           "https://registry.example/a%2Fb",
		"":                                 "",
		"/u v":                             "",
		"/u\n":                             "",
		"/ü":                               "",
		"/u#fragment":                      "",
		"/u\\v":                            "",
		"https:///u":                       "",
		"https://u:p@registry.example/u":   "",
		"mailto:a@b":                       "",
		"file:///etc/passwd":               "",
		"/%zz":                             "",
		"/" + strings.Repeat("a", 8<<10):   "",
	} {
		got, err := parseLocation(base, in)
		if (err == nil) != (want != "") || want != "" && got.String() != want {
			t.Errorf("%q: %v, %v; want %q", in, got, err, want)
		}
	}
	u, err := parseLocation(base, "/u?_state=a%2Bb")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := withQuery(u, "digest", "sha256:00+&").String(), "https://registry.example/u?_state=a%2Bb&digest=sha256%3A00%2B%26"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes */10", "bytes 0-9223372036854775807/1", "", "bytes --/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := parseContentRange(in)
		if err == nil && (s.start < 0 || s.end <= s.start || s.total >= 0 && s.end > s.total) {
			t.Errorf("%q: %+v", in, s)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"0-9", "bytes=0-9", "0-0", "0--1", "1-2", "0-00", "0-9223372036854775807", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if n, err := parseProgress(in); err == nil && (n < 0 || n == 1) {
			t.Errorf("%q: %d", in, n)
		}
		if n, err := parseMinPiece(in); err == nil && (n < 0 || n > maxPiece) {
			t.Errorf("%q: a piece of %d", in, n)
		}
	})
}

func FuzzParseLocation(f *testing.F) {
	for _, seed := range []string{"/v2/u/1?a=b%2F", "https://h/x", "//evil/", "javascript:x", "http://u:p@h/", "?x", "..", "https://[::1]:5000/"} {
		f.Add(seed)
	}
	base, _ := url.Parse("https://registry.example/v2/a/blobs/uploads/")
	f.Fuzz(func(t *testing.T, in string) {
		u, err := parseLocation(base, in)
		if err != nil {
			if u != nil || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q: %v, %v", in, u, err)
			}
			return
		}
		if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" {
			t.Errorf("%q: %s", in, u)
		}
		if _, query, _ := strings.Cut(in, "?"); query != "" && u.RawQuery != query {
			t.Errorf("%q: the query became %q", in, u.RawQuery)
		}
		again, err := url.Parse(withQuery(u, "digest", "sha256:+&").String())
		if err != nil || again.Query().Get("digest") == "" {
			t.Errorf("%q: with a digest it is %v, %v", in, again, err)
		}
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	client := Clients{Control: doFunc(nil)}
	for in, ok := range map[[2]string]bool{
		{"https://registry.example", "team/app"}:    true,
		{"http://localhost:5000/prefix/", "a"}:      true,
		{"https://registry.example", "team/../app"}: false,
		{"https://registry.example", "Team/App"}:    false,
		{"https://registry.example", ""}:            false,
		{"https://registry.example", "a?b"}:         false,
		{"https://registry.example", "a:tag"}:       false,
		{"https://u:p@registry.example", "a"}:       false,
		{"ftp://registry.example", "a"}:             false,
		{"/v2", "a"}:                                false,
	} {
		base, err := url.Parse(in[0])
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(base, in[1], client, Options{})
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "p@") {
			t.Errorf("%v: %v, %v", in, r, err)
		}
	}
	base, _ := url.Parse("https://registry.example/prefix/")
	if _, err := New(base, "a", Clients{}, Options{}); err == nil {
		t.Error("without a client")
	}
	r, err := New(base, "team/app", client, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.blobURL("sha256:00").String(), "https://registry.example/prefix/v2/team/app/blobs/sha256:00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
