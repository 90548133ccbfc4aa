package platform

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// row is one line of the table tests. Entries are written NAME=PLATFORM[;zstd]
// [;attestation], with the platform raw: os[(version+feature)]/architecture
// [/variant], "-" for none and "{}" for an empty one. Want lists the names of the
// entries chosen, best first; err is the text of the error without its kind.
type row struct {
	name    string
	op      Operation
	asked   string // raw, too; empty: none
	opts    Options
	entries string
	want    string
	err     string
}

// rawPlatform reads without normalising anything.
func rawPlatform(s string) *ocispec.Platform {
	if s == "-" {
		return nil
	}
	if s == "{}" {
		return &ocispec.Platform{}
	}
	var p ocispec.Platform
	os, rest, _ := strings.Cut(s, "/")
	p.Architecture, p.Variant, _ = strings.Cut(rest, "/")
	os, options, _ := strings.Cut(strings.TrimSuffix(os, ")"), "(")
	p.OS = os
	version, features, more := strings.Cut(options, "+")
	p.OSVersion = version
	if more {
		p.OSFeatures = strings.Split(features, "+")
	}
	return &p
}

// entriesOf makes the entries of a row; the digest of each is that of its name.
func entriesOf(s string) (entries []ocispec.Descriptor, names []string) {
	for field := range strings.FieldsSeq(s) {
		name, spec, _ := strings.Cut(field, "=")
		marks := strings.Split(spec, ";")
		e := ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest,
			Digest:    digest.FromString(name),
			Size:      1,
			Platform:  rawPlatform(marks[0]),
		}
		for _, mark := range marks[1:] {
			switch mark {
			case "zstd":
				e.Annotations = map[string]string{"io.github.containers.compression.zstd": "true"}
			case "zstd=false":
				e.Annotations = map[string]string{"io.github.containers.compression.zstd": "false"}
			case "attestation":
				e.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
			default:
				panic("row with an unknown mark " + mark)
			}
		}
		entries = append(entries, e)
		names = append(names, name)
	}
	return entries, names
}

