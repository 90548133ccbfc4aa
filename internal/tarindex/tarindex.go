// Package tarindex finds the members of a tar archive that may be hostile, so that they
// can be read where they stand. Nothing is unpacked: the name of a member is a key, and
// never a path in a file system.
//
// What other readers could take for another archive is refused: a name that comes twice,
// that is absolute or has "..", a size or name that is said in two ways. So are sparse
// members. Errors are errdefs.ErrInvalidArgument for what is malformed or ambiguous,
// errdefs.ErrResourceExhausted for what is beyond a limit, and errdefs.ErrNotImplemented
// for sparse members; they name the entry.
package tarindex

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

const (
	// maxMembers bounds the entries of an archive, of whatever kind.
	maxMembers = 100_000

	// maxName bounds a name, and the target of a link.
	maxName = 4096

	// maxNames bounds all of them together, and with it the memory of an Index.
	maxNames = 16 << 20

	blockSize = 512
)

// Member is one regular file of an archive.
type Member struct {
	// Name is its path in the archive, as path.Clean writes it.
	Name string
	// Offset is where its bytes begin in the archive.
	Offset int64
	// Size is how many they are.
	Size int64
}

// Index knows the members of an archive. It is immutable, and safe for concurrent use as
// far as what it reads from is.
type Index struct {
	r       io.ReaderAt
	entries map[string]entry
	files   []string
	ended   bool
}

// entry is a member of any kind.
type entry struct {
	Member
	kind byte // of archive/tar
	link string
}

// Read indexes the archive that the first size bytes of r are. It reads headers only. An
// archive without an end mark is accepted; see Ended.
func Read(ctx context.Context, r io.ReaderAt, size int64) (*Index, error) {
	s := &scanner{Index: &Index{r: r, entries: map[string]entry{}}, size: size, section: io.NewSectionReader(r, 0, size)}
	s.tar = tar.NewReader(s.section)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		hdr, err := s.tar.Next()
		switch {
		case errors.Is(err, io.EOF):
			s.ended = s.isZero(s.next)
			return s.Index, nil
		case err != nil:
			return nil, fmt.Errorf("entry %d of the archive: %w", n, kindOf(err))
		case n == maxMembers:
			return nil, fmt.Errorf("the archive has more than %d entries: %w", maxMembers, errdefs.ErrResourceExhausted)
		}
		if err := s.add(hdr); err != nil {
			return nil, fmt.Errorf("entry %d of the archive, %s: %w", n, strictjson.Quote(hdr.Name), err)
		}
	}
}

// kindOf gives an error of archive/tar its kind.
func kindOf(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the archive is cut off: %w", errdefs.ErrInvalidArgument)
	case errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("%w: %w", err, errdefs.ErrResourceExhausted)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("no valid header of a tar archive: %w", errdefs.ErrInvalidArgument)
	}
	return err
}

// scanner is the state of one Read.
type scanner struct {
	*Index
	size    int64
	section *io.SectionReader
	tar     *tar.Reader
	next    int64 // where the headers of the next entry begin
	names   int64 // bytes of all names so far
}

// add notes the entry whose header was just read.
func (s *scanner) add(hdr *tar.Header) error {
	data, err := s.section.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	headers := s.next
	s.next = wholeBlocks(data + s.stored(hdr))
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return checkGlobal(hdr)
	}
	if isSparse(hdr) {
		return fmt.Errorf("it is a sparse file: %w", errdefs.ErrNotImplemented)
	}
	if err := s.checkHeaders(hdr, headers, data); err != nil {
		return err
	}
	name, err := cleanName(hdr.Name)
	if err != nil {
		return err
	}
	s.names += int64(len(hdr.Name) + len(hdr.Linkname))
	if len(hdr.Linkname) > maxName || s.names > maxNames {
		return fmt.Errorf("names may have %d bytes, and %d together: %w", maxName, maxNames, errdefs.ErrResourceExhausted)
	}
	if left := s.size - data; hdr.Size > left && hdr.Typeflag == tar.TypeReg {
		return fmt.Errorf("it has %d bytes, but the archive is cut off after %d of them: %w", hdr.Size, max(left, 0), errdefs.ErrInvalidArgument)
	}
	return s.note(entry{Member{name, data, hdr.Size}, hdr.Typeflag, hdr.Linkname})
}

