package platform

import "testing"

// TestCopyOne: the architecture asked for, its variants from the most capable
// down, then an entry that does not say its variant, then one without platform.
func TestCopyOne(t *testing.T) {
	t.Parallel()
	const (
		arm = "amd=linux/amd64 v5=linux/arm/v5 none=- v7=linux/arm/v7 unsaid=linux/arm v6=linux/arm/v6 v8=linux/arm/v8 a64=linux/arm64"
		amd = "i=linux/386 v3=linux/amd64/v3 unsaid=linux/amd64 v1=linux/amd64/v1 none=- v2=linux/amd64/v2 v4=linux/amd64/v4"
		a64 = "v92=linux/arm64/v9.2 v8=linux/arm64/v8 unsaid=linux/arm64 v82=linux/arm64/v8.2 v9=linux/arm64/v9 v87=linux/arm64/v8.7 v88=linux/arm64/v8.8 arm=linux/arm/v7"
		one = "amd=linux/amd64 arm=linux/arm64 z=linux/s390x"
	)
	compatible := Options{Compatible: true}
	testRows(t, []row{
		{name: "plain", asked: "linux/arm64", entries: one, want: "arm"},
		{name: "arm v8", asked: "linux/arm/v8", entries: arm, want: "v8 v7 v6 v5 unsaid none"},
		{name: "arm v7", asked: "linux/arm/v7", entries: arm, want: "v7 v6 v5 unsaid none"},
		{name: "arm v6", asked: "linux/arm/v6", entries: arm, want: "v6 v5 unsaid none"},
		{name: "arm v5", asked: "linux/arm/v5", entries: arm, want: "v5 unsaid none"},
		{name: "arm without variant is v7", asked: "linux/arm", entries: arm, want: "v7 v6 v5 unsaid none"},
		{name: "armhf is v7", asked: "linux/armhf", entries: arm, want: "v7 v6 v5 unsaid none"},
		{name: "armel is v6", asked: "linux/armel", entries: arm, want: "v6 v5 unsaid none"},
		{name: "arm variant as a bare number", asked: "linux/arm/6", entries: arm, want: "v6 v5 unsaid none"},
		{name: "a variant of its own", asked: "linux/arm/custom", entries: "c=linux/arm/custom v7=linux/arm/v7 unsaid=linux/arm", want: "c unsaid"},
		{name: "a variant of its own that is not there", asked: "linux/arm/custom", entries: arm, want: "unsaid none"},

		{name: "amd64", asked: "linux/amd64", entries: amd, want: "v1 unsaid none"},
		{name: "amd64 v1", asked: "linux/amd64/v1", entries: amd, want: "v1 unsaid none"},
		{name: "amd64 v2", asked: "linux/amd64/v2", entries: amd, want: "v2 v1 unsaid none"},
		{name: "amd64 v3", asked: "linux/amd64/v3", entries: amd, want: "v3 v2 v1 unsaid none"},
		{name: "amd64 v4", asked: "linux/amd64/v4", entries: amd, want: "v4 v3 v2 v1 unsaid none"},
		{name: "amd64 of the future", asked: "linux/amd64/v5", entries: amd, want: "v4 v3 v2 v1 unsaid none"},
		{name: "a variant that would count for hours", asked: "linux/amd64/v999999999", entries: amd + " same=linux/amd64/v999999999", want: "same unsaid none"},
		{name: "an arm variant that would count for hours", asked: "linux/arm/v999999999", entries: arm, want: "unsaid none"},
		{name: "no 386 for amd64", asked: "linux/amd64", entries: "i=linux/386 a=linux/arm64", err: "no instance for linux/amd64 (there are: linux/386, linux/arm64)"},
		{name: "386 for amd64 on request, but last", asked: "linux/amd64", opts: compatible, entries: amd, want: "v1 unsaid i none"},
		{name: "386 for a variant of amd64", asked: "linux/amd64/v3", opts: compatible, entries: "i=linux/386 unsaid=linux/amd64 v2=linux/amd64/v2", want: "v2 unsaid i"},
		{name: "arm without variant for a variant of arm64", asked: "linux/arm64/v9", opts: compatible, entries: "unsaid=linux/arm v6=linux/arm/v6", want: "v6 unsaid"},
		{name: "386 alone on request", asked: "linux/amd64", opts: compatible, entries: "i=linux/i386 a=linux/arm64", want: "i"},
		{name: "386 asked", asked: "linux/386", entries: "a=linux/amd64 i=linux/i386 j=linux/386", want: "i j"},

		{name: "arm64 v9.2", asked: "linux/arm64/v9.2", entries: a64, want: "v92 v9 v87 v82 v8 unsaid"},
		{name: "arm64 v9", asked: "linux/arm64/v9", entries: a64, want: "v9 v82 v8 unsaid"},
		{name: "arm64 v8.7", asked: "linux/arm64/v8.7", entries: a64, want: "v87 v82 v8 unsaid"},
		{name: "arm64 is v8", asked: "linux/arm64", entries: a64, want: "v8 unsaid"},
		{name: "arm64 of the future", asked: "linux/arm64/v10", entries: a64 + " v10=linux/arm64/v10", want: "v10 unsaid"},
		{name: "aarch64", asked: "linux/aarch64/8", entries: a64, want: "v8 unsaid"},
		{name: "no arm for arm64", asked: "linux/arm64", entries: "v7=linux/arm/v7 v8=linux/arm/v8",
			err: "no instance for linux/arm64 (there are: linux/arm/v7, linux/arm/v8)"},
		{name: "arm for arm64 on request", asked: "linux/arm64", opts: compatible,
			entries: "none=- unsaid=linux/arm v7=linux/arm/v7 v8=linux/arm/v8 a64=linux/arm64 amd=linux/amd64", want: "a64 v8 v7 unsaid none"},
		{name: "no arm64 for arm", asked: "linux/arm/v8", opts: compatible, entries: "a=linux/arm64/v8", err: "no instance for linux/arm/v8 (there are: linux/arm64/v8)"},

		{name: "a variant of riscv64", asked: "linux/riscv64/rva23u64", entries: "u=linux/riscv64 a=linux/riscv64/rva20u64 b=linux/riscv64/rva23u64", want: "b u"},
		{name: "riscv64 without variant takes none that says one", asked: "linux/riscv64", entries: "a=linux/riscv64/rva23u64", err: "no instance for linux/riscv64 (there are: linux/riscv64/rva23u64)"},
		{name: "an architecture nobody knows", asked: "linux/brandnew", entries: "a=linux/amd64 b=linux/brandnew", want: "b"},

		{name: "another system", asked: "linux/amd64", entries: "w=windows/amd64 f=freebsd/amd64", err: "no instance for linux/amd64 (there are: windows/amd64, freebsd/amd64)"},
		{name: "macos is darwin", asked: "macos/arm64", entries: "l=linux/arm64 d=darwin/arm64", want: "d"},
		{name: "case does not count", asked: "Linux/AMD64", entries: "a=LINUX/X86_64 b=linux/amd64", want: "a b"},
		{name: "spellings rank the same", asked: "linux/x86-64", entries: "a=linux/amd64 b=linux/x86_64 c=linux/x86-64", want: "a b c"},
		{name: "the architecture can say the variant", asked: "linux/arm/v7", entries: "u=linux/arm l=linux/armel h=linux/armhf", want: "h l u"},
		{name: "linux does not look at os.version", asked: "linux/amd64", entries: "a=linux(6.1)/amd64 b=linux/amd64 c=linux(6.2)/amd64", want: "a b c"},

		{name: "an entry without a platform alone", asked: "linux/amd64", entries: "a=-", want: "a"},
		{name: "B33 an empty platform is none", asked: "linux/amd64", entries: "a={} b=- c=linux/amd64", want: "c a b"},
		{name: "B33 unknown/unknown is never chosen", asked: "linux/amd64", entries: "u=unknown/unknown a=linux/amd64 v=UNKNOWN/Unknown", want: "a"},
		{name: "B33 half unknown is never chosen", asked: "linux/amd64", entries: "u=unknown/amd64 v=linux/unknown", err: "no instance for linux/amd64 (there are: none)"},
		{name: "unknown cannot be asked for", asked: "unknown/unknown", entries: "u=unknown/unknown", err: "no instance for unknown/unknown (there are: none)"},
		{name: "an attestation is never chosen", asked: "linux/amd64", entries: "x=-;attestation y=linux/amd64;attestation a=linux/amd64", want: "a"},
		{name: "a missing system is linux", asked: "linux/amd64", entries: "w=windows/amd64 a=/amd64", want: "a"},
		{name: "a missing system asked is linux", asked: "/arm64", entries: one, want: "arm"},
		{name: "a missing architecture matches nothing", asked: "linux/amd64", entries: "a=linux/", err: "no instance for linux/amd64 (there are: linux/unknown)"},
		{name: "B35 the same platform twice: document order", asked: "linux/amd64", entries: "b=linux/amd64 a=linux/amd64", want: "b a"},
	})
}

