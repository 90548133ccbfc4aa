package archive

import (
	"archive/tar"
	"bytes"
	"io"
)

const (
	fileMode = 0o644
	dirMode  = 0o755

	blockSize = 512
)

// tarWriter writes the entries of a tar archive. Unlike archive/tar's it can go on where an
// entry was taken back. What it writes of a file is its name, size and mode, so that the same
// content gives the same bytes.
type tarWriter struct {
	w       io.Writer
	size    int64           // bytes written
	dirs    map[string]bool // that have an entry
	padding [2 * blockSize]byte
}

// header writes the header of an entry.
func (t *tarWriter) header(hdr tar.Header) error {
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&hdr); err != nil {
		return err
	}
	return t.write(buf.Bytes())
}

func (t *tarWriter) write(p []byte) error {
	n, err := t.w.Write(p)
	t.size += int64(n)
	return err
}

// directory writes an entry for a directory, once.
func (t *tarWriter) directory(name string) error {
	if t.dirs[name] {
		return nil
	}
	err := t.header(tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: dirMode})
	if err == nil {
		t.dirs[name] = true
	}
	return err
}

// file writes a small file.
func (t *tarWriter) file(name string, data []byte) error {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: fileMode, Size: int64(len(data))})
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return err
	}
	return t.write(buf.Bytes())
}

// stream writes a file of that size, the content of which is written by add.
func (t *tarWriter) stream(name string, size int64, add func() error) error {
	if err := t.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: fileMode, Size: size}); err != nil {
		return err
	}
	if err := add(); err != nil {
		return err
	}
	t.size += size
	if rest := size % blockSize; rest > 0 {
		return t.write(t.padding[:blockSize-rest])
	}
	return nil
}

// end writes the end mark.
func (t *tarWriter) end() error { return t.write(t.padding[:]) }
