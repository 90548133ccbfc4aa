package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// temp is a file in an ingest directory on its way to a name. One goroutine uses
// it at a time.
type temp struct {
	in      *ingest
	sync    func(*os.File) error
	link    func(root *os.Root, from, to string) error
	file    *os.File // nil once closed
	tmp     string   // below the ingest directory
	name    string   // below the Writer's root
	size    int64
	started int64 // bytes that the kernel was told to write to disk
}

// create makes a file that shall get the name later.
func (w *Writer) create(in *ingest, name string) (*temp, error) {
	tmp := randomName()
	f, err := in.dir.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("making a file for %s: %w", name, cause(err))
	}
	return &temp{in: in, sync: w.sync, link: w.link, file: f, tmp: tmp, name: name}, nil
}

func (t *temp) write(p []byte) error {
	n, err := t.file.Write(p)
	t.grown(int64(n))
	return err
}

// grown is told that so many bytes were written.
func (t *temp) grown(n int64) {
	t.size += n
	if t.size-t.started >= writeBackWindow {
		t.startWriteBack()
	}
}

// startWriteBack tells the kernel to begin writing the file to disk.
func (t *temp) startWriteBack() {
	if t.file != nil && t.size > t.started {
		StartWriteBack(t.file, t.started, t.size-t.started)
		t.started = t.size
	}
}

// finish makes the bytes durable and closes the file. Its failure is final: the
// kernel may have dropped the bytes, and a second sync would not notice.
func (t *temp) finish() error {
	f := t.file
	t.file = nil
	err := t.sync(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", t.name, err)
	}
	return nil
}

// discard removes the file.
func (t *temp) discard() error {
	if t.file != nil {
		_ = t.file.Close() // its bytes are not wanted
		t.file = nil
	}
	if err := t.in.dir.Remove(t.tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the new file for %s: %w", t.name, err)
	}
	return nil
}

// rename gives the synced file its name, or discards it.
func (t *temp) rename() error {
	if err := t.in.root.Rename(t.in.path(t.tmp), t.name); err != nil {
		return errors.Join(err, t.discard())
	}
	return nil
}

// appear gives the synced file its name unless that is taken, which is
// fs.ErrExist. The file is gone after it, and never in sight without its bytes.
func (t *temp) appear(ctx context.Context) error {
	err := t.link(t.in.root, t.in.path(t.tmp), t.name)
	if err != nil && isLinkless(err) {
		err = t.renameNew(ctx)
	}
	return errors.Join(err, t.discard())
}

// renameNew is for a file system without hard links: all Writers of a root that
// look whether a name is free and take it do so under one lock.
func (t *temp) renameNew(ctx context.Context) error {
	unlock, err := t.in.lockNames(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = t.in.root.Lstat(t.name)
	switch {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return t.in.root.Rename(t.in.path(t.tmp), t.name)
}
