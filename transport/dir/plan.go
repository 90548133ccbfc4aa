package dir

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/rootfile"
	"github.com/dhowhq/dhow/transport"
)

// step is one change of Commit: a file gets a content, or is removed.
type step struct {
	name   string
	data   []byte
	remove bool
}

func write(name string, data []byte) step { return step{name: name, data: data} }

func remove(name string) step { return step{name: name, remove: true} }

// change is what Commit does.
type change struct {
	steps []step
	there map[string]bool // the contents of the new image that are there already
}

// planner finds the steps from what is in the directory to the target.
type planner struct {
	root *os.Root
	lim  image.Limits
	to   target
	sigs map[digest.Digest][]transport.Signature

	there   listing
	signed  map[digest.Digest][]int // the numbers of the signatures that are there, sorted
	current *document               // the image that is there, or nil
	next    document                // the image that will be
	keep    map[string]bool
}

// plan returns what Commit does; no steps if all is as it shall be. Their order is
// such that nobody sees half an image wherever they end:
//
//  1. What the new image needs is there, under names of digests. A manifest that
//     is only in manifest.json, and is not the new root, gets its own file.
//  2. The version goes up to 1.2 if it must.
//  3. The signatures that are named by digest become the new ones. They are bound
//     to their manifests, so the old image, if it has these, gets newer signatures
//     and no wrong ones. The signatures of the old and the new root are written by
//     digest as well, in the place of those to come:
//  4. The old signature-1 goes, and hides signature-2 and so on.
//  5. manifest.json is replaced: from here on it is the new image.
//  6. signature-N and so on down to signature-1 are written.
//  7. The version goes down to 1.1 if it may, and files of the format that the new
//     image does not need are removed.
//
// From 4 to 6 neither root has a signature-1. A Source then reads those of step 3
// and sees no difference. A reader that does not know of them sees one of the two
// images unsigned, which a policy that asks for signatures refuses; it never sees
// a root beside the signatures of another one. Where neither image is signed,
// step 5 alone switches them.
func (d *Destination) plan(ctx context.Context, root *os.Root, to target) (change, error) {
	p := planner{root: root, lim: d.opts.Limits, to: to, keep: map[string]bool{}}
	d.mu.Lock()
	p.sigs = maps.Clone(d.sigs)
	for name := range d.wanted {
		p.keep[name] = true
	}
	d.mu.Unlock()
	var err error
	if p.there, err = list(root); err != nil {
		return change{}, err
	}
	p.signed = p.there.signatures()
	if p.current, err = currentRoot(root, p.lim); err != nil {
		return change{}, err
	}
	if p.next, err = p.named(to.root); err != nil {
		return change{}, err
	}
	steps, err := p.contents(ctx)
	if err != nil {
		return change{}, err
	}
	up, down := p.versions()
	byDigest, hide, show, err := p.signatures()
	if err != nil {
		return change{}, err
	}
	steps = slices.Concat(steps, up, byDigest, hide)
	if p.current == nil || !slices.Equal(p.current.data, p.next.data) {
		steps = append(steps, write(rootName, p.next.data))
	}
	steps = slices.Concat(steps, show, down)
	steps = append(steps, p.removals(steps)...)
	maps.DeleteFunc(p.keep, func(name string, _ bool) bool { return !p.there.has(name) })
	return change{steps, p.keep}, p.checkDirectories(steps)
}

// named reads a manifest or list that has a name, and so must be there.
func (p *planner) named(desc ocispec.Descriptor) (document, error) {
	doc, err := p.find(desc)
	if errdefs.IsNotFound(err) {
		err = gone(desc.Digest.String())
	}
	return doc, err
}

// find reads a manifest or list that is in the directory, and verifies it. A file
// of that name with other bytes is passed over.
func (p *planner) find(desc ocispec.Descriptor) (document, error) {
	var failed error = errdefs.ErrNotFound
	for _, name := range contentNames(desc.MediaType, desc.Digest) {
		data, err := rootfile.Read(p.root, name, p.lim.DocumentBytes)
		if err == nil {
			err = image.VerifyBytes(data, desc)
		}
		if err == nil {
			return document{desc, data}, nil
		}
		if !errdefs.IsNotFound(err) {
			failed = err
		}
	}
	if p.current != nil && image.VerifyBytes(p.current.data, desc) == nil {
		return document{desc, p.current.data}, nil
	}
	return document{}, failed
}

