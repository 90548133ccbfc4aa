package ref

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

const (
	hex64  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sha256 = "sha256:" + hex64
)

func TestParse(t *testing.T) {
	t.Parallel()
	sha384, sha512 := "sha384:"+strings.Repeat("a", 96), "sha512:"+strings.Repeat("b", 128)
	for _, r := range []struct {
		in       string
		full     string
		familiar string // empty: the same as in
	}{
		{in: "busybox", full: "docker.io/library/busybox"},
		{in: "busybox:1.36", full: "docker.io/library/busybox:1.36"},
		{in: "busybox@" + sha256, full: "docker.io/library/busybox@" + sha256},
		{in: "busybox:1.36@" + sha256, full: "docker.io/library/busybox:1.36@" + sha256},
		{in: "busybox@" + sha384, full: "docker.io/library/busybox@" + sha384},
		{in: "B12 busybox@" + sha512, full: "docker.io/library/busybox@" + sha512},
		{in: "dhowhq/dhow:v1", full: "docker.io/dhowhq/dhow:v1"},
		{in: "docker.io/busybox", full: "docker.io/library/busybox", familiar: "busybox"},
		{in: "docker.io/library/busybox:latest", full: "docker.io/library/busybox:latest", familiar: "busybox:latest"},
		{in: "index.docker.io/dhowhq/dhow", full: "docker.io/dhowhq/dhow", familiar: "dhowhq/dhow"},
		{in: "library/a/b", full: "docker.io/library/a/b"},
		{in: "docker.io/localhost/x", full: "docker.io/localhost/x", familiar: "docker.io/localhost/x"},
		{in: "docker.io/a.b/x:1", full: "docker.io/a.b/x:1", familiar: "docker.io/a.b/x:1"},
		{in: "docker.io/a.b", full: "docker.io/library/a.b", familiar: "a.b"},
		{in: "localhost", full: "docker.io/library/localhost"},
		{in: "localhost:5000", full: "docker.io/library/localhost:5000"},
		{in: "localhost/x", full: "localhost/x"},
		{in: "localhost:5000/x:y", full: "localhost:5000/x:y"},
		{in: "quay.io/a/b/c/d:t", full: "quay.io/a/b/c/d:t"},
		{in: "registry:5000/x", full: "registry:5000/x"},
		{in: "a--b/c__d/e.f_g:A_b.c-d", full: "docker.io/a--b/c__d/e.f_g:A_b.c-d"},
		{in: "x:_", full: "docker.io/library/x:_"},
		{in: "x:" + strings.Repeat("t", 128), full: "docker.io/library/x:" + strings.Repeat("t", 128)},
		{in: "example.com/" + strings.Repeat("r", 255), full: "example.com/" + strings.Repeat("r", 255)},
		{in: "example.com/" + hex64, full: "example.com/" + hex64},
		{in: "docker.io/user/" + hex64, full: "docker.io/user/" + hex64, familiar: "user/" + hex64},
		{in: "sha256:cafe", full: "docker.io/library/sha256:cafe"},
		{in: "127.0.0.1:5000/x", full: "127.0.0.1:5000/x"},
		{in: "[::1]:5000/x", full: "[::1]:5000/x"},
		{in: "[2001:db8::1]/x", full: "[2001:db8::1]/x"},
		{in: "B18 localhost.evil/x", full: "localhost.evil/x"},
		{in: "B18 xn--80ak6aa92e.com/x", full: "xn--80ak6aa92e.com/x"},
		// One place, one name.
		{in: "EXAMPLE.com/x", full: "example.com/x", familiar: "example.com/x"},
		{in: "Index.Docker.IO/x", full: "docker.io/library/x", familiar: "x"},
		{in: "LOCALHOST/x", full: "localhost/x", familiar: "localhost/x"},
		{in: "Foo:5000/x", full: "foo:5000/x", familiar: "foo:5000/x"},
		{in: "[0:0:0:0:0:0:0:1]/x", full: "[::1]/x", familiar: "[::1]/x"},
		{in: "[2001:DB8::0:1]:80/x", full: "[2001:db8::1]:80/x", familiar: "[2001:db8::1]:80/x"},
	} {
		t.Run(r.in, func(t *testing.T) {
			t.Parallel()
			in := stripRow(r.in)
			if r.familiar == "" {
				r.familiar = in
			}
			got, err := Parse(in)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != r.full || got.Familiar() != r.familiar {
				t.Errorf("got %s, familiar %s, want %s, familiar %s", got, got.Familiar(), r.full, r.familiar)
			}
			checkParsed(t, in, got)
		})
	}
}

