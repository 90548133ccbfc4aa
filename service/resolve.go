package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// Matched says by what a reference has found its record.
type Matched string

// What a reference can match: the name of a record, or a digest.
const (
	ByName     Matched = "name"
	ByTarget   Matched = "target"   // of what the record points at: the image's ID
	ByList     Matched = "list"     // of a list below that, present or not
	ByManifest Matched = "manifest" // of a manifest below that, present or not
	ByConfig   Matched = "config"   // of an image config below that, which is present
)

// Resolution is what a reference means.
type Resolution struct {
	// Record is the record that was found. Where several have what was asked for, it
	// is the one with exactly the name that was given, else the first of them by name;
	// a dangling one comes last.
	Record  store.Record
	Matched Matched
	// Digest is what the reference means: Record's target, or the list, manifest or
	// config below it that was matched.
	Digest digest.Digest
	// Short tells that the reference was the beginning of Digest.
	Short bool
	// Warnings are what the caller might not have meant, a sentence each.
	Warnings []string
}

// Resolve finds what a reference means. It takes these forms:
//
//   - a digest, or the 64 hex characters of one by sha256: that of the target of a record,
//     of a list or manifest below it, present or not, or of an image config that is there;
//   - NAME@DIGEST: the same, of the records whose names are of that repository only. A tag
//     before the digest is not looked at;
//   - a name in any form, with latest where it has no tag;
//   - where no record has that name: 4 to 64 characters of 0-9a-f, with or without sha256:
//     before them, with which exactly one digest begins. That of a target comes before all
//     others, and what is present before what is not; Warnings have the others.
//
// What nothing is found for is ErrNotFound with the text "No such image: ", and so are
// characters with which several digests begin, with the text "ambiguous reference" and
// some of them. What is no reference is ErrInvalidArgument or ErrNotImplemented, as
// ref.Parse gives them.
func (s *Service) Resolve(ctx context.Context, reference string) (Resolution, error) {
	var r Resolution
	err := s.view(ctx, func(v *view) (err error) {
		r, err = v.resolve(reference)
		return err
	})
	return r, err
}

// query is a reference that was parsed.
type query struct {
	text   string
	name   ref.Reference // zero if there is none
	digest digest.Digest // that it consists of, or that the name has; empty if there is none
	prefix string        // the hex characters, if it can be the beginning of a digest
	sha256 bool          // these were given with their algorithm
}

// parseQuery reads a reference in any form that Resolve takes.
func parseQuery(text string) (query, error) {
	q := query{text: text}
	if text == "" {
		return q, fmt.Errorf("image name cannot be blank: %w", errdefs.ErrInvalidArgument)
	}
	full := text
	if len(text) == digest.SHA256.Size()*2 && isHex(text) {
		full = "sha256:" + text
	}
	if _, digits, ok := strings.Cut(full, ":"); ok && isHex(digits) {
		if d, err := image.ParseDigest(full); err == nil {
			q.digest = d
			return q, nil
		}
	}
	name, err := ref.Parse(text)
	if err != nil {
		return q, err
	}
	q.name, q.digest = name.Tagged(), name.Digest()
	digits, found := strings.CutPrefix(text, "sha256:")
	if len(digits) >= shortest && len(digits) <= digest.SHA256.Size()*2 && isHex(digits) {
		q.prefix, q.sha256 = digits, found
	}
	return q, nil
}

// shortest is how many characters of a digest are looked for at least.
const shortest = 4

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// noSuchImage returns the error for what was not found, in the words that clients know.
func (q query) noSuchImage() error {
	what := string(q.digest)
	if q.named() {
		what = q.name.Familiar()
	}
	return fmt.Errorf("%s: %s: %w", "No such image", what, errdefs.ErrNotFound)
}

func (q query) named() bool { return q.name != ref.Reference{} }

// resolve is Resolve in a view.
func (v *view) resolve(text string) (Resolution, error) {
	if r, ok, err := v.exact(text); ok || err != nil {
		return r, err
	}
	q, err := parseQuery(text)
	if err != nil {
		return Resolution{}, err
	}
	return v.find(q)
}

// exact finds the record that has a text for its name, exactly as it is: to find out that
// it is a name takes as long as to find it. Names of records are in their normal form, which
// has a host, and so is what has none, or a digest that is to be looked at.
func (v *view) exact(text string) (Resolution, bool, error) {
	if !strings.Contains(text, "/") || strings.Contains(text, "@") {
		return Resolution{}, false, nil
	}
	rec, err := v.Get(text)
	switch {
	case err == nil:
		return Resolution{Record: rec, Matched: ByName, Digest: rec.Target.Digest}, true, nil
	case errdefs.IsNotFound(err):
		return Resolution{}, false, nil
	}
	return Resolution{}, false, fmt.Errorf("resolve %.256q: %w", text, err)
}

func (v *view) find(q query) (Resolution, error) {
	if q.digest != "" {
		return v.byDigest(q)
	}
	rec, err := v.Get(q.name.String())
	switch {
	case err == nil:
		r := Resolution{Record: rec, Matched: ByName, Digest: rec.Target.Digest}
		if q.prefix != "" {
			r.Warnings, err = v.beside(q, rec)
		}
		return r, err
	case !errdefs.IsNotFound(err):
		return Resolution{}, fmt.Errorf("resolve %.256q: %w", q.text, err)
	case q.prefix != "":
		return v.byPrefix(q)
	}
	return Resolution{}, q.noSuchImage()
}