func TestCopyOneFeatures(t *testing.T) {
	t.Parallel()
	testRows(t, []row{
		{name: "an entry that demands what is not asked for", asked: "linux/amd64", entries: "a=linux(+x)/amd64", err: "no instance for linux/amd64 (there are: linux(+x)/amd64)"},
		{name: "passed over", asked: "linux/amd64", entries: "a=linux(+x)/amd64 b=linux/amd64", want: "b"},
		{name: "more matching features first", asked: "linux(+x+y)/amd64", entries: "a=linux/amd64 b=linux(+y)/amd64 c=linux(+y+x)/amd64 d=linux(+x+y+z)/amd64", want: "c b a"},
		{name: "a feature twice counts once", asked: "linux(+x+y)/amd64", entries: "a=linux(+x+x+x)/amd64 b=linux(+x+y)/amd64", want: "b a"},
		{name: "the variant before the features", asked: "linux(+x)/amd64/v2", entries: "a=linux(+x)/amd64/v1 b=linux/amd64/v2", want: "b a"},
		{name: "features before compression", asked: "linux(+x)/amd64", entries: "a=linux/amd64;zstd b=linux(+x)/amd64", want: "b a"},
		{name: "win32k need not be asked for", asked: "windows/amd64", entries: "a=windows(10.0.17763.1+win32k)/amd64", want: "a"},
		{name: "win32k counts on Windows only", asked: "linux/amd64", entries: "a=linux(+win32k)/amd64", err: "no instance for linux/amd64 (there are: linux(+win32k)/amd64)"},
		{name: "other Windows features must be asked for", asked: "windows/amd64", entries: "a=windows(10.0.17763.1+win32k+x)/amd64",
			err: "no instance for windows/amd64 (there are: windows(10.0.17763.1+win32k+x)/amd64)"},
	})
}

