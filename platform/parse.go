package platform

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxSpecifier is how many bytes of text a platform may have.
const maxSpecifier = 255

// Parse reads a platform as people write it:
//
//	os[(version[+feature]...)]
//	architecture
//	os[(version[+feature]...)]/architecture[/variant]
//
// A lone operating system gets the architecture of this machine, a lone
// architecture gets linux whatever this machine runs. Lone words must be known;
// in the long form new architectures are welcome. Aliases (x86_64, aarch64,
// armhf, macos, ...) become what they stand for, and upper case lower. Version
// and features may have any character as %XX. The syntax is that of
// containerd/platforms.
//
// Text that is empty, longer than 255 bytes or malformed, and control characters
// or invalid UTF-8 behind a %XX are errdefs.ErrInvalidArgument.
func Parse(s string) (ocispec.Platform, error) {
	p, problem := parse(s)
	if problem != "" {
		return ocispec.Platform{}, fmt.Errorf("platform %s: %s: %w", quoted(s), problem, errdefs.ErrInvalidArgument)
	}
	return p, nil
}

func parse(s string) (p ocispec.Platform, problem string) {
	if s == "" {
		return p, "it is empty"
	}
	if len(s) > maxSpecifier {
		return p, fmt.Sprintf("it has %d bytes of at most %d", len(s), maxSpecifier)
	}
	parts := strings.Split(s, "/")
	for _, part := range parts {
		if part == "" || !alphanumeric(rune(part[0])) {
			return p, "each part must begin with a letter or digit"
		}
	}
	p, err := platforms.Parse(s)
	switch {
	case err != nil && len(parts) == 1 && plain(s, ""):
		return p, "neither an operating system nor an architecture that is known"
	case err != nil:
		return p, "not of the form os[(version[+feature])]/architecture[/variant]"
	case slices.ContainsFunc(append(p.OSFeatures, p.OSVersion), unprintable):
		return p, "unprintable characters or invalid UTF-8 in the OS version or a feature"
	}
	// A lone word was an operating system if it is still there; else the library
	// has put in that of the process.
	word, _, _ := strings.Cut(s, "(")
	if len(parts) == 1 && platforms.Normalize(ocispec.Platform{OS: word}).OS != p.OS {
		p.OS = "linux"
	}
	return p, ""
}

// ParseList reads a comma-separated list of platforms, each as Parse does. Space
// around an item is dropped, and so is an item that normalises to the same as an
// earlier one. An empty item or list is errdefs.ErrInvalidArgument.
func ParseList(s string) ([]ocispec.Platform, error) {
	var list []ocispec.Platform
	seen := make(map[string]bool)
	for item := range strings.SplitSeq(s, ",") {
		p, err := Parse(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		if k := Format(canonical(p)); !seen[k] {
			seen[k] = true
			list = append(list, p)
		}
	}
	return list, nil
}

// Format prints a platform in the long form that Parse reads, as it is written
// and not normalised: os(version+feature)/architecture/variant. An operating
// system or architecture that is missing is printed as "unknown". Only version
// and features are escaped; the rest of a platform from an untrusted document may
// have any characters.
func Format(p ocispec.Platform) string {
	var b strings.Builder
	b.WriteString(orUnknown(p.OS))
	if p.OSVersion != "" || len(p.OSFeatures) > 0 {
		b.WriteByte('(')
		escape(&b, p.OSVersion)
		for _, f := range p.OSFeatures {
			if f != "" { // Parse would not read it
				b.WriteByte('+')
				escape(&b, f)
			}
		}
		b.WriteByte(')')
	}
	b.WriteByte('/')
	b.WriteString(orUnknown(p.Architecture))
	if p.Variant != "" {
		b.WriteByte('/')
		b.WriteString(p.Variant)
	}
	return b.String()
}

// Host is the platform to ask for when none is given: the architecture that this
// program was built for, with the CPU's variant where containerd/platforms
// detects one (ARM, from the system's description of the CPU, once), and linux
// whatever system it runs on, since that is what images are for.
func Host() ocispec.Platform {
	p := platforms.DefaultSpec()
	if p.Variant == "unknown" {
		p.Variant = ""
	}
	return ocispec.Platform{OS: "linux", Architecture: p.Architecture, Variant: p.Variant}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// escape writes text as Parse reads it between parentheses.
func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		if word(rune(s[i])) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(b, "%%%02X", s[i])
		}
	}
}

// printable is Format for messages: short, and quoted unless it is plain.
func printable(p ocispec.Platform) string {
	s := Format(p)
	if len(s) <= maxSpecifier && plain(s, "/()+%") {
		return s
	}
	return quoted(s)
}

// quoted is text from outside in a message: cut, and in ASCII, so that nothing
// in it looks like something else.
func quoted(s string) string {
	if len(s) > maxSpecifier {
		return fmt.Sprintf("%+q...", s[:maxSpecifier])
	}
	return fmt.Sprintf("%+q", s)
}

// plain reports whether the text has only word characters and those in extra.
func plain(s, extra string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !word(r) && !strings.ContainsRune(extra, r) }) < 0
}

func word(r rune) bool { return alphanumeric(r) || r == '_' || r == '.' || r == '-' }

func alphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
