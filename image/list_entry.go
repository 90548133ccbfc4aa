package image

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// pointAt edits the JSON of the entry now so that it points at to.
func pointAt(o *object, now, to ocispec.Descriptor) error {
	o.setText("mediaType", now.MediaType, to.MediaType)
	if to.Digest != now.Digest {
		o.set("digest", encodeJSON(to.Digest))
		o.drop("urls")
		o.drop("data")
		now.URLs, now.Data = nil, nil
	}
	if to.Size != now.Size {
		o.set("size", encodeJSON(to.Size))
	}
	if to.URLs != nil {
		o.setList("urls", now.URLs, to.URLs)
	}
	if to.Annotations != nil {
		kept := func(key string) bool { _, ok := to.Annotations[key]; return ok }
		if err := annotate(o, now.Annotations, kept, to.Annotations); err != nil {
			return err
		}
	}
	if to.Data != nil && !bytes.Equal(to.Data, now.Data) {
		o.set("data", encodeJSON(to.Data))
	}
	if to.Platform != nil {
		if err := setPlatform(o, now.Platform, *to.Platform); err != nil {
			return err
		}
	}
	if to.ArtifactType != "" {
		o.setText("artifactType", now.ArtifactType, to.ArtifactType)
	}
	return nil
}

// annotate edits the annotations of an object, which are now: those are removed
// whose key keep does not want, and then set are set.
func annotate(o *object, now map[string]string, keep func(key string) bool, set map[string]string) error {
	var a object
	if now != nil {
		var err error
		if a, err = splitObject(o.get("annotations")); err != nil {
			return fmt.Errorf("annotations: %w", err)
		}
	}
	for key := range now {
		if !keep(key) {
			a.drop(key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if value, ok := now[key]; !ok || value != set[key] {
			a.set(key, encodeJSON(set[key]))
		}
	}
	switch {
	case !a.changed:
	case len(a.members) == 0:
		o.drop("annotations")
	default:
		o.set("annotations", a.bytes())
	}
	return nil
}

// setPlatform edits an entry's platform. What a platform has beyond the fields of
// OCI's stays.
func setPlatform(o *object, now *ocispec.Platform, to ocispec.Platform) error {
	var p object
	if now == nil {
		now = &ocispec.Platform{}
	} else {
		var err error
		if p, err = splitObject(o.get("platform")); err != nil {
			return fmt.Errorf("platform: %w", err)
		}
	}
	p.setText("architecture", now.Architecture, to.Architecture)
	p.setText("os", now.OS, to.OS)
	p.setText("os.version", now.OSVersion, to.OSVersion)
	p.setList("os.features", now.OSFeatures, to.OSFeatures)
	p.setText("variant", now.Variant, to.Variant)
	if p.changed {
		o.set("platform", p.bytes())
	}
	return nil
}

// checkDockerTarget checks that a Docker list can point at an entry's media type.
func checkDockerTarget(desc ocispec.Descriptor) error {
	if IsManifest(desc.MediaType) || desc.MediaType == MediaTypeDockerList {
		return nil
	}
	return fmt.Errorf("a Docker list cannot point at media type %s: %w", strictjson.Quote(desc.MediaType), errdefs.ErrNotImplemented)
}

// checkDockerEntry checks that an entry of a Docker list can say all of that, but
// for the platform.
func checkDockerEntry(desc ocispec.Descriptor) error {
	if err := checkDockerTarget(desc); err != nil {
		return err
	}
	var beyond []string
	for name, there := range map[string]bool{
		"annotations":      len(desc.Annotations) > 0,
		"an artifact type": desc.ArtifactType != "",
		"data":             len(desc.Data) > 0,
		"URLs":             len(desc.URLs) > 0,
	} {
		if there {
			beyond = append(beyond, name)
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	slices.Sort(beyond)
	return fmt.Errorf("an entry of a Docker list cannot have %s: %w", strings.Join(beyond, ", "), errdefs.ErrNotImplemented)
}

// checkDockerPlatform checks that the entry has what a Docker list requires.
func checkDockerPlatform(desc ocispec.Descriptor) error {
	if p := desc.Platform; p == nil || p.OS == "" || p.Architecture == "" {
		return fmt.Errorf("an entry of a Docker list must have a platform with OS and architecture: %w", errdefs.ErrNotImplemented)
	}
	return nil
}
