package platform

import (
	"cmp"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// builds chooses among Windows versions for copies, after containerd/platforms
// has said which of them run on the version asked for. The zero value takes all
// and orders none.
type builds struct {
	windows bool
	asked   string
	version version // of asked
	others  bool    // other builds that run there too
}

func newBuilds(asked ocispec.Platform, opts Options) builds {
	if asked.OS != "windows" {
		return builds{}
	}
	return builds{windows: true, asked: asked.OSVersion, version: parseVersion(asked.OSVersion), others: opts.Compatible}
}

// The ranks of an entry's version, best first.
const (
	exactVersion = iota
	sameBase
	otherBuild
	noVersion
	wrongVersion
)

func (b builds) rank(osVersion string, v version) int {
	switch {
	case osVersion == "":
		return noVersion
	case osVersion == b.asked:
		return exactVersion
	case b.asked == "":
		return sameBase
	case b.version == 0 || v == 0:
		return wrongVersion // nothing to compare
	case v.base() == b.version.base():
		return sameBase
	case b.others:
		return otherBuild
	default:
		return wrongVersion
	}
}

func (b builds) match(osVersion string) bool {
	return !b.windows || b.rank(osVersion, parseVersion(osVersion)) != wrongVersion
}

// compare is negative when x is to be taken before y.
func (b builds) compare(x, y string) int {
	if !b.windows || x == y {
		return 0
	}
	vx, vy := parseVersion(x), parseVersion(y)
	return cmp.Or(cmp.Compare(b.rank(x, vx), b.rank(y, vy)), cmp.Compare(vy, vx))
}

// version is a Windows version MAJOR.MINOR.BUILD[.REVISION] in one number that
// orders by age; zero is none.
type version uint64

// base is the version without the revision.
func (v version) base() version { return v >> 32 }

// parseVersion takes what containerd/platforms takes for a version, and gives
// zero for everything else. A revision that is not a number is 0.
func parseVersion(s string) version {
	var v version
	for i, bits := range []int{8, 8, 16} {
		part, rest, more := strings.Cut(s, ".")
		n, err := strconv.ParseUint(part, 10, bits)
		if err != nil || !more && i < 2 {
			return 0
		}
		v, s = v<<bits|version(n), rest
	}
	revision, _, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(revision, 10, 32)
	if err != nil {
		n = 0
	}
	return v<<32 | version(n)
}
