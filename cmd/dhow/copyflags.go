package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dhowhq/dhow/cmd/dhow/internal/progress"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/registry/blob"
)

// copyFlags are the flags of copy.
type copyFlags struct {
	// What is copied.
	platforms  []string // each a list
	instances  []string
	all        bool
	indexOnly  bool
	sparse     bool
	strip      bool
	compatible bool
	preferGzip bool
	// What becomes of it.
	format           string
	dropAttestations bool
	preserveDigests  bool
	removeSignatures bool
	referrers        bool
	digestTags       bool
	// Where it comes from and goes to.
	source   settings // as far as flags set them
	dest     settings
	verify   string
	parallel int
	// What is said of it.
	receipt  string
	json     bool
	progress string
	quiet    bool
	dryRun   bool
}

// add defines the flags.
func (f *copyFlags) add(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	group(cmd, "Which part of a list", f.which())
	group(cmd, "What becomes of it", f.becomes())
	f.source.registry.addSide("src-")
	f.source.registry.addForeign()
	group(cmd, sourceGroup, f.source.registry.flags)
	f.dest.registry.addSide("dest-")
	f.dest.registry.addSendForeign()
	group(cmd, destGroup, f.dest.registry.flags)
	group(cmd, registriesGroup, f.registries())
	group(cmd, "How, and what is said of it", f.how())
	choices(cmd, "format", string(copy.OCI), string(copy.Docker))
	choices(cmd, "verify", verifyHere, verifyDestination)
	choices(cmd, "progress", progress.Modes()...)
}

// which are the flags that choose.
func (f *copyFlags) which() *pflag.FlagSet {
	flags := newFlags()
	flags.StringArrayVar(&f.platforms, "platform", nil, "copy only this `PLATFORM`, as linux/arm64, without its list; or several, with commas, in the list; may be repeated")
	flags.StringArrayVar(&f.instances, "instance", nil, "copy the instance with this `DIGEST` and its attestations, in the list; may be repeated")
	flags.BoolVar(&f.all, "all", false, "copy all platforms; the default where the destination can hold a list")
	flags.BoolVar(&f.indexOnly, "index-only", false, "copy a list without its instances")
	flags.BoolVar(&f.sparse, "sparse", false, "keep the list as it is, whatever is not copied or not there")
	flags.BoolVar(&f.strip, "strip", false, "take the entries of instances that are not copied out of the list, which gets a new digest")
	flags.BoolVar(&f.compatible, "compatible", false, "for a platform also take what its CPU runs of other architectures")
	flags.BoolVar(&f.preferGzip, "prefer-gzip", false, "for one platform prefer an instance compressed with gzip to one with zstd")
	return flags
}

// becomes are the flags that change what is copied.
func (f *copyFlags) becomes() *pflag.FlagSet {
	flags := newFlags()
	flags.StringVar(&f.format, "format", "", "convert manifests and lists to this `FORMAT`: oci or v2s2")
	flags.BoolVar(&f.dropAttestations, "drop-attestations", false, "leave out attestations that have no form in the format")
	flags.BoolVar(&f.preserveDigests, "preserve-digests", false, "fail rather than change a manifest or list")
	flags.BoolVar(&f.removeSignatures, "remove-signatures", false, "leave signatures behind")
	flags.BoolVar(&f.referrers, "referrers", true, "copy the artifacts that refer to what is copied")
	flags.BoolVar(&f.digestTags, "digest-tags", true, "copy the tags sha256-<hex>.sig, .att and .sbom of what is copied")
	return flags
}

// registries are the flags that hold for both sides, or say what is between them.
func (f *copyFlags) registries() *pflag.FlagSet {
	flags := newFlags()
	all := share(&f.source.registry, &f.dest.registry)
	all.addAuthFile(flags)
	all.addRetries(flags)
	addVerify(flags, &f.verify)
	return flags
}

// how are the other flags.
func (f *copyFlags) how() *pflag.FlagSet {
	flags := newFlags()
	flags.StringVar(&f.source.sharedBlobs, "src-shared-blob-dir", "", "the `DIR` that the source's layout shares its blobs in (oci: only)")
	flags.StringVar(&f.dest.sharedBlobs, "dest-shared-blob-dir", "", "the `DIR` that the destination's layout shares its blobs in (oci: only)")
	flags.BoolVar(&f.source.lastWins, "last-wins", false, lastWinsUsage)
	flags.IntVar(&f.parallel, "parallel", 0, "move `N` descriptors at once (default 16)")
	flags.StringVar(&f.receipt, "receipt", "", "write to this `FILE` what became of every descriptor, as JSON; - is standard output")
	flags.BoolVar(&f.json, "json", false, "write the receipt, or with --dry-run the plan, to standard output instead of a line")
	flags.StringVar(&f.progress, "progress", string(progress.Auto), "show progress on standard error as `MODE`: bars, plain (lines), json (lines), none, or auto: bars on a terminal, else plain")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, and why, and write nothing; what the destination has is not asked about")
	return flags
}

