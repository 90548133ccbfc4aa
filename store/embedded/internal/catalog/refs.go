package catalog

import (
	"bytes"
	"cmp"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// The kinds of reasons in bucket refs why a blob must stay, and who follows them in the
// key: the digest of a document, the number of a lease, or the digest of the subject.
// That a record points at it is in bucket targets.
const (
	refParent  = 1
	refLease   = 2
	refSubject = 3
)

func refKey(d []byte, kind byte, who []byte) []byte { return join(d, []byte{kind}, who) }

// How a digest is in the graph below a root: as a document, whose own graph belongs to
// it, or as an image config, which is visible.
const (
	asConfig   = 1
	asDocument = 2
)

// inGraph returns how an edge takes its digest into the graph of a root; 0: not at all.
func inGraph(e image.Edge) byte {
	switch e.Role {
	case image.RoleIndex, image.RoleManifest, image.RoleAttestation:
		return asDocument
	case image.RoleConfig:
		if IsImageConfig(e.Desc.MediaType) {
			return asConfig
		}
	}
	return 0
}

// IsImageConfig reports whether the media type is that of an image config.
func IsImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == image.MediaTypeDockerConfig
}

// documentRoots returns the targets of records in whose graph a digest is as a document.
func (t *Tx) documentRoots(key []byte) [][]byte {
	var roots [][]byte
	t.each(bucketContained, key, func(k, how []byte) bool {
		if len(how) == 1 && how[0] == asDocument {
			roots = append(roots, bytes.Clone(k[len(key):]))
		}
		return true
	})
	return roots
}

// contain enters the graph of a document into the index of the root that it belongs to,
// as far as it is known.
func (t *Tx) contain(root, document []byte) {
	t.enter(root, document, asDocument)
	for todo := [][]byte{document}; len(todo) > 0; {
		key := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		f, err := t.facts(key)
		if err != nil {
			t.fail(err)
			return
		}
		if f == nil {
			continue
		}
		for _, e := range f.Edges {
			how := inGraph(e)
			if how == 0 {
				continue
			}
			child := digestKey(e.Desc.Digest)
			if how == asConfig && !t.has(bucketBlobs, child) {
				continue
			}
			if t.enter(root, child, how) && how == asDocument {
				todo = append(todo, child)
			}
		}
	}
}

// containConfig enters a blob that has become visible where it is an image config.
func (t *Tx) containConfig(key []byte) error {
	for _, parent := range t.rests(bucketRefs, join(key, []byte{refParent}), 0) {
		f, err := t.facts(parent)
		if err != nil && !IsDamaged(err) { // a damaged one is found by who reads it
			return err
		}
		if f == nil || !hasConfig(*f, key) {
			continue
		}
		for _, root := range t.documentRoots(parent) {
			t.enter(root, key, asConfig)
		}
	}
	return nil
}

func hasConfig(f store.Facts, key []byte) bool {
	return slices.ContainsFunc(f.Edges, func(e image.Edge) bool {
		return inGraph(e) == asConfig && bytes.Equal(digestKey(e.Desc.Digest), key)
	})
}

// uncontainConfig removes a blob that is visible no more where it is an image config.
func (t *Tx) uncontainConfig(key []byte) {
	var in [][]byte
	t.each(bucketContained, key, func(k, how []byte) bool {
		if len(how) == 1 && how[0] == asConfig {
			in = append(in, bytes.Clone(k))
		}
		return true
	})
	for _, k := range in {
		t.drop(bucketContained, k)
	}
}

// enter enters one digest, and reports whether that is new.
func (t *Tx) enter(root, key []byte, how byte) bool {
	if t.contained(root, key) >= how {
		return false
	}
	t.put(bucketContained, join(key, root), []byte{how})
	return true
}

// contained returns how a digest is in the graph of a root; 0: not at all.
func (t *Tx) contained(root, key []byte) byte {
	if how := t.get(bucketContained, join(key, root)); len(how) == 1 {
		return how[0]
	}
	return 0
}

