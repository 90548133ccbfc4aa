package copy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/transport"
)

// Bounds on what is attached to one image.
const (
	referrersOfOne = 1000 // referrers of one subject
	attachedDepth  = 8    // referrers of referrers
)

// attached finds what belongs to the documents of the image, and what belongs to
// that in turn: referrers and digest tags. What cannot be carried stays behind with
// the reason: nobody's attachment may keep an image from being copied.
func (l *loader) attached(ctx context.Context) error {
	tags, err := l.ahead.digestTags(ctx)
	if err != nil && !errdefs.IsNotFound(err) { // a place that knows no names has none
		return fmt.Errorf("listing the names at the source: %w", err)
	}
	known := map[digest.Digest]bool{}
	subjects := l.newDocuments(l.Graph, known)
	for depth := 0; len(subjects) > 0; depth++ {
		found, err := l.attachedTo(ctx, subjects, tags)
		if err != nil {
			return err
		}
		subjects = nil
		for _, a := range found {
			if depth == attachedDepth {
				l.leave(a.Graph.Root, a.Subject, Skipped, fmt.Sprintf("more than %d referrers upon one another", attachedDepth))
				continue
			}
			l.Attached = append(l.Attached, a)
			subjects = append(subjects, l.newDocuments(a.Graph, known)...)
		}
	}
	return nil
}

// newDocuments returns the documents of a graph that are not known yet, in its
// order, and makes them known.
func (l *loader) newDocuments(g *image.Graph, known map[digest.Digest]bool) []digest.Digest {
	var docs []digest.Digest
	for _, n := range g.Nodes() {
		if (n.Doc != nil || l.Complete && isDocument(n.Role)) && !known[n.Desc.Digest] {
			known[n.Desc.Digest] = true
			docs = append(docs, n.Desc.Digest)
		}
	}
	return docs
}

