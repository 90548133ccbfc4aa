package containerd

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// The labels of content.
const (
	// labelDocument has the media type by which content was understood.
	labelDocument = "io.dhow.document"
	// labelReference begins those by which containerd keeps what is below a document.
	labelReference = "containerd.io/gc.ref.content."
	// labelSubject is that by which it keeps what refers to a document.
	labelSubject = "containerd.io/gc.bref.content.dhow"
	// labelParent is that of an image config by which a classic build names its parent.
	labelParent = "org.mobyproject.image.parent"
)

// documents is what is known of documents, and of the health of blobs. It may know of
// some that are gone: whether content is there, containerd tells.
type documents struct {
	mu     sync.RWMutex
	known  map[digest.Digest]store.Facts
	health map[digest.Digest]health
}

func newDocuments() *documents {
	return &documents{known: map[digest.Digest]store.Facts{}, health: map[digest.Digest]health{}}
}

// facts returns those of a document, a manifest's with what its config says.
func (d *documents) facts(of digest.Digest) (store.Facts, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	facts, known := d.known[of]
	if config, ok := d.known[facts.Config]; ok {
		facts.Platform, facts.Created = config.Platform, config.Created
	}
	return facts, known
}

func (d *documents) put(of digest.Digest, facts store.Facts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[of] = facts
}

// drop forgets what documents say, of those which are below no record any more. Who needs it
// reads it again.
func (d *documents) drop(all []digest.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, of := range all {
		delete(d.known, of)
	}
}

// keep forgets all but what is there.
func (d *documents) keep(there set) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for of := range d.known {
		if _, stays := there[of]; !stays {
			delete(d.known, of)
		}
	}
	for of := range d.health {
		if _, stays := there[of]; !stays {
			delete(d.health, of)
		}
	}
}

// forget forgets what is gone.
func (d *documents) forget(of digest.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, of)
	delete(d.health, of)
}

// children returns the configs that say that they were built upon another one.
func (d *documents) children(parent digest.Digest) []digest.Digest {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var found []digest.Digest
	for of, facts := range d.known {
		if facts.Parent == parent {
			found = append(found, of)
		}
	}
	return found
}

// isImageConfig reports whether content is decoded as an image config.
func isImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == image.MediaTypeDockerConfig
}

// isDocument reports whether content of that media type and role is decoded.
func isDocument(mediaType string, role image.Role) bool {
	switch role {
	case image.RoleIndex, image.RoleManifest, image.RoleAttestation:
		return true
	case image.RoleConfig:
		return isImageConfig(mediaType)
	}
	return false
}

// limitOf returns how many bytes a document of a media type may have.
func limitOf(mediaType string) int64 {
	lim := image.Limits{}.WithDefaults()
	if isImageConfig(mediaType) {
		return lim.ConfigBytes
	}
	return lim.DocumentBytes
}

// checkSize refuses a document that is too large.
func checkSize(d digest.Digest, size int64, mediaType string) error {
	if limit := limitOf(mediaType); size > limit {
		return fmt.Errorf("document %s has %d bytes of at most %d: %w", d, size, limit, errdefs.ErrResourceExhausted)
	}
	return nil
}

// derive decodes a document.
func derive(data []byte, mediaType string) (store.Facts, error) {
	facts := store.Facts{MediaType: mediaType, Size: int64(len(data))}
	if isImageConfig(mediaType) {
		config, err := image.DecodeConfig(data, image.Limits{})
		if err != nil {
			return facts, err
		}
		facts.Platform = &config.Platform
		if created, err := time.Parse(time.RFC3339Nano, config.Created); err == nil {
			facts.Created = created
		}
		if parent, err := image.ParseDigest(config.Labels[labelParent]); err == nil {
			facts.Parent = parent
		}
		return facts, nil
	}
	doc, err := image.Decode(data, image.Declared{Descriptor: mediaType}, image.Limits{})
	if err != nil {
		return facts, err
	}
	facts.Edges, facts.ArtifactType = doc.Edges(), doc.ArtifactType()
	if subject := doc.Subject(); subject != nil {
		facts.Subject = subject.Digest
	}
	if manifest, ok := doc.(*image.Manifest); ok {
		facts.Config = manifest.Config().Digest
	}
	return facts, nil
}

// labelsOf returns the labels with which a document is kept: its media type, and what
// it keeps.
func labelsOf(facts store.Facts) map[string]string {
	labels := map[string]string{labelDocument: facts.MediaType}
	for i, e := range facts.Edges {
		labels[labelReference+"dhow."+strconv.Itoa(i)] = e.Desc.Digest.String()
	}
	if facts.Subject != "" {
		labels[labelSubject] = facts.Subject.String()
	}
	return labels
}