// stripRow takes the number of a row of the catalogue of bad input off.
func stripRow(s string) string {
	if before, after, ok := strings.Cut(s, " "); ok && len(before) == 3 && before[0] == 'B' {
		return after
	}
	return s
}

// checkParsed checks what holds of every reference that parsed.
func checkParsed(t *testing.T, in string, r Reference) {
	t.Helper()
	for _, form := range []string{r.String(), r.Familiar()} {
		if again, err := Parse(form); err != nil || again != r {
			t.Fatalf("%q is %s, but %q is %s: %v", in, r, form, again, err)
		}
	}
	if named, err := reference.ParseNormalizedNamed(r.String()); err != nil || named.String() != r.String() {
		t.Fatalf("%q is %s, which the library reads as %v: %v", in, r, named, err)
	}
	if _, err := digest.Parse(r.Familiar()); err == nil {
		t.Fatalf("%q is %s, which is a digest", in, r.Familiar())
	}
	if r.Domain() == "" || r.Name() != r.Domain()+"/"+r.Path() || ValidName(r.Path()) != nil {
		t.Fatalf("%q has domain %q and path %q", in, r.Domain(), r.Path())
	}
	if r.Tag() != "" && ValidTag(r.Tag()) != nil || r.Digest() != "" && r.Digest().Validate() != nil {
		t.Fatalf("%q has tag %q and digest %q", in, r.Tag(), r.Digest())
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const component = " in the repository is not lower-case letters and digits joined by one dot, one or two underscores or dashes"
	const label = " is not letters, digits and inner dashes, 1 to 63 of them"
	const character = ", which is not a letter, digit, underscore, dot or dash"
	for _, r := range []struct{ in, problem string }{
		{"", "it is empty"},
		{strings.Repeat("a/", 1000), "it has 2000 bytes of at most 1024"},
		{"https://example.com/x", "it is a URL; leave the scheme out"},

		{"B16 x:" + strings.Repeat("t", 129), "the tag has 129 bytes of at most 128"},
		{"B16 x:.t", `the tag begins with "."`},
		{"B16 x:-t", `the tag begins with "-"`},
		{"B16 x:a b", `the tag has " "` + character},
		{"B16 x:a%00", `the tag has "%"` + character},
		{"B16 x:a\x00", `the tag has "\x00"` + character},
		{"B16 x:\U0001f433", `the tag has "\U0001f433"` + character},
		{"B16 x:\u202egnp", `the tag has "\u202e"` + character},
		{"B16 x:caf\u00e9", `the tag has "\u00e9"` + character},
		{"B16 x:cafe\u0301", `the tag has "\u0301"` + character},
		{"B16 x:a\xff", `the tag has "\xff"` + character},
		{"B16 x:", "the tag is empty"},
		{"B16 x:a:b", `the tag has ":"` + character},
		{"B16 \u0430lpine", `"\u0430lpine"` + component},
		{"B16 docker.io/library/\u0430lpine", `"\u0430lpine"` + component},

		{"B17 Alpine", `"Alpine"` + component},
		{"B17 library/Alpine:x", `"Alpine"` + component},
		{"B17 Library/alpine", `"Library"` + component},
		{"B17 a//b", "a component of the repository is empty"},
		{"B17 /a", "a component of the repository is empty"},
		{"B17 a/", "a component of the repository is empty"},
		{"B17 example.com/", "the repository is empty"},
		{"B17 example.com//x", "a component of the repository is empty"},
		{"B17 a/../b", `".."` + component},
		{"B17 x/..", `".."` + component},
		{"B17 example.com/a/.", `"."` + component},
		{"B17 example.com/" + strings.Repeat("r", 256), "the repository has 256 bytes of at most 255"},
		{"B17 " + strings.Repeat("r", 250), "repository name must not be more than 255 characters"},
		{"B17 " + hex64, "the repository reads as an image ID"},
		{"B17 docker.io/library/" + hex64, "the repository reads as an image ID"},
		{"B17 library/" + hex64 + ":x", "the repository reads as an image ID"},
		{"B17 " + sha256, "it reads as a digest"},
		{"B17 docker.io/library/" + sha256, "it reads as a digest"},
		{"B17 x/a.", `"a."` + component},
		{"B17 a_", `"a_"` + component},
		{"B17 a__ _", `"a__ _"` + component},
		{"B17 a..b", `"a..b"` + component},
		{"B17 a___b", `"a___b"` + component},
		{"B17 -a", `"-a"` + component},
		{"a\n", `"a\n"` + component},
		{"a b", `"a b"` + component},
		{"a\\b", `"a\\b"` + component},
		{"a?b", `"a?b"` + component},

		{"B18 host:99999/x", `port "99999" is not a number from 1 to 65535`},
		{"B18 host:0/x", `port "0" is not a number from 1 to 65535`},
		{"B18 host:/x", `port "" is not a number from 1 to 65535`},
		{"B18 host:080/x", `port "080" is not a number from 1 to 65535`},
		{"B18 host:-1/x", `port "-1" is not a number from 1 to 65535`},
		{"B18 host:80:80/x", `port "80:80" is not a number from 1 to 65535`},
		{"B18 [::1%eth0]/x", `the IPv6 address "[::1%eth0]" has a zone, which means something on one machine only`},
		{"B18 [::1]80/x", `host "[::1]80" has text after the address`},
		{"B18 [::ffff:7f00:1]/x", `the IPv6 address "[::ffff:7f00:1]" is an IPv4 address; write it as one`},
		{"B18 [::::]/x", `"[::::]" is not an IPv6 address in brackets`},
		{"B18 [127.0.0.1]/x", `"[127.0.0.1]" is not an IPv6 address in brackets`},
		{"B18 [::1/x", `"[" in host "[" is not letters, digits and inner dashes, 1 to 63 of them`},
		{"B18 ::1/x", "the host is empty"},
		{"B18 example.com./x", `host "example.com." ends in a dot`},
		{"B18 .example.com/x", `"" in host ".example.com"` + label},
		{"B18 a..com/x", `"" in host "a..com"` + label},
		{"B18 -a.com/x", `"-a" in host "-a.com"` + label},
		{"B18 a_b.com/x", `"a_b" in host "a_b.com"` + label},
		{"B18 " + strings.Repeat("a", 64) + ".com/x", `"` + strings.Repeat("a", 64) + `" in host "` + strings.Repeat("a", 64) + `.com"` + label},
		{"B18 " + strings.Repeat("a.", 127) + "com/x", "the host has 257 bytes of at most 253"},
		{"B18 127.0.0.256/x", `host "127.0.0.256" is not an IPv4 address`},
		{"B18 127.1/x", `host "127.1" is not an IPv4 address`},
		{"B18 127.0.0.01/x", `host "127.0.0.01" is not an IPv4 address`},
		{"B18 \u0430pple.com/x", `host "\u0430pple.com" has characters that are not ASCII or not printable; a name in another script is written as punycode`},
		{"B18 example.com\u3002evil.com/x", `host "example.com\u3002evil.com" has characters that are not ASCII or not printable; a name in another script is written as punycode`},
		{"B18 exa mple.com/x", `host "exa mple.com" has characters that are not ASCII or not printable; a name in another script is written as punycode`},
		{"B18 \u212aelvin.com/x", `host "\u212aelvin.com" has characters that are not ASCII or not printable; a name in another script is written as punycode`},
	} {
		t.Run(quoted(r.in), func(t *testing.T) {
			t.Parallel()
			in := stripRow(r.in)
			want := "reference " + quoted(in) + ": " + r.problem + ": invalid argument"
			got, err := Parse(in)
			if !errdefs.IsInvalidArgument(err) || err.Error() != want || got != (Reference{}) {
				t.Errorf("got %s, error\n     %v\nwant %s", got, err, want)
			}
		})
	}
}

func TestParseRefusesDigests(t *testing.T) {
	t.Parallel()
	const none = "reference: what follows the @ is not a digest (not shown: a user name and password do not belong here): invalid argument"
	for _, r := range []struct{ in, err string }{
		{"B09 x@sha256:", `reference: digest "sha256:": want 64 lower-case hex characters: invalid argument`},
		{"B09 x@sha256:abc", `reference: digest "sha256:abc": want 64 lower-case hex characters: invalid argument`},
		{"B09 x@" + strings.ToUpper(hex64), none},
		{"B09 x@sha256:" + strings.ToUpper(hex64), `reference: digest "sha256:` + strings.ToUpper(hex64) + `": want 64 lower-case hex characters: invalid argument`},
		{"B09 x@sha512:" + hex64, `reference: digest "sha512:` + hex64 + `": want 128 lower-case hex characters: invalid argument`},
		{"B09 x@", none},
		{"B09 x@" + hex64, none},
		{"B10 x@sha256:../../etc/passwd", none},
		{"B10 x@sha256:%2e\x00", `reference: digest "sha256:%2e\x00": want 64 lower-case hex characters: invalid argument`},
		{"B11 x@md5:" + hex64[:32], `reference: digest algorithm "md5" is none of sha256, sha384, sha512: not implemented`},
		{"B11 x@blake3:" + hex64, `reference: digest algorithm "blake3" is none of sha256, sha384, sha512: not implemented`},
		{"B11 x@multihash+base58:" + strings.Repeat("Q", 46), `reference: digest algorithm "multihash+base58" is none of sha256, sha384, sha512: not implemented`},
		{"x:latest@" + sha256 + "@" + sha256, none},
		{"x@" + sha256 + ":latest", `reference: digest "` + sha256 + `:latest": want 64 lower-case hex characters: invalid argument`},
		{"@" + sha256, `reference "": it is empty: invalid argument`},
	} {
		t.Run(quoted(r.in), func(t *testing.T) {
			t.Parallel()
			got, err := Parse(stripRow(r.in))
			if err == nil || err.Error() != r.err || got != (Reference{}) {
				t.Fatalf("got %s, error\n     %v\nwant %s", got, err, r.err)
			}
			if errdefs.IsNotImplemented(err) == errdefs.IsInvalidArgument(err) {
				t.Errorf("one kind wanted: %v", err)
			}
		})
	}
}

// TestParseHidesCredentials: nothing of a user name or password comes back.
func TestParseHidesCredentials(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"captain:s3cret@example.com/x", "captain:s3cret@example.com:5000/x:y", "captain:s3cret@host", "captain:s3cret@host:5000", "https://captain:s3cret@example.com/x",
		"captain:p@s3cret@example.com/x", "captain:p@s3cret:x@host/y", "captain:s3cret@sha256:x/y", "captain@s3cret@" + sha256, "captain:s3cret@[::1]:5000/x", "captain:p@sha256:s3cret@host/x",
		"captain:s3cret@example.com/x@" + sha256, "captain:s3cret/x@host/y", "captain:p@s3cret",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(in)
			if !errdefs.IsInvalidArgument(err) || strings.Contains(err.Error(), "captain") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParseErrorIsShort(t *testing.T) {
	t.Parallel()
	for _, in := range []string{strings.Repeat("\u202e", 1<<20), "x@sha256:" + strings.Repeat("\x00", 1<<20), "x@" + strings.Repeat("a", 1<<20) + ":" + hex64, "a/" + strings.Repeat("\x00", 1000)} {
		_, err := Parse(in)
		if err == nil || len(err.Error()) > 2500 || strings.Contains(err.Error(), "\u202e") {
			t.Errorf("%.3000v", err)
		}
	}
}
