package platform

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Operation names what a platform is chosen for. The table in the package
// comment says by which rule each chooses.
type Operation int

// The operations.
const (
	CopyOne     Operation = iota // copy of one platform
	CopySeveral                  // copy of chosen platforms, asked for one by one
	Get                          // service: get an image
	Manifest                     // service: get an image's manifest
	History                      // service: history
	Pull                         // service: pull
	List                         // service: list, load
	Classic                      // classic store: the check of a config
)

// Options change a rule. The zero value is the default.
type Options struct {
	// Compatible lets a copy also take what the CPU can run of other architectures
	// (CopyOne), and Windows builds other than the one asked for that run on such
	// a host (CopyOne and CopySeveral). The service operations do not look at it.
	Compatible bool
	// PreferGzip lets CopyOne prefer the gzip instance where a zstd instance of
	// the same rank stands beside it. Without it zstd is preferred.
	PreferGzip bool
	// Host is what this machine is taken for where no platform is asked for; nil is
	// Host().
	Host *ocispec.Platform
}

func (o Options) host() ocispec.Platform {
	if o.Host != nil {
		return *o.Host
	}
	return Host()
}

// rule is one row of the table.
type rule struct {
	name    string
	asked   func(asked ocispec.Platform, opts Options) platforms.MatchComparer
	unasked unasked
	order   order
}

// unasked says what serves when no platform is asked for.
type unasked int

const (
	refused      unasked = iota // one must be asked for
	asHost                      // the same as if Host were asked for
	anyHostFirst                // any entry, but what Host can run before the others
	anyEntry                    // any entry
)

// order says how Select sorts what matches.
type order int

const (
	ranked         order = iota // best first
	rankedThenZstd              // best first; in one rank by compression
	document                    // as in the document
)

// table is the one place that says which matcher serves which operation. It is
// never written to.
var table = [...]rule{
	CopyOne:     {"copy of one platform", copyOne, asHost, rankedThenZstd},
	CopySeveral: {"copy of chosen platforms", copySeveral, refused, document},
	Get:         {"get image", strict, anyHostFirst, ranked},
	Manifest:    {"get image manifest", compatible, anyHostFirst, ranked},
	History:     {"history", compatible, anyHostFirst, ranked},
	Pull:        {"pull", compatible, asHost, ranked},
	List:        {"list", strict, anyHostFirst, ranked},
	Classic:     {"classic image check", classic, anyEntry, ranked},
}

func (op Operation) rule() (rule, error) {
	if op < 0 || int(op) >= len(table) {
		return rule{}, fmt.Errorf("platform: operation %d is not in the table: %w", int(op), errdefs.ErrInvalidArgument)
	}
	return table[op], nil
}

// String returns the operation in words.
func (op Operation) String() string {
	r, err := op.rule()
	if err != nil {
		return fmt.Sprintf("operation %d", int(op))
	}
	return r.name
}

// Matcher returns the rule of an operation for single platforms, such as that of
// an image's config; asked nil means that none is asked for. Match says whether a
// platform serves, Less which of two that serve is the better one. The zero
// Platform stands for an image of which no platform is known. What depends on a
// descriptor (attestations, compression, position) is Select's part.
//
// An asked platform without an architecture, none where the operation must have
// one, and an unknown operation are errdefs.ErrInvalidArgument. The matcher is
// safe for concurrent use.
func Matcher(op Operation, asked *ocispec.Platform, opts Options) (platforms.MatchComparer, error) {
	r, err := op.rule()
	if err != nil {
		return nil, err
	}
	return r.matcher(r.orHost(asked, opts), opts)
}

// orHost is what is asked for when asking for nothing means Host.
func (r rule) orHost(asked *ocispec.Platform, opts Options) *ocispec.Platform {
	if asked == nil && r.unasked == asHost {
		host := opts.host()
		return &host
	}
	return asked
}

func (r rule) matcher(asked *ocispec.Platform, opts Options) (platforms.MatchComparer, error) {
	switch {
	case asked != nil && asked.Architecture == "":
		return nil, fmt.Errorf("%s: the platform asked for has no architecture: %w", r.name, errdefs.ErrInvalidArgument)
	case asked != nil:
		return r.asked(canonical(*asked), opts), nil
	case r.unasked == anyHostFirst:
		return anything{prefer: only(canonical(opts.host()))}, nil
	case r.unasked == anyEntry:
		return anything{prefer: platforms.All}, nil
	default:
		return nil, fmt.Errorf("%s: no platform asked for: %w", r.name, errdefs.ErrInvalidArgument)
	}
}