// learn reads a document that is there, if it is not known, and returns what it says.
func (s *Store) learn(ctx context.Context, d digest.Digest, size int64, mediaType string) (store.Facts, error) {
	if facts, known := s.docs.facts(d); known {
		return facts, nil
	}
	if err := checkSize(d, size, mediaType); err != nil {
		return store.Facts{}, err
	}
	data, err := s.readAll(ctx, d, size)
	if err != nil {
		return store.Facts{}, err
	}
	facts, err := derive(data, mediaType)
	if err != nil {
		return store.Facts{}, fmt.Errorf("document %s: %w", d, err)
	}
	s.docs.put(d, facts)
	return facts, nil
}

// learnEdge learns what an edge leads to, if that is a document and is there.
func (s *Store) learnEdge(ctx context.Context, e image.Edge) error {
	if !isDocument(e.Desc.MediaType, e.Role) {
		return nil
	}
	if _, known := s.docs.facts(e.Desc.Digest); known {
		return nil
	}
	info, err := s.info(ctx, e.Desc.Digest)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.learn(ctx, e.Desc.Digest, info.GetSize(), e.Desc.MediaType)
	return err
}

// learnGraph learns all documents below and including one, as far as they are there
// and can be read: what others wrote need not be as we would have it.
func (s *Store) learnGraph(ctx context.Context, root image.Edge) error {
	err := s.eachDocument(root, func(e image.Edge) error {
		err := s.learnEdge(ctx, e)
		if err == nil || ctx.Err() != nil || errdefs.IsUnavailable(err) {
			return err
		}
		s.log.Warn("a document in containerd cannot be read", "digest", e.Desc.Digest, "error", err)
		return nil
	})
	if errdefs.IsResourceExhausted(err) {
		s.log.Warn("an image in containerd is too large to be known as a whole", "digest", root.Desc.Digest, "error", err)
		return nil
	}
	return err
}

// eachDocument calls visit for the documents of a graph, each once and parents first. It
// goes on below those that are known then.
func (s *Store) eachDocument(root image.Edge, visit func(e image.Edge) error) error {
	lim := image.Limits{}.WithDefaults()
	seen := set{root.Desc.Digest: {}}
	level := []image.Edge{root}
	// Lists within the limit, and below the last of them manifest and config.
	for depth := 0; depth < lim.GraphDepth+2 && len(level) > 0; depth++ {
		var next []image.Edge
		for _, e := range level {
			if err := visit(e); err != nil {
				return err
			}
			facts, _ := s.docs.facts(e.Desc.Digest)
			for _, below := range facts.Edges {
				if _, again := seen[below.Desc.Digest]; again || !isDocument(below.Desc.MediaType, below.Role) {
					continue
				}
				if len(seen) == lim.GraphNodes {
					return fmt.Errorf("the graph of %s has more than %d documents: %w", root.Desc.Digest, lim.GraphNodes, errdefs.ErrResourceExhausted)
				}
				seen[below.Desc.Digest] = struct{}{}
				next = append(next, below)
			}
		}
		level = next
	}
	return nil
}

// label has containerd keep what is below a document that is there.
func (s *Store) label(ctx context.Context, d digest.Digest, facts store.Facts) error {
	labels := labelsOf(facts)
	mask := &fieldmaskpb.FieldMask{}
	for name := range maps.Keys(labels) {
		mask.Paths = append(mask.Paths, "labels."+name)
	}
	_, err := s.content.Update(ctx, &contentapi.UpdateRequest{Info: &contentapi.Info{Digest: d.String(), Labels: labels}, UpdateMask: mask})
	if err != nil {
		return fmt.Errorf("labelling %s: %w", d, err)
	}
	return nil
}

// adopt understands content that is there as a document, and has it keep what is below.
func (s *Store) adopt(ctx context.Context, d digest.Digest, size int64, mediaType string) (store.Facts, error) {
	facts, err := s.learn(ctx, d, size, mediaType)
	if err != nil {
		return store.Facts{}, err
	}
	return facts, s.label(ctx, d, facts)
}

// adoptGraph does so with all documents of a graph that are there.
func (s *Store) adoptGraph(ctx context.Context, root image.Edge) error {
	return s.eachDocument(root, func(e image.Edge) error {
		info, err := s.info(ctx, e.Desc.Digest)
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err == nil {
			_, err = s.adopt(ctx, e.Desc.Digest, info.GetSize(), e.Desc.MediaType)
		}
		return err
	})
}
