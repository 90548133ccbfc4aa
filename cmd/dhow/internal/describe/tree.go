package describe

import (
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/image"
)

// What the tree shows of data that can be long; the JSON form has all of it.
const (
	maxValue = text.MaxValue // bytes of a value
	maxItems = 8             // annotations, labels, variables or warnings
)

// Tree writes the image for people, as a tree.
func (im *Image) Tree(w io.Writer) error {
	head := text.Escape(im.Reference) + "\n" + im.Digest.String() + "\n" + im.kind()
	if im.MediaType != im.kind() {
		head += " (" + text.Escape(im.MediaType) + ")"
	}
	head += ", " + text.Size(im.Size)
	if im.Role == image.RoleIndex {
		head += ", " + text.Plural(len(im.Platforms), "platform")
	}
	head += im.extras()
	if im.List != nil {
		head += "\nchosen from the list " + im.List.Digest.String()
	}
	if _, err := io.WriteString(w, head+"\n"); err != nil {
		return err
	}
	root := text.Branch{Branches: im.branches("")}
	if im.Details != nil {
		root.Branches = append(im.Details.branches(), root.Branches...)
	}
	for _, note := range im.Notes {
		root.Add("note: " + text.Escape(note))
	}
	return text.Tree(w, root.Branches)
}

// kind is a short word for the media type.
func (d *Document) kind() string {
	switch d.MediaType {
	case ocispec.MediaTypeImageIndex:
		return "OCI index"
	case ocispec.MediaTypeImageManifest:
		return "OCI manifest"
	case image.MediaTypeDockerList:
		return "Docker list"
	case image.MediaTypeDockerManifest:
		return "Docker manifest"
	case image.MediaTypeDockerSchema1, image.MediaTypeDockerSchema1Signed:
		return "Docker schema 1 manifest"
	}
	return text.Escape(d.MediaType)
}

// extras are the facts of a document beside its type and size.
func (d *Document) extras() string {
	var b strings.Builder
	switch {
	case d.Absent:
		b.WriteString(", absent")
	case d.Repeated:
		b.WriteString(", see above")
	case d.TotalSize != 0:
		fmt.Fprintf(&b, ", %s in all", text.Size(d.TotalSize))
	}
	if d.ArtifactType != "" {
		b.WriteString(", artifact " + text.Escape(d.ArtifactType))
	}
	if d.Signatures > 0 {
		b.WriteString(", " + text.Plural(d.Signatures, "simple signature"))
	}
	return b.String()
}

// branch is the line of a document, which stands below another one, and what is
// below it.
func (d *Document) branch(label string, above digest.Digest) text.Branch {
	return text.Branch{
		Text:     fmt.Sprintf("%s  %s  %s %s%s", label, d.Digest, d.kind(), text.Size(d.Size), d.extras()),
		Branches: d.branches(above),
	}
}

// branches are what is below a document. Its subject is one of them only if it is
// not what stands above it.
func (d *Document) branches(above digest.Digest) []text.Branch {
	var all text.Branch
	addPairs(&all, "annotation", d.Annotations)
	if d.Role != image.RoleAttestation { // theirs say only that they are some, and of what
		addPairs(&all, "entry annotation", d.EntryAnnotations)
	}
	if d.Subject != nil && d.Subject.Digest != above {
		all.Add(fmt.Sprintf("subject  %s", d.Subject.Digest))
	}
	if d.Config != nil {
		all.Branches = append(all.Branches, blob("config", *d.Config))
	}
	for _, l := range d.Layers {
		all.Branches = append(all.Branches, blob("layer ", l))
	}
	for _, i := range d.Instances {
		all.Branches = append(all.Branches, i.branch(i.label(), d.Digest))
	}
	for _, a := range d.Attestations {
		all.Branches = append(all.Branches, a.branch(a.label(), d.Digest))
	}
	for _, r := range d.Referrers {
		label := "referrer"
		if r.Tag != "" {
			label = "tag …" + text.Escape(path.Ext(r.Tag)) // the rest is the digest above
		}
		all.Branches = append(all.Branches, r.branch(label, d.Digest))
	}
	return all.Branches
}

// label says what an entry of a list is.
func (d *Document) label() string {
	switch {
	case d.Role == image.RoleAttestation:
		return "attestation"
	case d.Platform != "":
		return text.Cut(d.Platform, maxValue)
	case d.Role == image.RoleIndex:
		return "list"
	default:
		return "no platform"
	}
}

// blob is the line of a config or layer.
func blob(label string, desc ocispec.Descriptor) text.Branch {
	b := text.Branch{Text: fmt.Sprintf("%s  %s %9s  %s", label, text.Short(desc.Digest), text.Size(desc.Size), text.Escape(desc.MediaType))}
	addPairs(&b, "annotation", desc.Annotations)
	return b
}

// branches are the lines of a config's details.
func (d *Details) branches() []text.Branch {
	var b text.Branch
	if d.Platform != "" {
		b.Add("platform  " + text.Cut(d.Platform, maxValue))
	}
	if d.Created != "" {
		b.Add("created  " + timeText(d.Created))
	}
	if d.User != "" {
		b.Add("user  " + text.Quote(d.User, maxValue))
	}
	if d.WorkingDir != "" {
		b.Add("working directory  " + text.Quote(d.WorkingDir, maxValue))
	}
	addWords(&b, "entrypoint", d.Entrypoint)
	addWords(&b, "cmd", d.Cmd)
	for _, v := range d.Env[:min(len(d.Env), maxItems)] {
		b.Add("env  " + text.Quote(v, maxValue))
	}
	addMore(&b, "environment variable", len(d.Env))
	addPairs(&b, "label", d.Labels)
	for _, w := range d.Warnings[:min(len(d.Warnings), maxItems)] {
		b.Add("warning: " + text.Escape(w))
	}
	addMore(&b, "warning", len(d.Warnings))
	return b.Branches
}

// timeText prints a time as it is stored, and says so if it is none.
func timeText(s string) string {
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return text.Quote(s, maxValue) + " (not a valid time)"
	}
	return s
}

// addWords adds a line for a command.
func addWords(b *text.Branch, label string, words []string) {
	if len(words) == 0 {
		return
	}
	var quoted []string
	for _, w := range words[:min(len(words), maxItems)] {
		quoted = append(quoted, text.Quote(w, maxValue))
	}
	if len(words) > maxItems {
		quoted = append(quoted, fmt.Sprintf("… (%d in all)", len(words)))
	}
	b.Add(label + "  " + strings.Join(quoted, " "))
}

// addPairs adds a line for each of the first pairs, sorted by key.
func addPairs(b *text.Branch, label string, pairs map[string]string) {
	keys := slices.Sorted(maps.Keys(pairs))
	for _, k := range keys[:min(len(keys), maxItems)] {
		value := text.Quote(pairs[k], maxValue)
		if k == ocispec.AnnotationCreated {
			value = timeText(pairs[k])
		}
		b.Add(fmt.Sprintf("%s  %s = %s", label, key(k), value))
	}
	addMore(b, label, len(pairs))
}

// key prints a key as it is where that is harmless, else quoted.
func key(k string) string {
	if k == "" || len(k) > maxValue || text.Escape(k) != k || strings.ContainsAny(k, " =\"") {
		return text.Quote(k, maxValue)
	}
	return k
}

// addMore says how many were not shown.
func addMore(b *text.Branch, label string, n int) {
	if n > maxItems {
		b.Add(fmt.Sprintf("… %s more", text.Plural(n-maxItems, label)))
	}
}