// attachedTo returns the graphs attached to the subjects: of each its referrers,
// then its digest tags.
func (l *loader) attachedTo(ctx context.Context, subjects []digest.Digest, tags map[digest.Digest][]string) ([]Attached, error) {
	found := make([][]Attached, len(subjects))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, subject := range subjects {
		g.Go(func() error {
			referrers, err := l.referrersOf(ctx, subject)
			if err != nil {
				return err
			}
			tagged, err := l.tagsOf(ctx, subject, tags[subject])
			found[i] = append(referrers, tagged...)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// referrersOf reads the graphs of the manifests that refer to a subject, and
// passes over those that do not really.
func (l *loader) referrersOf(ctx context.Context, subject digest.Digest) ([]Attached, error) {
	descs, err := l.ahead.referrersOf(ctx, subject)
	if len(descs) > 0 && errdefs.IsResourceExhausted(err) {
		l.note("not all referrers of %s are carried: %v", subject, err)
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the referrers of %s: %w", subject, err)
	}
	if len(descs) > referrersOfOne {
		l.note("%s has %d referrers: only the first %d are carried", subject, len(descs), referrersOfOne)
		descs = descs[:referrersOfOne]
	}
	var found []Attached
	for _, desc := range descs {
		graph, err := l.graphOf(ctx, desc, subject, "listed as a referrer")
		if err != nil {
			return nil, err
		}
		if graph == nil {
			continue
		}
		switch doc := graph.Root.Doc; {
		case doc == nil:
			l.leave(graph.Root, subject, Skipped, fmt.Sprintf("listed as a referrer, but its media type %q is not that of a manifest", desc.MediaType))
		case doc.Subject() == nil:
			l.leave(graph.Root, subject, Skipped, "listed as a referrer, but it names no subject")
		case doc.Subject().Digest != subject:
			l.leave(graph.Root, subject, Skipped, "listed as a referrer, but its subject is "+doc.Subject().Digest.String())
		default:
			found = append(found, Attached{Graph: graph, Subject: subject, Signature: isSignature(doc.ArtifactType())})
		}
	}
	return found, nil
}

// graphOf reads an attached graph. What is missing, or nothing that could be
// carried, is left behind, and the graph nil; what is damaged is an error.
func (l *loader) graphOf(ctx context.Context, desc ocispec.Descriptor, subject digest.Digest, is string) (*image.Graph, error) {
	graph, err := l.walk(ctx, desc, nil, func(n *image.Node, err error) error {
		return fmt.Errorf("%s %s is missing: %w", n.Role, n.Desc.Digest, err)
	})
	action := Skipped
	switch {
	case err == nil:
		return graph, nil
	case errdefs.IsNotFound(err):
		action = Missing
	case !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) && !errdefs.IsResourceExhausted(err):
		return nil, fmt.Errorf("what is %s of %s: %w", is, subject, err)
	}
	l.leave(&image.Node{Desc: desc, Role: image.RoleManifest}, subject, action, fmt.Sprintf("%s, but: %v", is, err))
	return nil, nil //nolint:nilnil // nothing to carry, and no error
}

func (l *loader) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
}

// leave notes a root that is not carried.
func (l *loader) leave(n *image.Node, subject digest.Digest, action Action, reason string) {
	e := entryOf(n, action, reason)
	e.Subject = subject
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Left = append(l.Left, e)
}

// isSignature reports whether an artifact type is that of a signature over its
// subject's digest.
func isSignature(artifactType string) bool {
	switch artifactType {
	case "application/vnd.cncf.notary.signature", "application/vnd.dev.cosign.artifact.sig.v1+json":
		return true
	}
	return strings.HasPrefix(artifactType, "application/vnd.dev.sigstore.bundle")
}

// digestOfTag returns the digest that a digest tag is made of.
func digestOfTag(tag string) (digest.Digest, bool) {
	base, kind, _ := strings.Cut(tag, ".")
	if kind != "sig" && kind != "att" && kind != "sbom" {
		return "", false
	}
	alg, hex, _ := strings.Cut(base, "-")
	d, err := image.ParseDigest(alg + ":" + hex)
	return d, err == nil
}

// tagsOf reads the graphs of the digest tags of a subject.
func (l *loader) tagsOf(ctx context.Context, subject digest.Digest, names []string) ([]Attached, error) {
	slices.Sort(names)
	var found []Attached
	for _, name := range names {
		a, err := l.tagged(ctx, name, subject)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", name, err)
		}
		if a.Graph != nil {
			found = append(found, a)
		}
	}
	return found, nil
}

// tagged reads the graph of one digest tag; one that is not to be carried has no
// Graph.
func (l *loader) tagged(ctx context.Context, name string, subject digest.Digest) (Attached, error) {
	desc, err := l.src.(transport.Lister).Resolve(ctx, name)
	if errdefs.IsNotFound(err) {
		return Attached{}, nil // it was removed since the names were listed
	}
	if err != nil {
		return Attached{}, err
	}
	graph, err := l.graphOf(ctx, desc, subject, fmt.Sprintf("tagged %q", name))
	if graph == nil {
		return Attached{}, err
	}
	reason, err := l.strayTag(ctx, graph, subject)
	switch {
	case errdefs.IsNotFound(err):
		l.leave(graph.Root, subject, Missing, fmt.Sprintf("tagged %q, but its payload is missing", name))
	case err != nil:
		return Attached{}, err
	case reason != "":
		l.leave(graph.Root, subject, Skipped, fmt.Sprintf("tagged %q, but %s", name, reason))
	default:
		return Attached{Graph: graph, Subject: subject, Name: name, Signature: strings.HasSuffix(name, ".sig")}, nil
	}
	return Attached{}, nil
}

// strayTag returns why what a digest tag points at does not belong to the subject
// that its name spells, or nothing if it does: what names a subject must name
// this one.
func (l *loader) strayTag(ctx context.Context, graph *image.Graph, subject digest.Digest) (string, error) {
	doc := graph.Root.Doc
	if doc == nil {
		return "it is not a manifest", nil
	}
	if s := doc.Subject(); s != nil && s.Digest != subject {
		return "its subject is " + s.Digest.String(), nil
	}
	for _, n := range graph.Nodes() {
		if n.Role != image.RoleLayer {
			continue
		}
		claim := claimIn(n.Desc.MediaType)
		if claim == nil || n.Desc.Size > claimBytes {
			continue
		}
		data, err := l.content(ctx, n.Desc, claimBytes)
		if err != nil {
			return "", err
		}
		if claimed := claim(data); !slices.Contains(claimed, subject) {
			return fmt.Sprintf("its payload %s is about %q", n.Desc.Digest, claimed), nil
		}
	}
	return "", nil
}
