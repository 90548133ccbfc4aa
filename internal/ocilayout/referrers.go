package ocilayout

import (
	"context"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// scan is what the documents behind index.json say of subjects.
type scan struct {
	bySubject map[digest.Digest][]referrer
	refers    map[digest.Digest]bool // documents with a subject
}

// referrer is an entry of index.json: one referrer, or a list of them.
type referrer struct {
	desc   ocispec.Descriptor
	isList bool
}

// Referrers returns, in the order of index.json, its entries whose documents
// have that subject, and the entries of the index that the tag ALGORITHM-HEX of
// the subject names, as registries without a referrers API have it. Entries that
// cannot be read, or have more than Limits.DocumentBytes, are logged and passed
// over. To find them all, documents of up to Options.ScanBytes in sum are read, once;
// that there are more is logged.
func (x *Index) Referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	found, err := x.scan(ctx)
	if err != nil {
		return nil, err
	}
	all := []ocispec.Descriptor{}
	seen := map[digest.Digest]bool{}
	for _, r := range found.bySubject[subject] {
		some := []ocispec.Descriptor{r.desc}
		if r.isList {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			some = x.listed(ctx, r.desc)
		}
		for _, desc := range some {
			if !seen[desc.Digest] {
				seen[desc.Digest] = true
				all = append(all, desc)
			}
		}
	}
	return all, nil
}

// listed returns the entries of a list; none, and a warning, if it cannot be read.
func (x *Index) listed(ctx context.Context, desc ocispec.Descriptor) []ocispec.Descriptor {
	doc, err := x.documents(desc)
	if err != nil {
		x.warn(ctx, desc, err)
		return nil
	}
	list, ok := doc.(*image.List)
	if !ok {
		return nil
	}
	return list.Instances()
}

func (x *Index) warn(ctx context.Context, desc ocispec.Descriptor, err error) {
	x.opts.Logger.WarnContext(ctx, "an entry of index.json cannot be read, nor what it refers to", "layout", x.opts.Where, "digest", desc.Digest, "error", err)
}

// scan looks at all documents that index.json points at, the first time.
func (x *Index) scan(ctx context.Context) (*scan, error) {
	select {
	case x.scanning <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-x.scanning }()
	if x.referrers != nil {
		return x.referrers, nil
	}
	found := &scan{bySubject: map[digest.Digest][]referrer{}, refers: map[digest.Digest]bool{}}
	if err := x.lookAt(ctx, found); err != nil {
		return nil, err
	}
	x.referrers = found
	return found, nil
}

func (x *Index) lookAt(ctx context.Context, found *scan) error {
	seen := map[digest.Digest]bool{}
	var total int64
	for _, e := range x.list.Instances() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !image.IsDocument(e.MediaType) {
			continue
		}
		if subject, ok := taggedDigest(RefName(e)); ok && image.IsList(e.MediaType) {
			found.bySubject[subject] = append(found.bySubject[subject], referrer{e, true})
		}
		if seen[e.Digest] {
			continue
		}
		seen[e.Digest] = true
		if total >= x.opts.ScanBytes {
			x.opts.Logger.WarnContext(ctx, "referrers may be missing: index.json names too many documents to look at all of them", "layout", x.opts.Where, "bytes", total)
			return nil
		}
		doc, err := x.documents(e)
		if e.Size <= x.opts.Limits.DocumentBytes && !errdefs.IsNotFound(err) {
			total += e.Size // others were not read
		}
		if err != nil {
			x.warn(ctx, e, err)
			continue
		}
		found.document(e, doc)
	}
	return nil
}

// document notes the subject of an entry's document.
func (s *scan) document(e ocispec.Descriptor, doc image.Document) {
	subject := doc.Subject()
	if subject == nil {
		return
	}
	s.refers[e.Digest] = true
	desc := withoutName(e)
	if desc.ArtifactType == "" {
		desc.ArtifactType = doc.ArtifactType()
	}
	s.bySubject[subject.Digest] = append(s.bySubject[subject.Digest], referrer{desc: desc})
}

// taggedDigest returns the digest that a tag ALGORITHM-HEX stands for.
func taggedDigest(tag string) (digest.Digest, bool) {
	alg, hex, _ := strings.Cut(tag, "-")
	d, err := image.ParseDigest(alg + ":" + hex)
	return d, err == nil
}
