package platform

import (
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const (
		unknownWord = "neither an operating system nor an architecture that is known"
		badForm     = "not of the form os[(version[+feature])]/architecture[/variant]"
		badStart    = "each part must begin with a letter or digit"
		badText     = "unprintable characters or invalid UTF-8 in the OS version or a feature"
	)
	type p = ocispec.Platform
	for _, r := range []struct {
		in   string
		want p
		err  string // what is wrong
	}{
		{in: "linux/amd64", want: p{OS: "linux", Architecture: "amd64"}},
		{in: "linux/arm64/v8", want: p{OS: "linux", Architecture: "arm64", Variant: "v8"}},
		{in: "linux/arm64/v9.2", want: p{OS: "linux", Architecture: "arm64", Variant: "v9.2"}},
		{in: "linux/arm/7", want: p{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{in: "linux/arm", want: p{OS: "linux", Architecture: "arm"}},
		{in: "linux/brandnew/x", want: p{OS: "linux", Architecture: "brandnew", Variant: "x"}},
		{in: "windows(10.0.17763.1)/amd64", want: p{OS: "windows", OSVersion: "10.0.17763.1", Architecture: "amd64"}},
		{in: "windows(10.0.17763.1+win32k)/amd64", want: p{OS: "windows", OSVersion: "10.0.17763.1", OSFeatures: []string{"win32k"}, Architecture: "amd64"}},
		{in: "linux(+b+a)/amd64", want: p{OS: "linux", OSFeatures: []string{"b", "a"}, Architecture: "amd64"}},
		{in: "linux(a%2Fb+c%20d)/amd64", want: p{OS: "linux", OSVersion: "a/b", OSFeatures: []string{"c d"}, Architecture: "amd64"}},
		{in: "unknown/unknown", want: p{OS: "unknown", Architecture: "unknown"}},
		// Lone architectures are linux's on every host.
		{in: "amd64", want: p{OS: "linux", Architecture: "amd64"}},
		{in: "x86_64", want: p{OS: "linux", Architecture: "amd64"}},
		{in: "x86-64", want: p{OS: "linux", Architecture: "amd64"}},
		{in: "aarch64", want: p{OS: "linux", Architecture: "arm64"}},
		{in: "AArch64", want: p{OS: "linux", Architecture: "arm64"}},
		{in: "armhf", want: p{OS: "linux", Architecture: "arm"}},
		{in: "armel", want: p{OS: "linux", Architecture: "arm", Variant: "v6"}},
		{in: "i386", want: p{OS: "linux", Architecture: "386"}},
		{in: "386", want: p{OS: "linux", Architecture: "386"}},
		{in: "s390x", want: p{OS: "linux", Architecture: "s390x"}},
		{in: "linux/x86_64", want: p{OS: "linux", Architecture: "amd64"}},
		{in: "Linux/ARMHF", want: p{OS: "linux", Architecture: "arm"}},
		{in: "macos/aarch64", want: p{OS: "darwin", Architecture: "arm64"}},
		{in: strings.Repeat("a", 253) + "/b", want: p{OS: strings.Repeat("a", 253), Architecture: "b"}},

		{in: "", err: "it is empty"},
		{in: " ", err: badStart},
		{in: strings.Repeat("a", 254) + "/b", err: "it has 256 bytes of at most 255"},
		{in: "foobar", err: unknownWord},
		{in: "unknown", err: unknownWord},
		{in: "foo.bar", err: unknownWord},
		{in: "i\u0456386", err: badForm},
		{in: "linux/", err: badStart},
		{in: "/amd64", err: badStart},
		{in: "linux//v7", err: badStart},
		{in: "linux/..", err: badStart},
		{in: "../amd64", err: badStart},
		{in: "linux/-x", err: badStart},
		{in: "linux/amd64/v1/x", err: badForm},
		{in: "linux /amd64", err: badForm},
		{in: "linux/am d64", err: badForm},
		{in: "linux/amd64\n", err: badForm},
		{in: "linux/amd64\x00", err: badForm},
		{in: "l\x1b[31minux/amd64", err: badForm},
		{in: "linux/\xff", err: badStart},
		{in: "linux/\u202eamd64", err: badStart},
		{in: "linux/\uff41md64", err: badStart},
		{in: "linux/*", err: badStart},
		{in: "linux/a*", err: badForm},
		{in: "linux,windows", err: badForm},
		{in: "windows(10.0/amd64", err: badForm},
		{in: "windows10.0)/amd64", err: badForm},
		{in: "windows(10.0)x/amd64", err: badForm},
		{in: "windows(1(2))/amd64", err: badForm},
		{in: "windows(%zz)/amd64", err: badForm},
		{in: "linux(++a)/amd64", err: badForm},
		{in: "amd64(10.0)", err: badForm},
		{in: "windows(%00)/amd64", err: badText},
		{in: "windows(%0a)/amd64", err: badText},
		{in: "linux(1+%1b)/amd64", err: badText},
		{in: "linux(%ff)/amd64", err: badText},
		{in: "linux(%e2%80%ae)/amd64", err: badText},
	} {
		t.Run(quoted(r.in), func(t *testing.T) {
			t.Parallel()
			got, err := Parse(r.in)
			if r.err != "" {
				want := "platform " + quoted(r.in) + ": " + r.err + ": invalid argument"
				if !errdefs.IsInvalidArgument(err) || err.Error() != want {
					t.Errorf("error\n got %v\nwant %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseLoneSystemHasHostArchitecture(t *testing.T) {
	t.Parallel()
	for in, os := range map[string]string{"linux": "linux", "Windows": "windows", "macos": "darwin", "freebsd(14.1)": "freebsd"} {
		p, err := Parse(in)
		if err != nil || p.OS != os || p.Architecture != runtime.GOARCH {
			t.Errorf("%s: got %s, %v", in, Format(p), err)
		}
	}
}

func TestParseErrorIsShort(t *testing.T) {
	t.Parallel()
	_, err := Parse(strings.Repeat("\u202e", 1<<20))
	if err == nil || len(err.Error()) > 1024 || strings.Contains(err.Error(), "\u202e") {
		t.Errorf("%.2000v", err)
	}
}

func TestParseList(t *testing.T) {
	t.Parallel()
	for _, r := range []struct{ name, in, want string }{
		{"one", "linux/amd64", "linux/amd64"},
		{"several, in order", "linux/s390x,linux/amd64", "linux/s390x linux/amd64"},
		{"space around items", " linux/amd64 ,\tlinux/arm64\n", "linux/amd64 linux/arm64"},
		{"duplicates in any spelling", "linux/amd64,x86_64,linux/arm64/v8,aarch64,linux/arm,linux/arm/v7,linux/amd64/v1", "linux/amd64 linux/arm64/v8 linux/arm"},
		{"the order of features does not count", "linux(+a+b)/amd64,linux(+b+a)/amd64", "linux(+a+b)/amd64"},
		{"versions count", "windows(10.0.1)/amd64,windows(10.0.2)/amd64", "windows(10.0.1)/amd64 windows(10.0.2)/amd64"},
		{"empty", "", ""},
		{"empty item", "linux/amd64,,linux/arm64", ""},
		{"empty last item", "linux/amd64,", ""},
		{"bad item", "linux/amd64,foobar", ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			list, err := ParseList(r.in)
			if r.want == "" {
				if !errdefs.IsInvalidArgument(err) || list != nil {
					t.Errorf("got %v, %v", list, err)
				}
				return
			}
			var got []string
			for _, p := range list {
				got = append(got, Format(p))
			}
			if strings.Join(got, " ") != r.want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, r.want)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]ocispec.Platform{
		"linux/amd64":                {OS: "linux", Architecture: "amd64"},
		"Linux/x86_64/v1":            {OS: "Linux", Architecture: "x86_64", Variant: "v1"},
		"unknown/unknown":            {},
		"unknown/arm/v7":             {Architecture: "arm", Variant: "v7"},
		"linux/unknown/v7":           {OS: "linux", Variant: "v7"},
		"windows(10.0.1+b+a)/amd64":  {OS: "windows", OSVersion: "10.0.1", OSFeatures: []string{"b", "", "a"}, Architecture: "amd64"},
		"linux(+a)/amd64":            {OS: "linux", OSFeatures: []string{"a"}, Architecture: "amd64"},
		"linux(a%2Fb%25%2B%0A)/..":   {OS: "linux", OSVersion: "a/b%+\n", Architecture: ".."},
		"a/../linux/amd64":           {OS: "a/../linux", Architecture: "amd64"},
		"darwin(%C3%A9)/arm64/v8/v9": {OS: "darwin", OSVersion: "\u00e9", Architecture: "arm64", Variant: "v8/v9"},
	} {
		if got := Format(p); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	h := Host()
	if h.OS != "linux" || h.Architecture != runtime.GOARCH || h.OSVersion != "" || h.Variant == "unknown" {
		t.Errorf("got %+v", h)
	}
}

// FuzzParse: what is parsed and printed parses to the same, normalised or not;
// and no text makes an error of another kind or of any length.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"linux/amd64", "linux/arm/v7", "linux/arm64/v8", "aarch64", "armhf", "linux", "macos/arm64", "windows(10.0.17763.1+win32k)/amd64",
		"linux(%25+%2B)/x", "linux(+)/a", "linux(++)/a", "a/b/c/d", "unknown/unknown", "", "\x00", "linux/..", "i386/v1", "linux/i386/v1", "linux(+a+a)/amd64",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) || len(err.Error()) > 1500 {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		text := Format(p)
		if len(text) > maxSpecifier {
			return // escapes can be longer than what they were written as
		}
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q printed as %q: %v", s, text, err)
		}
		if diff := cmp.Diff(canonical(p), canonical(again)); diff != "" {
			t.Fatalf("%q printed as %q: %s", s, text, diff)
		}
		if twice := Format(again); twice != text {
			t.Fatalf("%q printed as %q, then as %q", s, text, twice)
		}
		if p.OS == "unknown" || p.Architecture == "unknown" {
			return
		}
		if _, err := Select(CopySeveral, &p, []ocispec.Descriptor{{Platform: &again}}, Options{}); err != nil {
			t.Fatalf("%q does not match itself: %v", s, err)
		}
	})
}
