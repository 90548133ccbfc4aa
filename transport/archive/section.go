package archive

import (
	"io"
	"os"
)

// largeBlob is from which size on it pays to open the archive once more for one blob.
const largeBlob = 1 << 20

// readerOf returns a reader of the rest of a section, from an offset on. That of a large one
// in a file can be copied by the kernel.
func readerOf(section *io.SectionReader, from int64) io.ReadCloser {
	rest := section.Size() - from
	if f, at, ok := fileOf(section); ok && rest >= largeBlob {
		if own, err := reopen(f); err == nil {
			if _, err := own.Seek(at+from, io.SeekStart); err == nil {
				return &fileSection{own, rest}
			}
			_ = own.Close() // it was only read
		}
	}
	return io.NopCloser(io.NewSectionReader(section, from, rest))
}

// fileOf returns the file that a section, maybe of sections, is of, and where it begins.
func fileOf(section *io.SectionReader) (f *os.File, at int64, ok bool) {
	for {
		outer, offset, _ := section.Outer()
		at += offset
		switch outer := outer.(type) {
		case *io.SectionReader:
			section = outer
		case *os.File:
			return outer, at, true
		case *staged:
			return outer.File, at, true
		default:
			return nil, 0, false
		}
	}
}

// fileSection is a part of a file, with a position of its own: the next left bytes.
type fileSection struct {
	file *os.File
	left int64
}

func (s *fileSection) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.file.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, s.cutOff(err)
}

// CopyTo appends the next n bytes, or what is left if that is less, to a file.
func (s *fileSection) CopyTo(dst *os.File, n int64) (int64, error) {
	n = min(n, s.left)
	copied, err := dst.ReadFrom(io.LimitReader(s.file, n))
	s.left -= copied
	if err == nil && copied < n {
		err = io.EOF
	}
	return copied, s.cutOff(err)
}

// cutOff explains an end that comes too soon: the file has become shorter.
func (s *fileSection) cutOff(err error) error {
	if err == io.EOF && s.left > 0 { //nolint:errorlint // os.File returns it as it is
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close closes the file that was opened for this section.
func (s *fileSection) Close() error { return s.file.Close() }