// note adds an entry to the index. Directories may come as often as they like: nothing is
// looked for in them.
func (s *scanner) note(e entry) error {
	old, twice := s.entries[e.Name]
	switch {
	case !twice:
	case old.kind == tar.TypeDir && e.kind == tar.TypeDir:
		return nil
	default:
		return fmt.Errorf("the archive has two entries of that name: %w", errdefs.ErrInvalidArgument)
	}
	s.entries[e.Name] = e
	if e.kind == tar.TypeReg {
		s.files = append(s.files, e.Name)
	}
	return nil
}

// stored returns how many bytes of content an entry has in the archive.
func (s *scanner) stored(hdr *tar.Header) int64 {
	switch hdr.Typeflag {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo, tar.TypeXGlobalHeader:
		return 0 // of a global header, archive/tar has read it
	}
	return min(hdr.Size, s.size)
}

// wholeBlocks rounds a number of bytes up to that of blocks.
func wholeBlocks(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// cleanName checks a name and returns its one spelling.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("it has no name: %w", errdefs.ErrInvalidArgument)
	case len(name) > maxName:
		return "", fmt.Errorf("its name has %d bytes, the limit is %d: %w", len(name), maxName, errdefs.ErrResourceExhausted)
	case name[0] == '/':
		return "", fmt.Errorf("its name is absolute: %w", errdefs.ErrInvalidArgument)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("its name has \"..\": %w", errdefs.ErrInvalidArgument)
		}
	}
	return path.Clean(name), nil
}

// Ended reports whether the archive has an end mark. Of one that has none the last
// entries may be missing.
func (x *Index) Ended() bool { return x.ended }

// Files returns the names of all regular files, in the order of the archive.
func (x *Index) Files() []string { return x.files }

// Has reports whether there is an entry of that name, of whatever kind.
func (x *Index) Has(name string) bool {
	_, ok := x.entries[name]
	return ok
}

// Lookup returns the regular file of a name. A link is followed, within the archive and
// only one: to a regular file, wherever it stands. That there is no such entry is
// errdefs.ErrNotFound; anything else than a file or such a link, and a link to nothing, is
// errdefs.ErrInvalidArgument.
func (x *Index) Lookup(name string) (Member, error) {
	e, ok := x.entries[path.Clean(name)]
	if !ok {
		return Member{}, x.missing(name)
	}
	var target string
	switch e.kind {
	case tar.TypeReg:
		return e.Member, nil
	case tar.TypeSymlink:
		target = path.Join(path.Dir(e.Name), e.link)
	case tar.TypeLink:
		target = path.Clean(e.link)
	default:
		return Member{}, fmt.Errorf("entry %s of the archive is not a file (type %q): %w", strictjson.Quote(name), e.kind, errdefs.ErrInvalidArgument)
	}
	to, ok := x.entries[target]
	switch {
	case path.IsAbs(e.link) || target == ".." || strings.HasPrefix(target, "../"):
		return Member{}, fmt.Errorf("entry %s of the archive is a link out of it, to %s: %w", strictjson.Quote(name), strictjson.Quote(e.link), errdefs.ErrInvalidArgument)
	case !ok:
		return Member{}, fmt.Errorf("entry %s of the archive is a link to %s, which is not there: %w", strictjson.Quote(name), strictjson.Quote(e.link), errdefs.ErrInvalidArgument)
	case to.kind != tar.TypeReg:
		return Member{}, fmt.Errorf("entry %s of the archive is a link to %s, which is not a file: %w", strictjson.Quote(name), strictjson.Quote(e.link), errdefs.ErrInvalidArgument)
	}
	return to.Member, nil
}

func (x *Index) missing(name string) error {
	hint := ""
	if !x.ended {
		hint = " (it has no end mark either: it may be cut off)"
	}
	return fmt.Errorf("the archive has no entry %s%s: %w", strictjson.Quote(name), hint, errdefs.ErrNotFound)
}

// Open returns a reader of a member's bytes. There is nothing to close.
func (x *Index) Open(m Member) *io.SectionReader { return io.NewSectionReader(x.r, m.Offset, m.Size) }

// Bytes returns the content of the file that Lookup finds. More than limit bytes are
// errdefs.ErrResourceExhausted.
func (x *Index) Bytes(name string, limit int64) ([]byte, error) {
	m, err := x.Lookup(name)
	if err != nil {
		return nil, err
	}
	if m.Size > limit {
		return nil, fmt.Errorf("entry %s of the archive has %d bytes, the limit is %d: %w", strictjson.Quote(name), m.Size, limit, errdefs.ErrResourceExhausted)
	}
	data := make([]byte, m.Size)
	if _, err := io.ReadFull(x.Open(m), data); err != nil {
		return nil, fmt.Errorf("reading entry %s of the archive: %w", strictjson.Quote(name), err)
	}
	return data, nil
}
