package archive

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/platform"
	"github.com/dhowhq/dhow/ref"
)

// manifestItem is an image in manifest.json, which knows no lists: that of one platform.
type manifestItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// manifest returns the content of manifest.json; nil if no image can be in it, or the kind has
// no such file.
func (w *Writer) manifest() ([]byte, error) {
	if w.kind != Docker {
		return nil, nil
	}
	var items []manifestItem
	at := map[digest.Digest]int{} // of a manifest's item
	for _, e := range w.index.Instances() {
		if w.documents[e.Digest].refers || ocilayout.IsAttached(e) {
			continue
		}
		chosen, reason := w.item(e)
		if reason != "" {
			continue
		}
		i, ok := at[chosen]
		if !ok {
			item, err := w.itemOf(w.documents[chosen])
			if err != nil {
				return nil, err
			}
			i = len(items)
			at[chosen], items = i, append(items, item)
		}
		if r, err := ref.Parse(e.Annotations[ocilayout.ImageName]); err == nil {
			items[i].RepoTags = append(items[i].RepoTags, r.Familiar())
		}
	}
	if items == nil {
		return nil, nil
	}
	data, err := json.Marshal(items)
	if err == nil && len(data) > maxManifestBytes {
		err = fmt.Errorf("%s would have %d bytes, the limit is %d: %w", manifestFile, len(data), maxManifestBytes, errdefs.ErrResourceExhausted)
	}
	return data, err
}

// itemOf returns the item of an image, without names.
func (w *Writer) itemOf(doc document) (item manifestItem, err error) {
	if item.Config, err = blobName(doc.config.Digest); err != nil {
		return item, err
	}
	item.Layers = []string{} // an image without layers has an empty list
	for _, l := range doc.layers {
		name, err := blobName(l.Digest)
		if err != nil {
			return item, err
		}
		item.Layers = append(item.Layers, name)
	}
	return item, nil
}

// item returns the manifest that manifest.json has of an image: of a list that of the best
// instance that is there whole. If there is none, it says why.
func (w *Writer) item(entry ocispec.Descriptor) (chosen digest.Digest, reason string) {
	if !image.IsList(entry.MediaType) {
		return entry.Digest, w.unfit(entry.Digest)
	}
	fit := w.leaves(nil, entry.Digest, map[digest.Digest]bool{})
	if len(fit) == 0 {
		return "", "no instance of the list is there whole"
	}
	return fit[w.best(fit)].Digest, ""
}

// leaves appends the instances of a list that manifest.json can have. Each list is entered
// once: those that are seen already are passed over.
func (w *Writer) leaves(fit []ocispec.Descriptor, list digest.Digest, seen map[digest.Digest]bool) []ocispec.Descriptor {
	if seen[list] {
		return fit
	}
	seen[list] = true
	for _, e := range w.documents[list].entries {
		_, attests := image.AttestationOf(e)
		switch {
		case image.IsList(e.MediaType):
			fit = w.leaves(fit, e.Digest, seen)
		case !attests && image.IsManifest(e.MediaType) && w.unfit(e.Digest) == "":
			fit = append(fit, e)
		}
	}
	return fit
}

// unfit returns the reason why manifest.json cannot have a manifest; empty if it can.
func (w *Writer) unfit(manifest digest.Digest) string {
	doc, ok := w.documents[manifest]
	if !ok {
		return "it is not in the archive"
	}
	if doc.config.Digest == "" {
		return "it is an artifact"
	}
	c, ok := w.configs[doc.config.Digest]
	switch {
	case !ok:
		return "its config is not there, or cannot be read"
	case c.layers != len(doc.layers):
		return fmt.Sprintf("it has %d layers, its config %d", len(doc.layers), c.layers)
	}
	for _, l := range doc.layers {
		if !isLayer(l.MediaType) {
			return fmt.Sprintf("its layer %s is of type %s", l.Digest, strictjson.Quote(l.MediaType))
		}
		if _, ok := w.blobs[l.Digest]; !ok {
			return fmt.Sprintf("its layer %s is not there", l.Digest)
		}
	}
	return ""
}

// isLayer reports whether a media type is that of a layer that can be unpacked: what cosign
// attaches to images has the config of one, and no such layers.
func isLayer(mediaType string) bool {
	base, compression, _ := strings.Cut(mediaType, "+")
	switch base {
	case ocispec.MediaTypeImageLayer, "application/vnd.oci.image.layer.nondistributable.v1.tar":
		return compression == "" || compression == "gzip" || compression == "zstd"
	}
	return strings.HasPrefix(base, image.MediaTypeDockerLayer) || strings.HasPrefix(base, image.MediaTypeDockerForeignLayer)
}

// best returns the position of the instance that Options.Platform wants, or else of the one
// that suits this machine, or else of the first.
func (w *Writer) best(fit []ocispec.Descriptor) int {
	asked := []*ocispec.Platform{nil}
	if w.opts.Platform != nil {
		asked = slices.Insert(asked, 0, w.opts.Platform)
	}
	for _, p := range asked {
		op := platform.Get
		if p != nil {
			op = platform.CopyOne
		}
		if order, err := platform.Select(op, p, fit, platform.Options{}); err == nil {
			return order[0]
		}
	}
	return 0
}
