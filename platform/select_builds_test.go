package platform

import "testing"

// winEntries: two revisions of four builds, 386 among them, and one entry that does
// not say its version.
const winEntries = "none=windows/amd64 r1=windows(10.0.17763.1)/amd64 r9=windows(10.0.17763.900)/amd64 r10=windows(10.0.17763.1000)/amd64 " +
	"w22=windows(10.0.20348.5)/amd64 w22b=windows(10.0.20348.6)/amd64 w25=windows(10.0.26100.1)/amd64 l=linux/amd64 arm=windows(10.0.17763.1)/arm64"

func TestCopyOneWindows(t *testing.T) {
	t.Parallel()
	compatible := Options{Compatible: true}
	testRows(t, []row{
		{name: "the exact build, then the newest of its base", asked: "windows(10.0.17763.900)/amd64", entries: winEntries, want: "r9 r10 r1 none"},
		{name: "no exact build", asked: "windows(10.0.17763.5)/amd64", entries: winEntries, want: "r10 r9 r1 none"},
		{name: "asked for the base alone", asked: "windows(10.0.17763)/amd64", entries: winEntries, want: "r10 r9 r1 none"},
		{name: "an exact build that is the oldest", asked: "windows(10.0.17763.1)/amd64", entries: winEntries, want: "r1 r10 r9 none"},
		{name: "not asked: newest first", asked: "windows/amd64", entries: winEntries, want: "w25 w22b w22 r10 r9 r1 none"},
		{name: "another base is no match", asked: "windows(10.0.14393.1)/amd64", entries: "r1=windows(10.0.17763.1)/amd64",
			err: "no instance for windows(10.0.14393.1)/amd64 (there are: windows(10.0.17763.1)/amd64)"},
		{name: "another base, but one that does not say", asked: "windows(10.0.14393.1)/amd64", entries: winEntries, want: "none"},
		{name: "an older LTSC build does not count", asked: "windows(10.0.26100.1)/amd64", entries: winEntries, want: "w25 none"},
		{name: "an older LTSC build on request, after the base", asked: "windows(10.0.26100.7)/amd64", opts: compatible, entries: winEntries, want: "w25 w22b w22 none"},
		{name: "a build between LTSC ones, on request", asked: "windows(10.0.25398.1)/amd64", opts: compatible, entries: winEntries, want: "w22b w22 none"},
		{name: "no stable ABI before 2022, even on request", asked: "windows(10.0.19041.1)/amd64", opts: compatible, entries: winEntries, want: "none"},
		{name: "a newer build never", asked: "windows(10.0.20348.1)/amd64", opts: compatible, entries: "w25=windows(10.0.26100.1)/amd64",
			err: "no instance for windows(10.0.20348.1)/amd64 (there are: windows(10.0.26100.1)/amd64)"},
		{name: "revisions are numbers", asked: "windows(10.0.20348)/amd64", entries: "a=windows(10.0.20348.9)/amd64 b=windows(10.0.20348.10)/amd64", want: "b a"},
		{name: "a fifth number does not count", asked: "windows(10.0.20348)/amd64", entries: "a=windows(10.0.20348.9.9)/amd64 b=windows(10.0.20348.9)/amd64", want: "a b"},
		{name: "builds are numbers", asked: "windows/amd64", entries: "a=windows(10.0.9999.1)/amd64 b=windows(10.0.17763.1)/amd64", want: "b a"},
		{name: "a version that is none matches itself only", asked: "windows(ltsc2022)/amd64", entries: winEntries + " x=windows(ltsc2022)/amd64", want: "x none"},
		{name: "nor with compatible", asked: "windows(ltsc2022)/amd64", opts: compatible, entries: winEntries, want: "none"},
		{name: "an entry whose version is none", asked: "windows(10.0.17763.1)/amd64", entries: "x=windows(1809)/amd64 y=windows(10.0.99999.1)/amd64 r1=windows(10.0.17763.1)/amd64", want: "r1"},
		{name: "not asked: a version that is none comes before saying nothing", asked: "windows/amd64", entries: "none=windows/amd64 x=windows(1809)/amd64 r1=windows(10.0.17763.1)/amd64", want: "r1 x none"},
		{name: "another architecture", asked: "windows(10.0.17763.1)/arm64", entries: winEntries, want: "arm"},
		{name: "the version before the variant", asked: "windows(10.0.17763.9)/amd64/v2",
			entries: "a=windows(10.0.17763.1)/amd64/v2 b=windows(10.0.17763.9)/amd64", want: "b a"},
		{name: "the architecture before the version", asked: "windows(10.0.17763.9)/amd64", opts: compatible,
			entries: "a=windows(10.0.17763.9)/386 b=windows(10.0.17763.1)/amd64", want: "b a"},
		{name: "equal builds: zstd first", asked: "windows(10.0.17763)/amd64", entries: "a=windows(10.0.17763.1)/amd64 b=windows(10.0.17763.1+win32k)/amd64;zstd", want: "b a"},
	})
}

func TestCopySeveralWindows(t *testing.T) {
	t.Parallel()
	testRows(t, []row{
		{name: "the base, in document order", op: CopySeveral, asked: "windows(10.0.17763.900)/amd64", entries: winEntries, want: "none r1 r9 r10"},
		{name: "not asked: every version", op: CopySeveral, asked: "windows/amd64", entries: winEntries, want: "none r1 r9 r10 w22 w22b w25"},
		{name: "no older LTSC build", op: CopySeveral, asked: "windows(10.0.26100.1)/amd64", entries: winEntries, want: "none w25"},
		{name: "older LTSC builds on request", op: CopySeveral, asked: "windows(10.0.26100.1)/amd64", opts: Options{Compatible: true}, entries: winEntries, want: "none w22 w22b w25"},
	})
}

// TestServiceWindows: the service leaves versions to containerd/platforms.
func TestServiceWindows(t *testing.T) {
	t.Parallel()
	testRows(t, []row{
		{name: "what the host can run, in document order", op: Get, asked: "windows(10.0.26100.1)/amd64", entries: winEntries, want: "none w22 w22b w25"},
		{name: "before 2022 the build only", op: Pull, asked: "windows(10.0.17763.900)/amd64", entries: winEntries, want: "none r1 r9 r10"},
		{name: "a version that is none restricts nothing", op: Manifest, asked: "windows(ltsc2022)/amd64", entries: winEntries, want: "none r1 r9 r10 w22 w22b w25"},
	})
}
