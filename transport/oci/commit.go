package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/transport"
)

// Named returns what index.json has under a name at the moment. Without a name
// there is nothing that Commit would replace.
func (d *Destination) Named(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if name == "" {
		name = d.ref.Name
	}
	desc, err := d.named(ctx, name)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolving %s in oci:%s: %w", strictjson.Quote(name), d.ref.Path, err)
	}
	return desc, nil
}

func (d *Destination) named(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	layout, _ := d.sites()
	if layout == nil || name == "" {
		return ocispec.Descriptor{}, errdefs.ErrNotFound
	}
	index, err := currentIndex(layout.root, d.opts.Limits)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocilayout.NewIndex(index, nil, ocilayout.Options{LastWins: true}).Resolve(ctx, name)
}

// Commit makes what was Put durable and then replaces index.json once, under a
// lock, by one that has the names: what had a name before has it no longer. If
// that changes nothing, nothing is written. A name that is no valid ref.name
// becomes a note, and its manifest an entry without a name; so does that images
// without a name have become one multi-platform image. A manifest that is
// not there is errdefs.ErrFailedPrecondition, a name for two of them
// errdefs.ErrInvalidArgument, and an index.json that would be larger than what is
// read again errdefs.ErrResourceExhausted.
func (d *Destination) Commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	notes, err := d.commit(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("committing to oci:%s: %w", d.ref, err)
	}
	return notes, nil
}

func (d *Destination) commit(ctx context.Context, names []transport.Naming) ([]string, error) {
	var wanted []ocilayout.Named
	for _, n := range names {
		wanted = append(wanted, ocilayout.Named{Name: d.nameOf(n), Desc: n.Desc})
	}
	if err := ocilayout.CheckNames(wanted); err != nil {
		return nil, err
	}
	layout, store := d.sites()
	if layout == nil && len(names) == 0 {
		return nil, ctx.Err()
	}
	if len(names) > 0 {
		if err := d.prepare(ctx); err != nil {
			return nil, err
		}
		layout, store = d.sites()
	}
	if store != nil {
		if err := store.writer.Flush(ctx); err != nil {
			return nil, err
		}
	}
	if err := layout.writer.Flush(ctx); err != nil || len(names) == 0 {
		return nil, err
	}
	entries, notes, err := d.entries(ctx, d.blobsOf(store), names)
	if err != nil {
		return nil, err
	}
	// One job for all that the lock protects: if it were given up while the file is
	// still being replaced, the entries of whoever gets it next could be lost.
	var note string
	err = layout.writer.Do(ctx, func() error {
		unlock, err := durable.Lock(ctx, layout.root, ocispec.ImageLayoutFile)
		if err != nil {
			return err
		}
		note, err = d.replaceIndex(ctx, layout, entries)
		return errors.Join(err, unlock())
	})
	if err != nil {
		return nil, err // note may still be written to
	}
	if note != "" {
		notes = append(notes, note)
	}
	return notes, nil
}

// replaceIndex brings the entries into index.json; the caller holds the lock. It
// returns a note, or none.
func (d *Destination) replaceIndex(ctx context.Context, layout *site, entries []ocispec.Descriptor) (note string, err error) {
	old, err := currentIndex(layout.root, d.opts.Limits)
	if err != nil {
		return "", err
	}
	list, err := ocilayout.Set(ctx, old, entries, nil)
	if err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil || bytes.Equal(list.Bytes(), old.Bytes()) {
		return "", err
	}
	if err := ocilayout.CheckIndexSize(list, d.opts.Limits); err != nil {
		return "", err
	}
	return ocilayout.JoinedNote(old, list), layout.writer.Replace(context.WithoutCancel(ctx), ocispec.ImageIndexFile, list.Bytes())
}

// nameOf returns the name that is meant, or none.
func (d *Destination) nameOf(n transport.Naming) string {
	if n.Name == "" && n.Subject == "" {
		return d.ref.Name
	}
	return n.Name
}

// entries returns the entries of index.json for the names.
func (d *Destination) entries(ctx context.Context, b blobs, names []transport.Naming) (entries []ocispec.Descriptor, notes []string, err error) {
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		entry, err := d.describe(b, n)
		if err != nil {
			return nil, nil, err
		}
		if name := d.nameOf(n); name != "" {
			if err := ref.ValidLayoutName(name); err != nil {
				notes = append(notes, fmt.Sprintf("%s is in the layout without its name: %v", n.Desc.Digest, err))
			} else {
				entry.Annotations = map[string]string{ocispec.AnnotationRefName: name}
			}
		}
		entries = append(entries, entry)
	}
	return entries, notes, nil
}

// describe returns the entry of a manifest or list that is there, without a name.
func (d *Destination) describe(b blobs, n transport.Naming) (ocispec.Descriptor, error) {
	entry := ocilayout.EntryOf(n.Desc)
	f, err := b.open(entry)
	if errdefs.IsNotFound(err) {
		return entry, fmt.Errorf("%s was not put: %v: %w", entry.Digest, err, errdefs.ErrFailedPrecondition) //nolint:errorlint // it is the caller's mistake
	}
	if err != nil {
		return entry, err
	}
	defer f.Close()
	if entry.Size < 0 {
		info, err := f.Stat()
		if err != nil {
			return entry, err
		}
		entry.Size = info.Size()
	}
	if entry.Platform != nil && entry.ArtifactType != "" || !image.IsManifest(entry.MediaType) {
		return entry, nil
	}
	return d.complete(b, entry)
}

// complete fills in what a manifest and its config tell: the artifact type, or
// the platform.
func (d *Destination) complete(b blobs, entry ocispec.Descriptor) (ocispec.Descriptor, error) {
	doc, err := b.document(entry, d.opts.Limits)
	if err != nil {
		return entry, err
	}
	if entry.ArtifactType == "" {
		entry.ArtifactType = doc.ArtifactType()
	}
	m, ok := doc.(*image.Manifest)
	if !ok || entry.Platform != nil || !m.IsImage() {
		return entry, nil
	}
	data, err := b.read(m.Config(), d.opts.Limits.ConfigBytes)
	if errdefs.IsNotFound(err) {
		return entry, nil // a sparse copy
	}
	if err != nil {
		return entry, err
	}
	config, err := image.DecodeConfig(data, d.opts.Limits)
	if err != nil {
		d.opts.Logger.Warn("the platform of an image is not known", "layout", d.ref.Path, "digest", entry.Digest, "error", err)
		return entry, nil
	}
	if p := config.Platform; p.OS != "" && p.Architecture != "" {
		entry.Platform = &p
	}
	return entry, nil
}
