package ref

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

func mustParse(t *testing.T, s string) Reference {
	t.Helper()
	r, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in                      string
		domain, path, tag, name string
		digest                  digest.Digest
		nameOnly                bool
		tagged                  string
	}{
		{in: "busybox", domain: "docker.io", path: "library/busybox", name: "docker.io/library/busybox", nameOnly: true, tagged: "docker.io/library/busybox:latest"},
		{in: "a.b:5/c/d:e", domain: "a.b:5", path: "c/d", tag: "e", name: "a.b:5/c/d", tagged: "a.b:5/c/d:e"},
		{in: "x@" + sha256, domain: "docker.io", path: "library/x", digest: sha256, name: "docker.io/library/x", tagged: "docker.io/library/x@" + sha256},
		{in: "x:t@" + sha256, domain: "docker.io", path: "library/x", tag: "t", digest: sha256, name: "docker.io/library/x", tagged: "docker.io/library/x:t@" + sha256},
	} {
		t.Run(c.in, func(t *testing.T) {
			t.Parallel()
			r := mustParse(t, c.in)
			if r.Domain() != c.domain || r.Path() != c.path || r.Tag() != c.tag || r.Digest() != c.digest || r.Name() != c.name {
				t.Errorf("got %q %q %q %q %q", r.Domain(), r.Path(), r.Tag(), r.Digest(), r.Name())
			}
			if r.IsNameOnly() != c.nameOnly || r.Tagged().String() != c.tagged {
				t.Errorf("name only %v, tagged %s", r.IsNameOnly(), r.Tagged())
			}
		})
	}
}

func TestZero(t *testing.T) {
	t.Parallel()
	var zero Reference
	if zero.String() != "" || zero.Familiar() != "" || zero.Tagged() != zero || !zero.IsNameOnly() {
		t.Errorf("got %q, %q, %v", zero.String(), zero.Familiar(), zero.Tagged())
	}
	if _, err := zero.WithTag("x"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("WithTag: %v", err)
	}
	if _, err := zero.WithDigest(sha256); !errdefs.IsInvalidArgument(err) {
		t.Errorf("WithDigest: %v", err)
	}
}

func TestWithTag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, tag, want, err string }{
		{name: "added", in: "x", tag: "t", want: "docker.io/library/x:t"},
		{name: "replaced", in: "x:s", tag: "t", want: "docker.io/library/x:t"},
		{name: "digest stays", in: "x:s@" + sha256, tag: "t", want: "docker.io/library/x:t@" + sha256},
		{name: "bad", in: "x", tag: "..", err: `tag ".." for "docker.io/library/x": the tag begins with ".": invalid argument`},
		{name: "empty", in: "x", tag: "", err: `tag "" for "docker.io/library/x": the tag is empty: invalid argument`},
		{name: "reads as a digest", in: "sha256", tag: hex64, err: `tag "` + hex64 + `" for "docker.io/library/sha256": it reads as a digest: invalid argument`},
		{name: "the same elsewhere", in: "example.com/sha256", tag: hex64, want: "example.com/" + sha256},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := mustParse(t, c.in)
			r, err := before.WithTag(c.tag)
			if c.err != "" {
				if !errdefs.IsInvalidArgument(err) || err.Error() != c.err || r != (Reference{}) {
					t.Errorf("got %s, %v", r, err)
				}
				return
			}
			if err != nil || r.String() != c.want {
				t.Errorf("got %s, %v, want %s", r, err, c.want)
			}
			if before != mustParse(t, c.in) {
				t.Error("the reference itself changed")
			}
			checkParsed(t, c.want, r)
		})
	}
}

func TestWithDigest(t *testing.T) {
	t.Parallel()
	r, err := mustParse(t, "x:t").WithDigest(sha256)
	if err != nil || r.String() != "docker.io/library/x:t@"+sha256 {
		t.Errorf("got %s, %v", r, err)
	}
	if r, err := r.WithDigest("sha256:nonsense"); !errdefs.IsInvalidArgument(err) || r != (Reference{}) {
		t.Errorf("got %s, %v", r, err)
	}
	if r, err := r.WithDigest(digest.Digest("md5:" + hex64[:32])); !errdefs.IsNotImplemented(err) || r != (Reference{}) {
		t.Errorf("got %s, %v", r, err)
	}
}

func TestValidNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		check func(string) error
		good  []string
		bad   []string
	}{
		{
			"repository name", ValidName,
			[]string{"a", "library/busybox", "a.b/c_d/e__f/g---h", hex64, "localhost", "a.b/c", strings.Repeat("a", 255)},
			[]string{"", "/", "a/", "/a", "a//b", "A", "a..b", ".a", "a.", "a/..", "a:b", "a@b", "host:5000/a", "a b", "\u0430", "a\n", strings.Repeat("a", 256)},
		},
		{
			"tag", ValidTag,
			[]string{"a", "A", "_", "1", "v1.2-3_4", "_.-", "latest", strings.Repeat("a", 128)},
			[]string{"", ".", "-", ".a", "-a", "a/b", "a:b", "a b", "a\n", "a+b", "\u0430", "\xff", "a%00", strings.Repeat("a", 129)},
		},
		{
			"layout reference", ValidLayoutName,
			[]string{"a", "A1", "latest", "notlatest:image", "docker.io/library/busybox:1.36@" + sha256, "a-b.c_d:e@f+g", "a--b", "a/b/c", strings.Repeat("a", 1024)},
			[]string{"", "/", "a/", "/a", "a//b", "-a", "a-", "a---b", "a..b", "a.-b", "@0", "@1", "a b", "a\n", "a=b", "..", "a/../b", "\u0430", "\xff", "a%b", "--", strings.Repeat("a", 1025)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range c.good {
				if err := c.check(s); err != nil {
					t.Error(err)
				}
			}
			for _, s := range c.bad {
				err := c.check(s)
				if !errdefs.IsInvalidArgument(err) || !strings.HasPrefix(err.Error(), c.name+" "+quoted(s)+": ") {
					t.Errorf("%q: %v", s, err)
				}
			}
		})
	}
}

// FuzzParse: what parses has one full and one familiar form that mean the same,
// and an error is short and repeats nothing that stands before an @.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"busybox", "busybox:1.36", "docker.io/library/busybox:latest@" + sha256, "localhost:5000/a/b:c", "[::1]:5000/x", "[0:0::1]/x", "[::ffff:1:2]/x", "EXAMPLE.com/x", "index.docker.io/x",
		"docker.io/localhost/x", "docker.io/a.b/x", "library/library/x", hex64, sha256, "user:pw@host/x", "127.0.0.1/x", "1.2.3/x", "a..b/c", "x:\u0430", "\u0130.com/x", "a:b@" + sha256, "x@md5:" + hex64,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err == nil {
			checkParsed(t, s, r)
		} else if len(err.Error()) > 3000 || errdefs.IsInvalidArgument(err) == errdefs.IsNotImplemented(err) {
			t.Fatalf("%q: %v", s, err)
		}
		if _, err := Parse("captain:s3cretXY@" + s); err != nil && strings.Contains(err.Error(), "s3cretXY") && !strings.Contains(s, "s3cretXY") {
			t.Fatalf("%q: the error repeats the password: %v", s, err)
		}
	})
}

// FuzzValidLayoutName compares the scanner with a reading of the grammar that
// replaces what matches until nothing is left.
func FuzzValidLayoutName(f *testing.F) {
	for _, s := range []string{"a", "a-b", "a--b", "a---b", "a/b", "a//b", "a@b:c", "-", "a\u0430", "A.b_c+d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		reduced := strings.Map(func(r rune) rune {
			if r == 'a' || r > 0x7f || !letterOrDigit(r) {
				return r
			}
			return 'a'
		}, s)
		for again := true; again; {
			next := reduced
			for _, pair := range []string{"aa", "a-a", "a--a", "a.a", "a_a", "a:a", "a@a", "a+a", "a/a"} {
				next = strings.ReplaceAll(next, pair, "a")
			}
			again, reduced = next != reduced, next
		}
		if want, err := reduced == "a" && len(s) <= maxLayoutName, ValidLayoutName(s); want != (err == nil) {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
