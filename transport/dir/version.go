package dir

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/rootfile"
)

// version is that of the format.
type version struct{ major, minor int }

const (
	versionPrefix = "Directory Transport Version: "
	// maxVersionBytes is more than any version has.
	maxVersionBytes = 256
)

// sha256Version is written where all digests are sha256, newestVersion where not.
func sha256Version() version { return version{1, 1} }

func newestVersion() version { return version{1, 2} }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// content is what the version file holds.
func (v version) content() []byte { return []byte(versionPrefix + v.String() + "\n") }

func (v version) less(o version) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

// parseVersion reads the content of a version file: errdefs.ErrInvalidArgument
// if it is none, errdefs.ErrNotImplemented if it is newer than what is known.
func parseVersion(content string) (version, error) {
	malformed := fmt.Errorf("%s has the content %.256q, not %q and a version: %w", versionName, content, versionPrefix, errdefs.ErrInvalidArgument)
	numbers, ok := strings.CutPrefix(strings.TrimSuffix(content, "\n"), versionPrefix)
	if !ok {
		return version{}, malformed
	}
	major, minor, ok := strings.Cut(numbers, ".")
	if !ok {
		return version{}, malformed
	}
	var v version
	for _, part := range []struct {
		text string
		to   *int
	}{{major, &v.major}, {minor, &v.minor}} {
		n, err := strconv.ParseUint(part.text, 10, 31)
		if err != nil {
			return version{}, malformed
		}
		*part.to = int(n)
	}
	if newestVersion().less(v) {
		return version{}, fmt.Errorf("version %s of the directory format is newer than %s, the newest that is known: %w", v, newestVersion(), errdefs.ErrNotImplemented)
	}
	return v, nil
}

// readVersion reads the version file; errdefs.ErrNotFound if there is none.
func readVersion(root *os.Root) (version, error) {
	data, err := rootfile.Read(root, versionName, maxVersionBytes)
	if err != nil {
		return version{}, fmt.Errorf("reading %s: %w", versionName, err)
	}
	return parseVersion(string(data))
}
