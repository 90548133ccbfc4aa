package image

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Update makes every entry with digest d point at to: it takes over the media type,
// digest and size. Of the rest of to it takes over what is set, and keeps what the
// entry has where it is not (nil or, for the artifact type, empty); annotations and
// URLs that are empty but not nil are removed. An entry's URLs and data tell of its
// old content and go with the old digest, unless to has others.
//
// This holds for all edits: one that changes nothing returns the list itself, with
// the bytes that were decoded. Otherwise these are made anew, always the same for the
// same edit: compact JSON with the members in the order in which they were, new ones
// at the end, and every value that was not edited, known or not, as it stood. What an
// edit makes is within the default limits of Decode, or the edit fails with
// ErrResourceExhausted; a limit that the list was beyond before does not count.
//
// Errors are ErrNotFound where no entry has digest d, ErrInvalidArgument for a
// malformed to or a size that contradicts another entry of its digest, ErrDataLoss
// for data that is not what to describes, and ErrNotImplemented for an unknown digest
// algorithm and what a Docker list cannot say of an entry: annotations, an artifact
// type, data, URLs, or a media type that is not that of a manifest or Docker list.
func (l *List) Update(d digest.Digest, to ocispec.Descriptor) (*List, error) {
	return l.UpdateAll(map[digest.Digest]ocispec.Descriptor{d: to})
}

// UpdateAll is Update for many digests at once. Each entry is changed by the digest
// that it has in l, also where that of another one is updated to it.
func (l *List) UpdateAll(changes map[digest.Digest]ocispec.Descriptor) (*List, error) {
	present := l.digests()
	for _, d := range slices.Sorted(maps.Keys(changes)) {
		if !present[d] {
			return nil, fmt.Errorf("updating a list: %w", noEntry(d))
		}
		if err := l.checkEntry(changes[d]); err != nil {
			return nil, fmt.Errorf("updating entry %s of a list: %w", d, err)
		}
	}
	changed := func(d digest.Digest) bool { _, ok := changes[d]; return ok }
	return l.editEntries(changed, func(entry ocispec.Descriptor, o *object) error {
		return pointAt(o, entry, changes[entry.Digest])
	})
}

// Add appends entries. Errors are those of Update for a malformed entry, and
// ErrNotImplemented for one without a platform in a Docker list.
func (l *List) Add(entries ...ocispec.Descriptor) (*List, error) {
	if len(entries) == 0 {
		return l, nil
	}
	all := l.rawEntries()
	for i, entry := range entries {
		err := l.checkEntry(entry)
		if err == nil && l.mediaType == MediaTypeDockerList {
			err = checkDockerPlatform(entry)
		}
		if err != nil {
			return nil, fmt.Errorf("adding entry %d (%s) to a list: %w", i, strictjson.Quote(entry.Digest), err)
		}
		all = append(all, encodeJSON(entry))
	}
	list, err := l.remade(l.members, all)
	if err != nil {
		return nil, fmt.Errorf("adding to a list: %w", err)
	}
	return list, nil
}

// Keep keeps the entries for which keep, called once for each in order, returns
// true, and removes the others.
func (l *List) Keep(keep func(entry ocispec.Descriptor) bool) (*List, error) {
	var kept [][]byte
	for _, entry := range l.entries {
		if keep(cloneDescriptor(entry.desc)) {
			kept = append(kept, entry.raw)
		}
	}
	if len(kept) == len(l.entries) {
		return l, nil
	}
	list, err := l.remade(l.members, kept)
	if err != nil {
		return nil, fmt.Errorf("removing from a list: %w", err)
	}
	return list, nil
}