func testRows(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.op.String()+"/"+r.name, func(t *testing.T) {
			t.Parallel()
			entries, names := entriesOf(r.entries)
			var asked *ocispec.Platform
			if r.asked != "" {
				asked = rawPlatform(r.asked)
			}
			chosen, err := Select(r.op, asked, entries, r.opts)
			if r.err != "" {
				if !errdefs.IsNotFound(err) || err.Error() != r.err+": not found" {
					t.Fatalf("error\n got %v\nwant %s: not found", err, r.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			byDigest := make(map[digest.Digest]string)
			for i, e := range entries {
				byDigest[e.Digest] = names[i]
			}
			var got []string
			for _, i := range chosen {
				got = append(got, byDigest[entries[i].Digest])
			}
			if strings.Join(got, " ") != r.want {
				t.Errorf("asked %s of %s\n got %s\nwant %s", r.asked, r.entries, strings.Join(got, " "), r.want)
			}
		})
	}
}

// TestCopySeveral: strict, all that match, in document order.
func TestCopySeveral(t *testing.T) {
	t.Parallel()
	const all = "a=linux/amd64 b=linux/arm64/v8 c=linux/arm/v7 d=linux/arm/v6 e=linux/386 f=linux/s390x g=windows(10.0.17763.1)/amd64 h=-"
	testRows(t, []row{
		{name: "one", op: CopySeveral, asked: "linux/amd64", entries: all, want: "a"},
		{name: "the default variant not asked for", op: CopySeveral, asked: "linux/arm64", entries: all, want: "b"},
		{name: "arm is v7", op: CopySeveral, asked: "linux/arm", entries: all, want: "c"},
		{name: "alias asked", op: CopySeveral, asked: "linux/aarch64", entries: all, want: "b"},
		{name: "no less capable variant", op: CopySeveral, asked: "linux/arm/v8", entries: all,
			err: "no instance for linux/arm/v8 (there are: linux/amd64, linux/arm64/v8, linux/arm/v7, linux/arm/v6, linux/386, linux/s390x, windows(10.0.17763.1)/amd64, 1 without a platform)"},
		{name: "no entry without a platform", op: CopySeveral, asked: "linux/riscv64", entries: "a=- b={}",
			err: "no instance for linux/riscv64 (there are: 2 without a platform)"},
		{name: "all that match, in document order", op: CopySeveral, asked: "linux/amd64",
			entries: "a=linux/amd64;zstd b=linux/arm64 c=linux/x86_64 d=linux/amd64/v1 e=linux/amd64/v2", want: "a c d"},
		{name: "gzip is not moved before zstd", op: CopySeveral, asked: "linux/amd64", opts: Options{PreferGzip: true},
			entries: "a=linux/amd64;zstd b=linux/amd64", want: "a b"},
		{name: "no other architecture with compatible either", op: CopySeveral, asked: "linux/arm64", opts: Options{Compatible: true},
			entries: "a=linux/arm/v7 b=linux/arm64", want: "b"},
		{name: "an unsaid variant is the default, no wildcard", op: CopySeveral, asked: "linux/arm/v6",
			entries: "a=linux/arm b=linux/arm/v6", want: "b"},
		{name: "attestations do not match", op: CopySeveral, asked: "linux/amd64",
			entries: "a=linux/amd64;attestation b=linux/amd64 c=unknown/unknown;attestation", want: "b"},
		{name: "an arm64 variant that no table knows", op: CopySeveral, asked: "linux/arm64/v10", entries: "a=linux/arm64/v10 b=linux/arm64", want: "a"},
	})
}

// TestNotFoundText shows what an error says of the entries.
func TestNotFoundText(t *testing.T) {
	t.Parallel()
	many := ""
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO" {
		many += " " + string(c) + "=linux/x" + strings.ToLower(string(c)) + "/" + string(c)
	}
	first32 := "linux/xa/a, linux/xb/b, linux/xc/c, linux/xd/d, linux/xe/e, linux/xf/f, linux/xg/g, linux/xh/h, linux/xi/i, linux/xj/j, " +
		"linux/xk/k, linux/xl/l, linux/xm/m, linux/xn/n, linux/xo/o, linux/xp/p, linux/xq/q, linux/xr/r, linux/xs/s, linux/xt/t, " +
		"linux/xu/u, linux/xv/v, linux/xw/w, linux/xx/x, linux/xy/y, linux/xz/z, linux/xa/A, linux/xb/B, linux/xc/C, linux/xd/D, linux/xe/E, linux/xf/F"
	testRows(t, []row{
		{name: "each platform once, as written, in order", op: CopySeveral, asked: "linux/mips64",
			entries: "a=linux/x86_64 b=linux/arm64/v8;zstd c=linux/arm64/v8 d=linux/amd64 e=windows(10.0.17763.1+win32k)/amd64 f=Linux/ARM64/v8",
			err:     "no instance for linux/mips64 (there are: linux/x86_64, linux/arm64/v8, linux/amd64, windows(10.0.17763.1+win32k)/amd64, Linux/ARM64/v8)"},
		{name: "B34 no entries", op: CopyOne, asked: "linux/amd64", entries: "", err: "no instance for linux/amd64 (there are: none)"},
		{name: "B33 attestations and unknown are not listed", op: CopyOne, asked: "linux/amd64",
			entries: "a=unknown/unknown b=linux/arm64;attestation c=linux/unknown d=Unknown/amd64", err: "no instance for linux/amd64 (there are: none)"},
		{name: "cut after 32", op: CopyOne, asked: "linux/amd64", entries: many, err: "no instance for linux/amd64 (there are: " + first32 + ", and 9 more)"},
		{name: "none asked", op: Get, entries: "a=unknown/unknown", err: "no instance for any platform (there are: none)"},
		{name: "half a platform", op: CopyOne, asked: "linux/amd64", entries: "a=linux/ b=/arm64",
			err: "no instance for linux/amd64 (there are: linux/unknown, unknown/arm64)"},
		{name: "hostile text is quoted", op: CopyOne, asked: "linux/amd64", entries: "a=linux/\x1b[31m b=l\u0456nux/amd64",
			err: `no instance for linux/amd64 (there are: "linux/\x1b[31m", "l\u0456nux/amd64")`},
		{name: "hostile text is cut", op: CopyOne, asked: "linux/amd64", entries: "a=linux/" + strings.Repeat("x", 1000),
			err: `no instance for linux/amd64 (there are: "linux/` + strings.Repeat("x", 249) + `"...)`},
		{name: "a hostile version is escaped", op: CopyOne, asked: "linux/amd64", entries: "a=windows(10.0\x00)/amd64",
			err: "no instance for linux/amd64 (there are: windows(10.0%00)/amd64)"},
		{name: "the asked platform is quoted", op: CopyOne, asked: "linux/\u202eamd64", entries: "a=linux/amd64",
			err: `no instance for "linux/\u202eamd64" (there are: linux/amd64)`},
	})
}

// TestRefused: what cannot be asked.
func TestRefused(t *testing.T) {
	t.Parallel()
	entries, _ := entriesOf("a=linux/amd64")
	for _, r := range []struct {
		name  string
		op    Operation
		asked *ocispec.Platform
		err   string
	}{
		{"several without a platform", CopySeveral, nil, "copy of chosen platforms: no platform asked for: invalid argument"},
		{"no architecture", CopyOne, &ocispec.Platform{OS: "linux"}, "copy of one platform: the platform asked for has no architecture: invalid argument"},
		{"an empty platform", Classic, &ocispec.Platform{}, "classic image check: the platform asked for has no architecture: invalid argument"},
		{"no such operation", Classic + 1, nil, "platform: operation 8 is not in the table: invalid argument"},
		{"a negative operation", -1, nil, "platform: operation -1 is not in the table: invalid argument"},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			chosen, err := Select(r.op, r.asked, entries, Options{})
			if !errdefs.IsInvalidArgument(err) || err.Error() != r.err || chosen != nil {
				t.Errorf("got %v, error %v, want %s", chosen, err, r.err)
			}
		})
	}
	if got := Operation(99).String(); got != "operation 99" {
		t.Errorf("String of an operation that is not there: %q", got)
	}
}
