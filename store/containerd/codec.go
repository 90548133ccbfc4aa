package containerd

import (
	"fmt"
	"strings"
	"unicode/utf8"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
)

// danglingName begins the name of an image record that is dangling, as Docker's daemon
// has it.
const danglingName = "moby-dangling@"

// nameOf returns the name of the image record for a key.
func nameOf(key string) string {
	if d, dangling := strings.CutPrefix(key, "@"); dangling {
		return danglingName + d
	}
	return key
}

// keyOf returns the key for the name of an image record, and whether it has one:
// others give records names that are no references.
func keyOf(name string) (key string, ours bool) {
	if d, dangling := strings.CutPrefix(name, danglingName); dangling {
		_, err := image.ParseDigest(d)
		return "@" + d, err == nil
	}
	return name, checkName(name) == nil
}

// checkName checks that a name is in its normal form, with a tag or digest.
func checkName(name string) error {
	r, err := ref.Parse(name)
	if err != nil {
		return err
	}
	if r.IsNameOnly() || r.String() != name {
		return fmt.Errorf("name %s is not in its normal form with a tag or digest: %w", strictjson.Quote(name), errdefs.ErrInvalidArgument)
	}
	return nil
}

// checkKey checks a name, or the key of a dangling record.
func checkKey(key string) error {
	if d, dangling := strings.CutPrefix(key, "@"); dangling {
		_, err := image.ParseDigest(d)
		return err
	}
	return checkName(key)
}

// recordOf reads an image record, if it is one of ours.
func recordOf(im *imagesapi.Image) (r store.Record, ours bool) {
	key, ours := keyOf(im.GetName())
	d, err := image.ParseDigest(im.GetTarget().GetDigest())
	if !ours || err != nil {
		return store.Record{}, false
	}
	r = store.Record{
		Name:    key,
		Target:  ocispec.Descriptor{MediaType: im.GetTarget().GetMediaType(), Digest: d, Size: im.GetTarget().GetSize()},
		Labels:  shownLabels(im.GetLabels()),
		Created: im.GetCreatedAt().AsTime(), Updated: im.GetUpdatedAt().AsTime(),
	}
	if strings.HasPrefix(key, "@") {
		r.Name = ""
		return r, key == r.Key() // one that points elsewhere is not for us to understand
	}
	return r, true
}

// descriptorOf returns a target in containerd's words.
func descriptorOf(desc ocispec.Descriptor) *types.Descriptor {
	return &types.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest.String(), Size: desc.Size}
}

// Labels in the first two spaces would be acted on, by containerd or by us: those that a
// caller sets get a name in the second, in which they are only kept. So do those of
// which containerd keeps nothing, because they have no value.
const (
	spaceCollector = "containerd.io/gc."
	spaceOurs      = "io.dhow."
	keptLabel      = spaceOurs + "label."
	emptyLabel     = spaceOurs + "empty."
)

// keptLabels returns labels of a caller's as they are kept.
func keptLabels(labels map[string]string) (map[string]string, error) {
	kept := map[string]string{}
	for name, value := range labels {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, fmt.Errorf("label %s is not valid UTF-8: %w", strictjson.Quote(name), errdefs.ErrInvalidArgument)
		}
		switch {
		case value == "":
			kept[emptyLabel+name] = "empty"
		case name == "" || strings.HasPrefix(name, spaceCollector) || strings.HasPrefix(name, spaceOurs):
			kept[keptLabel+name] = value
		default:
			kept[name] = value
		}
	}
	return kept, nil
}

// shownLabels returns labels as they were set, without our own.
func shownLabels(kept map[string]string) map[string]string {
	if kept == nil {
		return nil
	}
	labels := map[string]string{}
	for name, value := range kept {
		if own, ok := strings.CutPrefix(name, keptLabel); ok {
			labels[own] = value
		} else if own, ok := strings.CutPrefix(name, emptyLabel); ok {
			labels[own] = ""
		} else if !strings.HasPrefix(name, spaceOurs) {
			labels[name] = value
		}
	}
	return labels
}

// isZero reports whether a move removes its name.
func isZero(to ocispec.Descriptor) bool { return to.Digest == "" && to.MediaType == "" && to.Size == 0 }

// digestOf returns the digest in the key of a dangling record; empty for a name.
func digestOf(key string) digest.Digest {
	d, dangling := strings.CutPrefix(key, "@")
	if !dangling {
		return ""
	}
	return digest.Digest(d)
}