// TestCopyOneCompression: zstd before gzip within a rank, and only there.
func TestCopyOneCompression(t *testing.T) {
	t.Parallel()
	gzip := Options{PreferGzip: true}
	const (
		three  = "gz=linux/amd64 zst=linux/amd64;zstd gz2=linux/amd64 zst2=linux/amd64;zstd arm=linux/arm64 arm2=linux/arm64 z=linux/s390x"
		mixed  = "aaaa=linux/amd64 bbbb=linux/amd64 cccc=linux/amd64;zstd 1c98=linux/arm64;zstd c767=- f2f5=-;zstd 4612=- 6dc1=linux/arm64 dddd=linux/amd64 eeee=linux/amd64;zstd"
		armset = "59ee=linux/amd64 eeee=linux/arm/v7 dddd=linux/arm/v6 f365=linux/arm/v6;zstd bcf9=linux/arm/present c84b=linux/arm"
	)
	testRows(t, []row{
		{name: "zstd preferred", asked: "linux/amd64", entries: three, want: "zst zst2 gz gz2"},
		{name: "gzip preferred", asked: "linux/amd64", opts: gzip, entries: three, want: "gz gz2 zst zst2"},
		{name: "two gzip, zstd preferred", asked: "linux/arm64", entries: three, want: "arm arm2"},
		{name: "two gzip, gzip preferred", asked: "linux/arm64", opts: gzip, entries: three, want: "arm arm2"},
		{name: "only gzip there", asked: "linux/s390x", entries: three, want: "z"},
		{name: "only zstd there", asked: "linux/amd64", opts: gzip, entries: "a=linux/amd64;zstd", want: "a"},
		{name: "the variant before compression", asked: "linux/arm/v7", entries: "a=linux/arm/v6;zstd b=linux/arm/v7", want: "b a"},
		{name: "a said variant before compression", asked: "linux/arm64", entries: "a=linux/arm64;zstd b=linux/arm64/v8", want: "b a"},
		{name: "across spellings", asked: "linux/amd64", entries: "a=linux/amd64 b=linux/x86_64;zstd", want: "b a"},
		{name: "only the word true marks zstd", asked: "linux/amd64", entries: "a=linux/amd64;zstd=false b=linux/amd64;zstd", want: "b a"},

		{name: "vector mixed amd64", asked: "linux/amd64", entries: mixed, want: "cccc eeee aaaa bbbb dddd f2f5 c767 4612"},
		{name: "vector mixed amd64 gzip", asked: "linux/amd64", opts: gzip, entries: mixed, want: "aaaa bbbb dddd cccc eeee c767 4612 f2f5"},
		{name: "vector mixed arm64", asked: "linux/arm64", entries: mixed, want: "1c98 6dc1 f2f5 c767 4612"},
		{name: "vector mixed arm64 gzip", asked: "linux/arm64", opts: gzip, entries: mixed, want: "6dc1 1c98 c767 4612 f2f5"},
		{name: "vector mixed unknown", asked: "linux/unmatched", entries: mixed, want: "f2f5 c767 4612"},
		{name: "vector mixed unknown gzip", asked: "linux/unmatched", opts: gzip, entries: mixed, want: "c767 4612 f2f5"},
		{name: "vector arm v7", asked: "linux/arm/v7", entries: armset, want: "eeee f365 dddd c84b"},
		{name: "vector arm v6", asked: "linux/arm/v6", entries: armset, want: "f365 dddd c84b"},
		{name: "vector arm v6 gzip", asked: "linux/arm/v6", opts: gzip, entries: armset, want: "dddd f365 c84b"},
		{name: "vector arm v5", asked: "linux/arm/v5", entries: armset, want: "c84b"},
		{name: "vector arm without variant", asked: "linux/arm", entries: armset, want: "eeee f365 dddd c84b"},
		{name: "vector arm own variant", asked: "linux/arm/present", entries: armset, want: "bcf9 c84b"},
		{name: "vector arm own variant absent", asked: "linux/arm/absent", entries: armset, want: "c84b"},
		{name: "vector unmatched", asked: "linux/unmatched", entries: "5b0b=linux/amd64 e692=linux/ppc64le",
			err: "no instance for linux/unmatched (there are: linux/amd64, linux/ppc64le)"},
		{name: "vector ppc64le", asked: "linux/ppc64le", entries: "5b0b=linux/amd64 e692=linux/ppc64le", want: "e692"},
	})
}