// Annotate sets annotations on every entry with digest d, or on the list itself
// where d is empty; those not named stay. An empty value removes the annotation.
//
// Errors are ErrNotFound where no entry has digest d, ErrInvalidArgument for an
// empty key or text that is not UTF-8, and ErrNotImplemented for a Docker list,
// which has no annotations.
func (l *List) Annotate(d digest.Digest, annotations map[string]string) (*List, error) {
	if d != "" && !l.digests()[d] {
		return nil, fmt.Errorf("annotating a list: %w", noEntry(d))
	}
	if err := checkAnnotations(annotations); err != nil {
		return nil, fmt.Errorf("annotating a list: %w", err)
	}
	if l.mediaType == MediaTypeDockerList && len(annotations) > 0 {
		return nil, fmt.Errorf("annotating a list: a Docker list has no annotations: %w", errdefs.ErrNotImplemented)
	}
	set := maps.Clone(annotations)
	maps.DeleteFunc(set, func(_, value string) bool { return value == "" })
	keep := func(key string) bool {
		value, named := annotations[key]
		return !named || value != ""
	}
	if d != "" {
		named := func(entry digest.Digest) bool { return entry == d }
		return l.editEntries(named, func(entry ocispec.Descriptor, o *object) error {
			return annotate(o, entry.Annotations, keep, set)
		})
	}
	doc := object{members: slices.Clone(l.members)}
	if err := annotate(&doc, l.annotations, keep, set); err != nil {
		return nil, fmt.Errorf("annotating a list: %w", err)
	}
	if !doc.changed {
		return l, nil
	}
	list, err := l.remade(doc.members, l.rawEntries())
	if err != nil {
		return nil, fmt.Errorf("annotating a list: %w", err)
	}
	return list, nil
}

// editEntries returns the list after edit was called, with its JSON, for each entry
// whose digest is chosen.
func (l *List) editEntries(chosen func(digest.Digest) bool, edit func(entry ocispec.Descriptor, o *object) error) (*List, error) {
	changed := false
	all := l.rawEntries()
	for i, entry := range l.entries {
		if !chosen(entry.desc.Digest) {
			continue
		}
		o, err := splitObject(entry.raw)
		if err == nil {
			err = edit(entry.desc, &o)
		}
		if err != nil {
			return nil, fmt.Errorf("editing entry %d (%s) of a list: %w", i, entry.desc.Digest, err)
		}
		if o.changed {
			all[i], changed = o.bytes(), true
		}
	}
	if !changed {
		return l, nil
	}
	list, err := l.remade(l.members, all)
	if err != nil {
		return nil, fmt.Errorf("editing a list: %w", err)
	}
	return list, nil
}

// checkEntry checks what Decode cannot check afterwards, or could only blame on a
// place in the result.
func (l *List) checkEntry(desc ocispec.Descriptor) error {
	if _, err := ParseDigest(string(desc.Digest)); err != nil {
		return err
	}
	if desc.Size < 0 {
		return fmt.Errorf("size %d is negative: %w", desc.Size, errdefs.ErrInvalidArgument)
	}
	if !isMediaType(desc.MediaType) {
		return fmt.Errorf("%s is not a media type: %w", strictjson.Quote(desc.MediaType), errdefs.ErrInvalidArgument)
	}
	if err := checkAnnotations(desc.Annotations); err != nil {
		return err
	}
	if err := checkPlatform(desc.Platform); err != nil {
		return err
	}
	for _, text := range desc.URLs {
		if !utf8.ValidString(text) {
			return fmt.Errorf("URL %s is not UTF-8: %w", strictjson.Quote(text), errdefs.ErrInvalidArgument)
		}
	}
	if l.mediaType == MediaTypeDockerList {
		return checkDockerEntry(desc)
	}
	return nil
}

func checkAnnotations(annotations map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if key == "" {
			return fmt.Errorf("annotation without a key: %w", errdefs.ErrInvalidArgument)
		}
		if !utf8.ValidString(key) || !utf8.ValidString(annotations[key]) {
			return fmt.Errorf("annotation %s is not UTF-8: %w", strictjson.Quote(key), errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

func checkPlatform(p *ocispec.Platform) error {
	if p == nil {
		return nil
	}
	if p.OS == "" || p.Architecture == "" {
		return fmt.Errorf("platform without OS or architecture: %w", errdefs.ErrInvalidArgument)
	}
	for _, text := range append([]string{p.OS, p.Architecture, p.OSVersion, p.Variant}, p.OSFeatures...) {
		if !utf8.ValidString(text) {
			return fmt.Errorf("platform has %s, which is not UTF-8: %w", strictjson.Quote(text), errdefs.ErrInvalidArgument)
		}
	}
	return nil
}