// check refuses flags that contradict one another.
func (f *copyFlags) check(cmd *cobra.Command) error {
	for _, group := range [][]string{
		{"all", "index-only", "platform"},
		{"all", "index-only", "instance"},
		{"index-only", "sparse", "strip"},
		{"all", "index-only", "compatible"},
		{"all", "index-only", "prefer-gzip"},
		{"quiet", "progress"},
		{"dry-run", "receipt"},
	} {
		if err := contradict(cmd, group...); err != nil {
			return err
		}
	}
	for _, need := range []struct {
		flag        string
		given, with bool
		want        string
	}{
		{"compatible", f.compatible, len(f.platforms) > 0, "platform"},
		{"prefer-gzip", f.preferGzip, len(f.platforms) > 0, "platform"},
		{"drop-attestations", f.dropAttestations, f.format == string(copy.Docker), "format v2s2"},
	} {
		if need.given && !need.with {
			return fmt.Errorf("--%s goes with --%s: %w", need.flag, need.want, errdefs.ErrInvalidArgument)
		}
	}
	var err error
	f.dest.registry.blobs, err = whoVerifies(f.verify)
	if err := errors.Join(f.source.registry.check(), f.dest.registry.checkLogin(), err); err != nil {
		return err
	}
	if f.parallel < 0 {
		return fmt.Errorf("--parallel: %d is less than 1: %w", f.parallel, errdefs.ErrInvalidArgument)
	}
	return nil
}

// The words of --verify.
const (
	verifyHere        = "here"
	verifyDestination = "destination"
)

// addVerify defines the flag that takes them.
func addVerify(flags *pflag.FlagSet, word *string) {
	flags.StringVar(word, "verify", verifyHere, "have layers and configs verified `WHERE`: here, or at the destination, by the registry alone; the receipt says which")
}

// whoVerifies says who verifies blobs by such a word.
func whoVerifies(word string) (blob.Verify, error) {
	switch word {
	case verifyHere:
		return blob.VerifyHere, nil
	case verifyDestination:
		return blob.VerifyAtDestination, nil
	default:
		return blob.VerifyHere, fmt.Errorf("--verify: unknown place %.64q (there are: here, destination): %w", word, errdefs.ErrInvalidArgument)
	}
}

// options returns what the flags mean.
func (f *copyFlags) options() (copy.Options, error) {
	selection, err := f.selection()
	if err != nil {
		return copy.Options{}, err
	}
	format := copy.Format(f.format)
	if format != copy.AsIs && format != copy.OCI && format != copy.Docker {
		return copy.Options{}, fmt.Errorf("unknown format %.64q (there are: oci, v2s2): %w", f.format, errdefs.ErrInvalidArgument)
	}
	return copy.Options{
		Selection:        selection,
		Format:           format,
		DropAttestations: f.dropAttestations,
		PreserveDigests:  f.preserveDigests,
		RemoveSignatures: f.removeSignatures,
		NoReferrers:      !f.referrers,
		NoDigestTags:     !f.digestTags,
		Parallel:         f.parallel,
	}, nil
}

// selection returns which part of a list the flags mean.
func (f *copyFlags) selection() (copy.Selection, error) {
	s := copy.Selection{Match: platform.Options{Compatible: f.compatible, PreferGzip: f.preferGzip}}
	for _, text := range f.instances {
		d, err := image.ParseDigest(text)
		if err != nil {
			return s, fmt.Errorf("--instance: %w", err)
		}
		s.Instances = append(s.Instances, d)
	}
	if len(f.platforms) > 0 {
		var err error
		if s.Platforms, err = platform.ParseList(strings.Join(f.platforms, ",")); err != nil {
			return s, fmt.Errorf("--platform: %w", err)
		}
	}
	switch {
	case f.sparse:
		s.Absent = copy.Keep
	case f.strip:
		s.Absent = copy.Strip
	}
	switch {
	case f.all:
		s.Mode = copy.All
	case f.indexOnly:
		s.Mode = copy.IndexOnly
	case len(s.Platforms) == 1 && len(s.Instances) == 0 && s.Absent == copy.AbsentDefault:
		s.Mode = copy.One
	case len(s.Platforms)+len(s.Instances) > 0:
		s.Mode = copy.Some
	}
	return s, nil
}
