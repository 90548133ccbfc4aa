package ocilayout

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// maxScanBytes bounds the time for referrers to be found, not memory: documents
// are read one after the other, and none is kept.
const maxScanBytes = 1 << 30

// Options are those of an Index. The zero value is the default.
type Options struct {
	// Limits bound documents.
	Limits image.Limits
	// LastWins accepts several entries of one name: the last one counts. They are an
	// error otherwise.
	LastWins bool
	// NameOf returns the name of an entry, empty for none; nil: RefName.
	NameOf func(entry ocispec.Descriptor) string
	// NoPositions tells that an entry cannot be chosen by its position: then errors do not
	// speak of it.
	NoPositions bool
	// Where is what the log calls the layout.
	Where string
	// ScanBytes is after how many bytes of documents the search for referrers ends;
	// 0: 1 GiB.
	ScanBytes int64
	// Logger is told of what is damaged or odd; nil: nobody.
	Logger *slog.Logger
}

// Index is an index.json that is read. Its methods may be called concurrently.
type Index struct {
	list      *image.List
	documents func(desc ocispec.Descriptor) (image.Document, error)
	opts      Options

	flat atomic.Pointer[flat] // set by Root if it is that

	scanning  chan struct{} // holds a token while referrers is being made
	referrers *scan
}

// NewIndex returns the Index of a list. documents returns a document that an entry
// points at, verified and decoded.
func NewIndex(list *image.List, documents func(desc ocispec.Descriptor) (image.Document, error), opts Options) *Index {
	opts.Limits = opts.Limits.WithDefaults()
	if opts.NameOf == nil {
		opts.NameOf = RefName
	}
	if opts.ScanBytes == 0 {
		opts.ScanBytes = maxScanBytes
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Index{list: list, documents: documents, opts: opts, scanning: make(chan struct{}, 1)}
}

// Entries returns the entries in order.
func (x *Index) Entries() []ocispec.Descriptor { return x.list.Instances() }

// Self returns the bytes of index.json as an image, if Root has said that it is the
// image with that digest.
func (x *Index) Self(d digest.Digest) (data []byte, ok bool) {
	if f := x.flat.Load(); f != nil && f.desc.Digest == d {
		return f.data, true
	}
	return nil, false
}

// Names calls yield with each name in the index, once and in its order. Names come
// from the layout and need not be valid.
func (x *Index) Names(ctx context.Context, yield func(name string) bool) error {
	seen := map[string]bool{}
	for _, e := range x.list.Instances() {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := x.opts.NameOf(e)
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if !yield(name) {
			return nil
		}
	}
	return nil
}