// uncontain removes the graph of a root from the index.
func (t *Tx) uncontain(root []byte) {
	for todo := [][]byte{root}; len(todo) > 0; {
		key := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		k := join(key, root)
		how := t.get(bucketContained, k)
		if how == nil {
			continue
		}
		document := len(how) == 1 && how[0] == asDocument
		t.drop(bucketContained, k)
		if !document {
			continue
		}
		f, err := t.facts(key)
		if err != nil {
			t.fail(err)
			return
		}
		if f != nil {
			todo = append(todo, graphEdges(*f)...)
		}
	}
}

func graphEdges(f store.Facts) [][]byte {
	var all [][]byte
	for _, e := range f.Edges {
		if inGraph(e) != 0 {
			all = append(all, digestKey(e.Desc.Digest))
		}
	}
	return all
}

// uncontainBelow removes from the graphs of roots what only one of their documents, which is
// visible no more, has brought there. It looks at what that has brought and at the parents of
// it: a graph that is large is as a rule not read.
func (t *Tx) uncontainBelow(roots [][]byte, f store.Facts) {
	l := leaving{t: t, known: map[string][]taken{}}
	gone := takes(f)
	for _, root := range roots {
		if err := l.leave(root, gone); err != nil {
			t.fail(err)
			return
		}
	}
}

// taken is a digest that a document takes into the graph of a root.
type taken struct {
	key []byte
	how byte
}

// takes returns what a document takes into a graph, in the order of the keys, and each once.
func takes(f store.Facts) []taken {
	var all []taken
	for _, e := range f.Edges {
		if how := inGraph(e); how != 0 {
			all = append(all, taken{digestKey(e.Desc.Digest), how})
		}
	}
	slices.SortFunc(all, func(a, b taken) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(b.how, a.how))
	})
	return slices.CompactFunc(all, func(a, b taken) bool { return bytes.Equal(a.key, b.key) })
}

// leaving is one uncontainBelow.
type leaving struct {
	t     *Tx
	known map[string][]taken // by documents: a list is asked for each of its manifests
}

// leave goes down from what is taken into the graph of a root by one document less. What
// leaves, and was a document, takes nothing any more either; what has stayed for its sake is
// met again, for no document is below itself.
func (l *leaving) leave(root []byte, gone []taken) error {
	for todo := slices.Clone(gone); len(todo) > 0; {
		key := todo[len(todo)-1].key
		todo = todo[:len(todo)-1]
		was := l.t.contained(root, key)
		if was == 0 {
			continue
		}
		how, err := l.remains(root, key, was)
		if err != nil {
			return err
		}
		switch how {
		case was:
			continue
		case 0:
			l.t.drop(bucketContained, join(key, root))
		default:
			l.t.put(bucketContained, join(key, root), []byte{how})
		}
		if was == asDocument {
			below, err := l.takes(key)
			if err != nil {
				return err
			}
			todo = append(todo, below...)
		}
	}
	return nil
}

// remains returns how documents still take a digest into the graph of a root in which it was
// in some way.
func (l *leaving) remains(root, key []byte, was byte) (how byte, err error) {
	l.t.each(bucketRefs, join(key, []byte{refParent}), func(k, _ []byte) bool {
		parent := k[len(key)+1:]
		if l.t.contained(root, parent) != asDocument {
			return true
		}
		var all []taken
		if all, err = l.takes(parent); err != nil {
			return false
		}
		at, found := slices.BinarySearchFunc(all, key, func(n taken, key []byte) int { return bytes.Compare(n.key, key) })
		if found && (all[at].how == asDocument || l.t.has(bucketBlobs, key)) {
			how = max(how, all[at].how)
		}
		return how < was
	})
	return how, err
}

// takes returns what a document takes into a graph, as far as it is known.
func (l *leaving) takes(key []byte) (all []taken, err error) {
	all, there := l.known[string(key)]
	if there {
		return all, nil
	}
	f, err := l.t.facts(key)
	if err != nil {
		return nil, err
	}
	if f != nil {
		all = takes(*f)
	}
	l.known[string(key)] = all
	return all, nil
}