// byDigest finds the record of a full digest.
func (v *view) byDigest(q query) (Resolution, error) {
	records, err := v.Target(q.digest)
	if errdefs.IsNotImplemented(err) { // an algorithm that the engine cannot hold
		return Resolution{}, q.noSuchImage()
	}
	if err != nil {
		return Resolution{}, fmt.Errorf("resolve %.256q: %w", q.text, err)
	}
	return v.among(q, records)
}

// among finds the record of a full digest, of which these are the records that point at
// it.
func (v *view) among(q query, targets []store.Record) (Resolution, error) {
	r := Resolution{Matched: ByTarget, Digest: q.digest}
	records, below, err := v.having(q, targets)
	if below && len(records) > 0 {
		r.Matched, err = v.matched(q.digest, prefer(records, q.name).Target)
		r.Warnings = alsoIn(q.digest, records)
	}
	if err != nil {
		return Resolution{}, fmt.Errorf("resolve %.256q: %w", q.text, err)
	}
	if len(records) == 0 {
		return Resolution{}, q.noSuchImage()
	}
	r.Record = prefer(records, q.name)
	return r, nil
}

// having returns the records of the query's repository that have its full digest: those
// that point at it, or if there are none those that have it below their targets.
func (v *view) having(q query, targets []store.Record) (records []store.Record, below bool, err error) {
	if records = v.ofRepository(targets, q.name); len(records) > 0 {
		return records, false, nil
	}
	records, err = v.Containing(q.digest)
	return v.ofRepository(records, q.name), true, err
}

// ofRepository returns the records whose names are in the repository of a name; all of
// them if there is no name.
func (v *view) ofRepository(records []store.Record, name ref.Reference) []store.Record {
	if name == (ref.Reference{}) {
		return records
	}
	var own []store.Record
	for _, rec := range records {
		rest, ok := strings.CutPrefix(rec.Name, name.Name())
		switch {
		case !ok, strings.Contains(rest, "/"): // another repository, or host
		case isTagOrDigest(rest):
			own = append(own, rec)
		case strings.HasPrefix(rest, ":"), strings.HasPrefix(rest, "@"):
			v.s.opts.Logger.Warn("the name of a record cannot be parsed, and is passed over", "name", rec.Name[:min(len(rec.Name), 256)])
		}
	}
	return own
}

// isTagOrDigest reports whether text is what can come behind a repository in a name. It is
// far quicker than to parse the name.
func isTagOrDigest(text string) bool {
	tag, d, pinned := strings.Cut(text, "@")
	if pinned {
		if _, err := image.ParseDigest(d); err != nil {
			return false
		}
		if tag == "" {
			return true
		}
	}
	tag, ok := strings.CutPrefix(tag, ":")
	return ok && ref.ValidTag(tag) == nil
}

// prefer returns the record with exactly that name or with its tag, else the first that
// is not dangling.
func prefer(records []store.Record, name ref.Reference) store.Record {
	if name != (ref.Reference{}) {
		for _, exact := range exactNames(name) {
			if i := slices.IndexFunc(records, func(rec store.Record) bool { return rec.Name == exact }); i >= 0 {
				return records[i]
			}
		}
	}
	if i := slices.IndexFunc(records, func(rec store.Record) bool { return !rec.Dangling() }); i >= 0 {
		return records[i]
	}
	return records[0]
}

// exactNames returns the names of records that a reference can mean by its letters: all of
// it, and it without its digest.
func exactNames(name ref.Reference) []string {
	all := []string{name.String()}
	if name.Digest() != "" && name.Tag() != "" {
		all = append(all, strings.TrimSuffix(name.String(), "@"+string(name.Digest())))
	}
	return all
}

// alsoIn says that a digest is in other images than the first of the records.
func alsoIn(d digest.Digest, records []store.Record) []string {
	seen := map[digest.Digest]bool{}
	var others []string
	for _, rec := range records {
		if !seen[rec.Target.Digest] {
			seen[rec.Target.Digest] = true
			others = append(others, Familiar(rec))
		}
	}
	if len(others) < 2 {
		return nil
	}
	return []string{fmt.Sprintf("%s is in %d images: %s", d, len(others), some(others))}
}

// matched returns what a digest is in the graph of a target.
func (v *view) matched(d digest.Digest, target ocispec.Descriptor) (Matched, error) {
	if d == target.Digest {
		return ByTarget, nil
	}
	facts, err := v.Facts(d)
	switch {
	case err == nil && image.IsList(facts.MediaType):
		return ByList, nil
	case err == nil && image.IsManifest(facts.MediaType):
		return ByManifest, nil
	case err == nil:
		return ByConfig, nil
	case !errdefs.IsNotFound(err):
		return "", err
	}
	g, err := v.graph(target) // it is not there: only what names it can tell
	if err != nil {
		return "", err
	}
	if n := g.find(d); n != nil && n.role == image.RoleIndex {
		return ByList, nil
	}
	return ByManifest, nil
}
