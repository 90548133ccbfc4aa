package platform

import (
	"testing"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const service = "s390=linux/s390x none=- amd=linux/amd64 v6=linux/arm/v6 a64=linux/arm64/v8 v7=linux/arm/v7 i386=linux/386 unsaid=linux/arm win=windows(10.0.17763.1)/amd64 att=unknown/unknown;attestation"

// TestStrictOperations: get and list take the same platform in any spelling.
func TestStrictOperations(t *testing.T) {
	t.Parallel()
	testRows(t, []row{
		{name: "asked", op: Get, asked: "linux/arm64", entries: service, want: "a64"},
		{name: "no 386 for amd64", op: Get, asked: "linux/amd64", entries: service, want: "amd"},
		{name: "no 386 with compatible either", op: Get, asked: "linux/amd64", opts: Options{Compatible: true}, entries: service, want: "amd"},
		{name: "an unsaid variant is the default", op: Get, asked: "linux/arm/v7", entries: service, want: "v7 unsaid"},
		{name: "no less capable variant", op: Get, asked: "linux/arm/v5", entries: "v4=linux/arm/v4 none=-",
			err: "no instance for linux/arm/v5 (there are: linux/arm/v4, 1 without a platform)"},
		{name: "B35 twice: document order", op: Get, asked: "linux/amd64", entries: "b=linux/amd64 a=linux/amd64", want: "b a"},
		{name: "zstd is no preference here", op: Get, asked: "linux/amd64", entries: "a=linux/amd64 b=linux/amd64;zstd", want: "a b"},
		{name: "more features first", op: Get, asked: "linux(+x)/amd64", entries: "a=linux/amd64 b=linux(+x)/amd64", want: "b a"},
		{name: "alias", op: List, asked: "linux/x86_64", entries: service, want: "amd"},
		{name: "strict", op: List, asked: "linux/arm/v8", entries: service,
			err: "no instance for linux/arm/v8 (there are: linux/s390x, linux/amd64, linux/arm/v6, linux/arm64/v8, linux/arm/v7, linux/386, linux/arm, windows(10.0.17763.1)/amd64, 1 without a platform)"},
	})
}

// TestCompatibleOperations: the rest of the service takes what the CPU can run.
func TestCompatibleOperations(t *testing.T) {
	t.Parallel()
	testRows(t, []row{
		{name: "the same platform first", op: Manifest, asked: "linux/amd64", entries: service, want: "amd i386"},
		{name: "386 alone", op: Manifest, asked: "linux/amd64", entries: "z=linux/s390x i=linux/386", want: "i"},
		{name: "variants from the most capable down", op: History, asked: "linux/arm/v8", entries: service, want: "v7 unsaid v6"},
		{name: "then 32 bits", op: Pull, asked: "linux/arm64", entries: service, want: "a64 v7 unsaid v6"},
		{name: "an unsaid variant is the default", op: Pull, asked: "linux/arm/v6", entries: service, want: "v6"},
		{name: "never one without a platform", op: Pull, asked: "linux/riscv64", entries: "none=- empty={}",
			err: "no instance for linux/riscv64 (there are: 2 without a platform)"},
		{name: "a variant that would count for hours", op: Pull, asked: "linux/amd64/v999999999", entries: service + " same=linux/amd64/v999999999", want: "same"},
		{name: "an arm64 variant that no table knows", op: Manifest, asked: "linux/arm64/v10", entries: "a=linux/arm64/v10 b=linux/arm64", want: "a"},
		{name: "an attestation of the platform", op: Manifest, asked: "linux/amd64", entries: "x=linux/amd64;attestation a=linux/amd64", want: "a"},
	})
}

func TestClassic(t *testing.T) {
	t.Parallel()
	testRows(t, []row{
		{name: "compatible", op: Classic, asked: "linux/arm64", entries: service, want: "a64 v7 unsaid v6"},
		{name: "an unsaid variant fits any, after those that say it", op: Classic, asked: "linux/arm/v6", entries: service, want: "v6 unsaid"},
		{name: "also a variant of its own", op: Classic, asked: "linux/arm/custom", entries: service, want: "unsaid"},
		{name: "a variant that is said must fit", op: Classic, asked: "linux/arm/v5", entries: "a=linux/arm/v6", err: "no instance for linux/arm/v5 (there are: linux/arm/v6)"},
		{name: "operating system and architecture must be equal", op: Classic, asked: "linux/riscv64", entries: "a=linux/arm w=windows/riscv64",
			err: "no instance for linux/riscv64 (there are: linux/arm, windows/riscv64)"},
		{name: "aliases there too", op: Classic, asked: "linux/arm64/v10", entries: "a=linux/aarch64", want: "a"},
		{name: "Windows builds are not looked at without a variant", op: Classic, asked: "windows(10.0.14393.1)/amd64", entries: service, want: "win"},
		{name: "none asked: anything but the unknown", op: Classic, entries: "u=unknown/unknown z=linux/s390x a=linux/amd64 none=- att=linux/amd64;attestation", want: "z a none"},
		{name: "a config without a system is one for linux", op: Classic, asked: "linux/amd64", entries: "a=/amd64", want: "a"},
		{name: "unknown beside the right system", op: Classic, asked: "linux/unknown", entries: "a=linux/unknown", err: "no instance for linux/unknown (there are: none)"},
	})
}

// TestNoneAsked: what Host can run comes first, whatever the host is.
func TestNoneAsked(t *testing.T) {
	t.Parallel()
	host := Format(Host())
	foreign := "linux/s390x"
	if Host().Architecture == "s390x" {
		foreign = "linux/ppc64le"
	}
	entries := "f=" + foreign + " none=- u=unknown/unknown half=linux/ w=windows/amd64 h=" + host + " att=" + host + ";attestation"
	testRows(t, []row{
		{name: "host first, then all", op: Get, entries: entries, want: "h f none half w"},
		{name: "host first, then all", op: Manifest, entries: entries, want: "h f none half w"},
		{name: "host first, then all", op: History, entries: entries, want: "h f none half w"},
		{name: "host first, then all", op: List, entries: entries, want: "h f none half w"},
		{name: "host only", op: Pull, entries: entries, want: "h"},
		{name: "host, then what has no platform", op: CopyOne, entries: entries, want: "h none"},
		{name: "foreign only", op: Get, entries: "f=" + foreign, want: "f"},
		{name: "foreign only", op: Pull, entries: "f=" + foreign, err: "no instance for " + host + " (there are: " + foreign + ")"},
	})
}

// TestMatcherIsWeakOrder checks what sorting needs of every Less, over platforms
// that differ in everything that counts: of three, ties and orders carry over.
func TestMatcherIsWeakOrder(t *testing.T) {
	t.Parallel()
	var all []ocispec.Platform
	for _, s := range []string{
		"{}", "linux/amd64", "linux/x86_64", "linux/amd64/v1", "linux/amd64/v2", "linux/amd64/v3", "linux/386", "linux(+x)/amd64", "linux(+x+y)/amd64/v2",
		"linux/arm64", "linux/arm64/v8", "linux/arm64/v9", "linux/arm", "linux/armhf", "linux/arm/v5", "linux/arm/v7", "linux/arm/custom", "linux(+x)/arm",
		"windows/amd64", "windows(10.0.17763.1)/amd64", "windows(10.0.17763.2)/amd64/v2", "windows(10.0.20348.1+win32k)/amd64", "windows(10.0.26100.1)/386",
		"windows(10.0.26100.1)/amd64", "windows(junk)/amd64", "linux/", "/amd64", "unknown/unknown",
	} {
		all = append(all, *rawPlatform(s))
	}
	for op := CopyOne; op <= Classic; op++ {
		for _, asked := range []string{"linux/amd64/v3", "linux(+x+y)/amd64", "linux/arm64/v9", "linux/arm/v7", "windows(10.0.26100.1)/amd64/v2", "windows/amd64"} {
			m, err := Matcher(op, rawPlatform(asked), Options{Compatible: true})
			if err != nil {
				t.Fatal(err)
			}
			checkWeakOrder(t, op.String()+" of "+asked, m, all)
		}
		if m, err := Matcher(op, nil, Options{}); err == nil {
			checkWeakOrder(t, op.String()+" of none", m, all)
		}
	}
}

func checkWeakOrder(t *testing.T, what string, m platforms.MatchComparer, all []ocispec.Platform) {
	t.Helper()
	var in []ocispec.Platform
	for _, p := range all {
		if m.Match(p) {
			in = append(in, p)
		}
	}
	for _, a := range in {
		for _, b := range in {
			if m.Less(a, b) && m.Less(b, a) {
				t.Errorf("%s: %s and %s are both less", what, Format(a), Format(b))
			}
			for _, c := range in {
				if m.Less(a, b) && !m.Less(a, c) && !m.Less(c, b) {
					t.Errorf("%s: %s before %s, but %s has no place", what, Format(a), Format(b), Format(c))
				}
			}
		}
	}
}
