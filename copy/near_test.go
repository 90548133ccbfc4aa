package copy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/transport"
)

// readable is a destination that gives back what it has, but for what is damaged.
type readable struct {
	place
	damaged map[digest.Digest]bool
}

func (p *readable) Read(_ context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data := p.Get(desc.Digest)
	switch {
	case p.damaged[desc.Digest]:
		return nil, fmt.Errorf("damaged: %w", errdefs.ErrDataLoss)
	case data == nil || int64(len(data)) > limit:
		return nil, errdefs.ErrNotFound
	}
	return data, nil
}

var _ transport.Readable = (*readable)(nil)

// What a destination has and gives back of an image is not read from the source, be it of
// the image or of what is attached to it.
func TestWhatIsThereIsNotRead(t *testing.T) {
	t.Parallel()
	s, dst := newSample().attach(), &readable{}
	part := copy.Options{Selection: some(copy.AbsentDefault, linux("amd64", ""))}
	mustCopy(t, dst, s, part)

	s.opened = nil
	mustCopy(t, dst, s, part)
	if len(s.opened) > 0 {
		t.Errorf("read again: %v", s.opened)
	}
	mustCopy(t, dst, s, copy.Options{Selection: some(copy.AbsentDefault, linux("amd64", ""), linux("arm64", "v8"))})
	for _, d := range s.opened {
		if d == s.root.Digest || d == s.amd64.Digest || d == s.sbom.Digest {
			t.Errorf("%s was read again", d)
		}
	}
	if !slices.Contains(s.opened, s.arm64.Digest) {
		t.Error("what was not there was not read")
	}

	dst.damaged = map[digest.Digest]bool{s.root.Digest: true}
	s.opened = nil
	mustCopy(t, dst, s, part)
	if !slices.Equal(s.opened, []digest.Digest{s.root.Digest}) {
		t.Errorf("read from the source: %v; want only the list, which is damaged", s.opened)
	}
}

// A caller may choose among all entries of a list, those of nested lists too.
func TestChoose(t *testing.T) {
	t.Parallel()
	s, dst := newSample(), &place{}
	s.root = s.Index(s.amd64, s.Index(s.arm64, s.armv7), s.attested[0], s.attested[1])
	var seen []digest.Digest
	choose := func(positions []int, err error) copy.Options {
		return copy.Options{Selection: copy.Selection{Mode: copy.Some, Choose: func(entries []ocispec.Descriptor) ([]int, error) {
			seen = nil
			for _, e := range entries {
				seen = append(seen, e.Digest)
			}
			return positions, err
		}}}
	}
	mustCopy(t, dst, s, choose([]int{1}, nil))
	if want := []digest.Digest{s.amd64.Digest, s.arm64.Digest, s.armv7.Digest, s.attested[0].Digest, s.attested[1].Digest}; !slices.Equal(seen, want) {
		t.Errorf("asked to choose among %v; want %v", seen, want)
	}
	for desc, want := range map[digest.Digest]bool{s.arm64.Digest: true, s.attested[1].Digest: true, s.amd64.Digest: false, s.attested[0].Digest: false} {
		if got := dst.Get(desc) != nil; got != want {
			t.Errorf("%s was copied: %v", desc, got)
		}
	}
	none := errors.New("none of them")
	for what, tc := range map[string]struct {
		opts copy.Options
		want error
	}{
		"an error":       {choose(nil, none), none},
		"beyond":         {choose([]int{5}, nil), errdefs.ErrInvalidArgument},
		"before":         {choose([]int{-1}, nil), errdefs.ErrInvalidArgument},
		"with all modes": {copy.Options{Selection: copy.Selection{Mode: copy.All, Choose: choose(nil, nil).Selection.Choose}}, errdefs.ErrInvalidArgument},
	} {
		if _, err := copy.Image(t.Context(), &place{}, s, tc.opts); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v; want %v", what, err, tc.want)
		}
	}
}

// copier is a source whose readers are files that are no *os.File.
type copier struct{ place }

func (p *copier) Open(ctx context.Context, desc ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	r, err := p.place.Open(ctx, desc, from)
	return copiedReader{r}, err
}

type copiedReader struct{ io.ReadCloser }

func (r copiedReader) CopyTo(dst *os.File, n int64) (int64, error) {
	return io.Copy(dst, io.LimitReader(r.ReadCloser, n))
}

// What can be copied from file to file comes to the destination as such.
func TestFileCopier(t *testing.T) {
	t.Parallel()
	s := &copier{}
	s.root = newSampleInto(&s.place)
	dst := &fileDestination{dir: t.TempDir()}
	mustCopy(t, dst, s, copy.Options{})
	if dst.copied == 0 {
		t.Error("nothing was copied from file to file")
	}
}

// newSampleInto makes an image in a place.
func newSampleInto(p *place) ocispec.Descriptor {
	s := newSample()
	for _, d := range s.Digests() {
		p.Set(d, s.Get(d))
	}
	return s.amd64
}

// fileDestination has a blob be copied to a file where that is offered.
type fileDestination struct {
	place
	dir    string
	copied int
}

func (p *fileDestination) Has(context.Context, transport.Node) (transport.Have, error) {
	return transport.Absent, nil
}

func (p *fileDestination) Put(ctx context.Context, n transport.Node, open transport.Opener) (transport.Outcome, error) {
	r, err := open(ctx, 0)
	if err != nil {
		return transport.Outcome{}, err
	}
	defer r.Close()
	from, ok := r.(durable.FileCopier)
	if !ok {
		return p.place.Put(ctx, n, func(context.Context, int64) (io.ReadCloser, error) { return r, nil })
	}
	name := filepath.Join(p.dir, n.Desc.Digest.Encoded())
	f, err := os.Create(name)
	if err != nil {
		return transport.Outcome{}, err
	}
	_, err = from.CopyTo(f, n.Desc.Size)
	if err = errors.Join(err, f.Close()); err != nil {
		return transport.Outcome{}, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return transport.Outcome{}, err
	}
	p.mu.Lock()
	p.copied++
	p.mu.Unlock()
	return p.place.Put(ctx, n, func(context.Context, int64) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}
