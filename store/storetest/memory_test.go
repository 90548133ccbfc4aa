package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
)

// disk is what a store in memory keeps when it is closed. It scans for everything: it
// is there to test the suite, and is meant to be seen to be right.
type disk struct {
	blobs   map[digest.Digest]*memBlob
	names   map[string]store.Record // by Key
	leases  map[string]*memLease
	partial map[string]*memPartial
	open    *memory // the store that has it open
	mutant  string  // what this one does wrong; empty: nothing
	lost    bool    // something has lost what needed it since the last collection
}

type memBlob struct {
	data     []byte
	size     int64
	created  time.Time
	facts    *store.Facts // of a document
	verified bool         // in this epoch
}

type memLease struct {
	store.Lease
	held  map[digest.Digest]bool
	ended bool // its process is no more
}

func (l *memLease) over() bool {
	return l.ended || !l.Until.IsZero() && !time.Now().Before(l.Until)
}

type memPartial struct {
	data             []byte
	started, updated time.Time
	open             bool
}

// memory is a store in memory.
type memory struct {
	*disk
	mu      sync.Mutex
	writing map[digest.Digest]chan struct{} // closed when the blob is complete or given up
	ready   map[digest.Digest][]byte        // complete, and wanted by batches
	batches map[*memBatch]bool
	readers map[digest.Digest]int
}

// is reports whether the store does something wrong.
func (d *disk) is(mutant string) bool { return d.mutant == mutant }

// memoryPlace returns a place with an empty store that does something wrong, or
// nothing.
func memoryPlace(mutant string) Place {
	return (&disk{
		blobs: map[digest.Digest]*memBlob{}, names: map[string]store.Record{}, leases: map[string]*memLease{},
		partial: map[string]*memPartial{}, mutant: mutant,
	}).place()
}

func (d *disk) place() Place {
	return Place{
		Open: func(context.Context) (store.Store, error) {
			if d.open != nil {
				return nil, errors.New("the store is open")
			}
			d.open = &memory{
				disk: d, writing: map[digest.Digest]chan struct{}{}, ready: map[digest.Digest][]byte{},
				batches: map[*memBatch]bool{}, readers: map[digest.Digest]int{},
			}
			return d.open, nil
		},
		Crash: func(testing.TB) Place {
			d.open.mu.Lock()
			defer d.open.mu.Unlock()
			return d.killed().place()
		},
		Damage: func(dgst digest.Digest, change func([]byte) []byte) error {
			d.blobs[dgst].data = change(d.blobs[dgst].data)
			return nil
		},
		Ended: func(_ testing.TB, l store.Lease) {
			d.leases[l.ID] = &memLease{Lease: l, ended: l.Process, held: map[digest.Digest]bool{}}
		},
	}
}

// killed returns what is left after a kill.
func (d *disk) killed() *disk {
	left := &disk{
		blobs: map[digest.Digest]*memBlob{}, names: maps.Clone(d.names), leases: map[string]*memLease{},
		partial: map[string]*memPartial{}, mutant: d.mutant, lost: true,
	}
	for dgst, b := range d.blobs {
		blob := *b
		blob.verified = false
		left.blobs[dgst] = &blob
	}
	for id, l := range d.leases {
		left.leases[id] = &memLease{Lease: l.Lease, ended: l.ended, held: maps.Clone(l.held)}
	}
	for ref, p := range d.partial {
		left.partial[ref] = &memPartial{data: slices.Clone(p.data), started: p.started, updated: p.updated}
	}
	if d.is("a kill undoes names") {
		clear(left.names)
	}
	if d.is("a kill shows what was complete") {
		for dgst, data := range d.open.ready {
			left.blobs[dgst] = &memBlob{data: data, size: int64(len(data)), created: time.Now()}
		}
	}
	return left
}

// enter begins a call.
func (m *memory) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil && !m.is("contexts are not heeded") {
		return nil, err
	}
	m.mu.Lock()
	return m.mu.Unlock, nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = nil
	m.lost = m.lost || len(m.readers) > 0
	return nil
}

func notFound(what string) error { return fmt.Errorf("%s: %w", what, errdefs.ErrNotFound) }

// visible returns a visible blob.
func (m *memory) visible(d digest.Digest) (*memBlob, error) {
	if _, err := image.ParseDigest(string(d)); err != nil {
		return nil, err
	}
	if b := m.blobs[d]; b != nil {
		return b, nil
	}
	return nil, notFound(d.String())
}

// good reports whether the bytes of a visible blob are what they should be.
func (m *memory) good(d digest.Digest) bool {
	b := m.blobs[d]
	return int64(len(b.data)) == b.size && d.Algorithm().FromBytes(b.data) == d
}

// factsOf returns the facts of a visible document.
func (m *memory) factsOf(d digest.Digest) (store.Facts, error) {
	b, err := m.visible(d)
	if err != nil {
		return store.Facts{}, err
	}
	if b.facts == nil {
		return store.Facts{}, notFound("facts of " + d.String())
	}
	facts := *b.facts
	if config := m.blobs[facts.Config]; config != nil && config.facts != nil && !m.is("a manifest has no platform") {
		facts.Platform, facts.Created = config.facts.Platform, config.facts.Created
	}
	return facts, nil
}

// derive decodes a document and returns its facts; nil for what is none.
func (m *memory) derive(desc ocispec.Descriptor, role image.Role, data []byte) (*store.Facts, error) {
	facts := &store.Facts{MediaType: desc.MediaType, Size: int64(len(data))}
	switch {
	case m.is("bad documents are taken") && !image.IsDocument(desc.MediaType):
		return nil, nil //nolint:nilnil // see above
	case role == image.RoleConfig && (desc.MediaType == ocispec.MediaTypeImageConfig || desc.MediaType == image.MediaTypeDockerConfig):
		config, err := image.DecodeConfig(data, image.Limits{})
		if err != nil {
			return nil, err
		}
		facts.Platform = &config.Platform
		if created, err := time.Parse(time.RFC3339Nano, config.Created); err == nil {
			facts.Created = created
		}
		if parent, err := image.ParseDigest(config.Labels[labelParent]); err == nil {
			facts.Parent = parent
		}
	case slices.Contains([]image.Role{image.RoleManifest, image.RoleIndex, image.RoleAttestation}, role):
		doc, err := image.Decode(data, image.Declared{Descriptor: desc.MediaType}, image.Limits{})
		if err != nil {
			return nil, err
		}
		facts.Edges, facts.ArtifactType = doc.Edges(), doc.ArtifactType()
		if subject := doc.Subject(); subject != nil {
			facts.Subject = subject.Digest
		}
		if manifest, ok := doc.(*image.Manifest); ok {
			facts.Config = manifest.Config().Digest
		}
	default:
		return nil, nil //nolint:nilnil // see above
	}
	return facts, nil
}
