package archive

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/transport"
)

// record brings names into the index, all of them or none. own are what a name that is empty
// stands for.
func (w *Writer) record(ctx context.Context, own []string, names []transport.Naming) (notes []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var entries []ocispec.Descriptor
	var wanted []ocilayout.Named
	for _, n := range names {
		entry, err := w.describe(n.Desc)
		if err != nil {
			return nil, err
		}
		named, more := w.named(entry, own, n)
		notes = append(notes, more...)
		for _, e := range named {
			entries = append(entries, e)
			wanted = append(wanted, ocilayout.Named{Name: w.nameOf(e), Desc: e})
		}
		if w.kind == Docker && n.Subject == "" && n.Name == "" {
			if _, reason := w.item(entry); reason != "" {
				notes = append(notes, fmt.Sprintf("who reads manifest.json and no OCI layouts will not find %s: %s", entry.Digest, reason))
			}
		}
	}
	if err := ocilayout.CheckNames(wanted); err != nil {
		return nil, err
	}
	index, err := ocilayout.Set(ctx, w.index, entries, w.nameOf)
	if err != nil {
		return nil, err
	}
	if err := ocilayout.CheckIndexSize(index, w.opts.Limits); err != nil {
		return nil, err
	}
	if note := ocilayout.JoinedNote(w.index, index); note != "" {
		notes = append(notes, note)
	}
	w.index = index
	return notes, nil
}

// describe returns the entry of a manifest or list that is there, without a name.
func (w *Writer) describe(desc ocispec.Descriptor) (ocispec.Descriptor, error) {
	entry := ocilayout.EntryOf(desc)
	size, ok := w.blobs[entry.Digest]
	doc, isDoc := w.documents[entry.Digest]
	if !ok || !isDoc {
		return entry, fmt.Errorf("%s was not put: %w", entry.Digest, errdefs.ErrFailedPrecondition)
	}
	if err := checkSize(entry, size); err != nil {
		return entry, err
	}
	entry.Size = size
	if !image.IsManifest(entry.MediaType) {
		return entry, nil
	}
	if entry.ArtifactType == "" {
		entry.ArtifactType = doc.artifactType
	}
	if c, ok := w.configs[doc.config.Digest]; ok && entry.Platform == nil && c.platform.OS != "" && c.platform.Architecture != "" {
		entry.Platform = &c.platform
	}
	return entry, nil
}

// named returns an entry once for each name that is meant, or once without any, and notes on
// names that the archive cannot hold.
func (w *Writer) named(entry ocispec.Descriptor, own []string, n transport.Naming) (named []ocispec.Descriptor, notes []string) {
	names := own
	switch {
	case n.Name != "":
		name, err := w.beside(own, n.Name)
		if err != nil {
			return []ocispec.Descriptor{entry}, []string{unnamed(entry, n.Name, err)}
		}
		names = []string{name}
	case n.Subject != "":
		names = nil
	}
	if len(names) == 0 {
		return []ocispec.Descriptor{entry}, nil
	}
	for _, name := range names {
		e := entry
		e.Annotations = annotations(w.kind, name)
		named = append(named, e)
	}
	return named, nil
}

// beside returns the name of an image that has its name beside another one: for Docker a tag,
// in the repository of that.
func (w *Writer) beside(own []string, name string) (string, error) {
	if w.kind == OCI {
		return name, ref.ValidLayoutName(name)
	}
	if len(own) == 0 {
		return name, ref.ValidTag(name)
	}
	r, err := ref.Parse(own[0])
	if err != nil {
		return "", err
	}
	r, err = r.WithTag(name)
	return r.String(), err
}

// annotations returns those by which an entry of index.json has a name: both of Docker's, or
// for a name that is only a tag, and those of OCI layouts, the one of OCI.
func annotations(kind Kind, name string) map[string]string {
	if kind == Docker {
		if r, err := ref.Parse(name); err == nil && r.Tag() != "" {
			return map[string]string{ocilayout.ImageName: name, ocispec.AnnotationRefName: r.Tag()}
		}
	}
	return map[string]string{ocispec.AnnotationRefName: name}
}

// nameOf returns the name of an entry that annotations has made.
func (w *Writer) nameOf(e ocispec.Descriptor) string {
	if name := e.Annotations[ocilayout.ImageName]; name != "" {
		return name
	}
	return ocilayout.RefName(e)
}

// finish writes what is known only at the end, and makes the archive visible.
func (w *Writer) finish(ctx context.Context) error {
	w.mu.Lock()
	index := w.index
	manifest, err := w.manifest()
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if w.ended {
		if w.finished == sumOf(index, manifest) {
			return nil
		}
	}
	if err := w.open(ctx); err != nil {
		return err
	}
	err = w.tar.file(ocispec.ImageIndexFile, index.Bytes())
	if err == nil && manifest != nil {
		err = w.tar.file(manifestFile, manifest)
	}
	if err == nil {
		err = w.tar.end()
	}
	if err == nil {
		err = w.out.publish(ctx)
	}
	if err != nil {
		w.broken = err
		return err
	}
	w.ended, w.finished = true, sumOf(index, manifest)
	return nil
}

// sumOf returns what tells one end of an archive from another.
func sumOf(index *image.List, manifest []byte) digest.Digest {
	return digest.FromBytes(append(append([]byte{}, index.Bytes()...), manifest...))
}
