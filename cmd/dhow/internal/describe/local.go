package describe

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/service"
)

// Local is an image of the local store, with what is there of it. It is the JSON form of
// inspect for such an image, and what a template is given; docs/cli.md describes its fields.
type Local struct {
	// Reference is what the caller asked for, Matched what it has found the image by, and
	// Digest what of the image it means: all of it, or a list, manifest or config in it.
	Reference string          `json:"reference"`
	Matched   service.Matched `json:"matched"`
	Digest    digest.Digest   `json:"digest"`
	// ID is the digest of what the names of the image point at, Target all of that.
	ID     digest.Digest      `json:"id"`
	Target ocispec.Descriptor `json:"target"`
	// Names are all names of the image, then REPOSITORY@ID for each repository.
	Names  []string `json:"names"`
	Driver string   `json:"driver"`
	// Size is that of the chosen instance with the lists above it; without one of all
	// that is there.
	Size    int64         `json:"size"`
	Updated time.Time     `json:"updated"` // when a name last moved
	Parent  digest.Digest `json:"parent,omitempty"`
	// Manifest is the chosen instance, and Config the bytes of its config; without one
	// they are empty.
	Manifest digest.Digest   `json:"manifest,omitempty"`
	Config   json.RawMessage `json:"config,omitempty"`
	Details  *Details        `json:"details,omitempty"` // from the config
	// Instances are all manifests of the image, those that are not there too.
	Instances []Instance `json:"instances"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// Instance is a manifest of an image, with what of it is in the local store.
type Instance struct {
	Platform  string           `json:"platform,omitempty"`
	Kind      service.Kind     `json:"kind"`
	Digest    digest.Digest    `json:"digest"`
	MediaType string           `json:"mediaType"`
	Presence  service.Presence `json:"presence"`
	// Attests is the digest of the manifest that an attestation is about.
	Attests digest.Digest `json:"attests,omitempty"`
	Config  digest.Digest `json:"config,omitempty"`
	Created *time.Time    `json:"created,omitempty"`
	// ContentSize is the size of what is there of manifest, config and layers; TotalSize
	// that of all of them, as far as it is known.
	ContentSize int64 `json:"contentSize"`
	TotalSize   int64 `json:"totalSize"`
	// Missing are the digests of what is not there.
	Missing []digest.Digest `json:"missing,omitempty"`
}

// LocalOf describes an image that was got with its details. limits are those of the config.
func LocalOf(reference string, img *service.Image, limits image.Limits) *Local {
	l := &Local{
		Reference: reference, Matched: img.Matched, Digest: img.Digest, ID: img.ID, Target: img.Record.Target,
		Names: []string{}, Driver: img.Details.Driver, Size: img.Details.Size, Updated: img.Details.Updated, Parent: img.Parent,
		Instances: InstancesOf(img.Details.Instances), Warnings: img.Warnings,
	}
	for _, name := range img.Details.References {
		l.Names = append(l.Names, name.Familiar())
	}
	if img.Instance == nil {
		return l
	}
	l.Manifest, l.Details = img.Instance.Descriptor.Digest, detailsOf(img.Config, -1, limits)
	if json.Valid(img.Config) {
		l.Config = img.Config
	}
	return l
}

// InstancesOf describes instances.
func InstancesOf(instances []service.Instance) []Instance {
	all := make([]Instance, len(instances))
	for i, inst := range instances {
		all[i] = Instance{
			Kind: inst.Kind, Digest: inst.Descriptor.Digest, MediaType: inst.Descriptor.MediaType, Presence: inst.Presence,
			Attests: inst.For, Config: inst.Config, ContentSize: inst.Content, TotalSize: inst.Total,
		}
		if inst.Platform != nil {
			all[i].Platform = platform.Format(*inst.Platform)
		}
		if !inst.Created.IsZero() {
			all[i].Created = &inst.Created
		}
		for _, desc := range inst.Missing {
			all[i].Missing = append(all[i].Missing, desc.Digest)
		}
	}
	return all
}

// Tree writes the image for people, as a tree.
func (l *Local) Tree(w io.Writer) error {
	head := text.Escape(l.Reference) + "\n" + l.ID.String() + "\n"
	target := Document{MediaType: l.Target.MediaType}
	head += fmt.Sprintf("%s, %s, %s in the %s store", target.kind(), text.Size(l.Target.Size), text.Size(l.Size), text.Escape(l.Driver))
	if l.Digest != l.ID {
		head += fmt.Sprintf("\nmeant is the %s %s", l.Matched, l.Digest)
	}
	if _, err := io.WriteString(w, head+"\n"); err != nil {
		return err
	}
	var root text.Branch
	for _, name := range l.Names {
		root.Add("name  " + text.Escape(name))
	}
	if len(l.Names) == 0 {
		root.Add("no name")
	}
	if l.Parent != "" {
		root.Add("built upon  " + l.Parent.String())
	}
	root.Add("updated  " + l.Updated.UTC().Format(time.RFC3339))
	root.Branches = append(root.Branches, InstanceBranches(l.Instances, l.chosen)...)
	return text.Tree(w, root.Branches)
}

// chosen are the lines below the instance that was chosen.
func (l *Local) chosen(inst *Instance) []text.Branch {
	if inst.Digest != l.Manifest || l.Details == nil {
		return nil
	}
	return l.Details.branches()
}

// InstanceBranches are the lines of instances, attestations below what they are about. Below
// each are those of further too, if it is not nil.
func InstanceBranches(instances []Instance, further func(*Instance) []text.Branch) []text.Branch {
	var all []text.Branch
	about := func(d digest.Digest) bool {
		return slices.ContainsFunc(instances, func(i Instance) bool { return i.Digest == d && i.Kind != service.KindAttestation })
	}
	for i := range instances {
		inst := &instances[i]
		if inst.Kind == service.KindAttestation && about(inst.Attests) {
			continue
		}
		b := inst.branch()
		if further != nil {
			b.Branches = further(inst)
		}
		for j := range instances {
			if a := &instances[j]; a.Kind == service.KindAttestation && a.Attests == inst.Digest {
				b.Branches = append(b.Branches, a.branch())
			}
		}
		all = append(all, b)
	}
	return all
}

// branch is the line of an instance.
func (i *Instance) branch() text.Branch {
	label := "no platform"
	switch {
	case i.Kind == service.KindAttestation:
		label = "attestation"
	case i.Kind == service.KindList: // for more than its platform says, if it says one
		label = "list"
	case i.Platform != "":
		label = text.Cut(i.Platform, maxValue)
	}
	return text.Branch{Text: strings.Join([]string{label, i.Digest.String(), i.there()}, "  ")}
}

// there says how much of an instance is there.
func (i *Instance) there() string {
	switch i.Presence {
	case service.Complete:
		return text.Size(i.ContentSize)
	case service.Partial:
		return fmt.Sprintf("partial, %s of %s", text.Size(i.ContentSize), text.Size(i.TotalSize))
	default:
		return string(i.Presence)
	}
}