// gone is the error for a file that must be there.
func gone(what string) error {
	return fmt.Errorf("%s is not there: it was not put, or another process has replaced the image meanwhile: %w", what, errdefs.ErrFailedPrecondition)
}

// contents fills keep with the contents of the new image. Its steps write those
// manifests that have no file of their own.
func (p *planner) contents(ctx context.Context) ([]step, error) {
	docs := []document{p.next}
	for _, desc := range p.to.further {
		doc, err := p.named(desc)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
		p.keep[contentNames(desc.MediaType, desc.Digest)[0]] = true
	}
	if err := p.reach(ctx, docs); err != nil {
		return nil, err
	}
	// The root has manifest.json. It has another file only to tell its digest.
	root := p.next.desc.Digest
	delete(p.keep, blobName(root))
	p.keep[manifestName(root)] = true
	if root.Algorithm() == digest.SHA256 {
		delete(p.keep, manifestName(root))
	}
	var steps []step
	for _, name := range slices.Sorted(maps.Keys(p.keep)) {
		switch d := parseEntry(name).digest; {
		case d == root && !p.holds(name, p.next.data):
			steps = append(steps, write(name, p.next.data))
		case p.there.has(name):
		case p.current != nil && p.current.is(d):
			steps = append(steps, write(name, p.current.data))
		default:
			return nil, gone(name)
		}
	}
	return steps, nil
}

// reach adds to keep the files that are there of all that the documents lead to.
// What is missing is not asked for: an image may be sparse. What does not decode
// leads nowhere.
func (p *planner) reach(ctx context.Context, docs []document) error {
	seen := map[digest.Digest]bool{}
	for len(docs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		doc := docs[len(docs)-1]
		docs = docs[:len(docs)-1]
		decoded, err := image.Decode(doc.data, image.Declared{Descriptor: doc.desc.MediaType}, p.lim)
		if err != nil {
			continue
		}
		for _, edge := range decoded.Edges() {
			if seen[edge.Desc.Digest] {
				continue
			}
			seen[edge.Desc.Digest] = true
			child, err := p.enter(edge)
			if err != nil {
				return err
			}
			docs = append(docs, child...)
		}
		if len(seen) > p.lim.GraphNodes {
			return fmt.Errorf("the image has more than %d descriptors: %w", p.lim.GraphNodes, errdefs.ErrResourceExhausted)
		}
	}
	return nil
}

// enter adds to keep the files that are there of one descriptor, and returns the
// document that is in them, if any.
func (p *planner) enter(edge image.Edge) ([]document, error) {
	for _, name := range contentNames(edge.Desc.MediaType, edge.Desc.Digest) {
		if p.there.has(name) {
			p.keep[name] = true
		}
	}
	if !isDocument(transport.Node{Desc: edge.Desc, Role: edge.Role}) {
		return nil, nil
	}
	doc, err := p.find(edge.Desc)
	if err != nil {
		if isContentError(err) {
			return nil, nil
		}
		return nil, err
	}
	return []document{doc}, nil
}

// versions returns the step to the version of the new image, as one that comes
// before it or one that comes after: an image may have a version that is higher
// than it needs.
func (p *planner) versions() (up, down []step) {
	need := sha256Version()
	for name := range p.keep {
		if e := parseEntry(name); e.digest != "" && e.digest.Algorithm() != digest.SHA256 {
			need = newestVersion()
		}
	}
	set := []step{write(versionName, need.content())}
	have, err := readVersion(p.root)
	switch {
	case err != nil || have.less(need):
		return set, nil
	case need.less(have):
		return nil, set
	}
	return nil, nil
}

// removals returns the steps that remove files of the format which are there, or
// will be after the steps, and which the new image does not need.
func (p *planner) removals(steps []step) []step {
	names := map[string]bool{}
	for name, e := range p.there {
		names[name] = !e.isDir
	}
	for _, s := range steps {
		names[s.name] = !s.remove
	}
	var out []step
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if names[name] && !p.keep[name] && parseEntry(name).kind != foreignEntry {
			out = append(out, remove(name))
		}
	}
	return out
}

// checkDirectories fails if a step would meet a directory.
func (p *planner) checkDirectories(steps []step) error {
	for _, s := range steps {
		if p.there[s.name].isDir {
			return fmt.Errorf("%s is a directory, and in the way: %w", s.name, errdefs.ErrFailedPrecondition)
		}
	}
	return nil
}
