package archive

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/ref"
)

// itemFields are the members of an image in manifest.json.
var itemFields = strictjson.NewFields("Config", "RepoTags", "Layers", "Parent", "LayerSources")

// readManifest returns the images of manifest.json, with full names. Which image a name is
// that two have is decided by Options.LastWins.
func (r *Reader) readManifest() ([]manifestItem, error) {
	data, err := r.tar.Bytes(manifestFile, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	items, err := decodeManifest(data, r.opts.Limits)
	if err == nil {
		err = settleNames(items, r.opts)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", manifestFile, err)
	}
	return items, nil
}

// decodeManifest decodes manifest.json. There must be an image in it.
func decodeManifest(data []byte, lim image.Limits) ([]manifestItem, error) {
	var items []manifestItem
	layers, most := 0, lim.WithDefaults()
	err := strictjson.Read(data, strictjson.Limits{Bytes: maxManifestBytes, Depth: lim.JSONDepth}, func(r *strictjson.Reader) error {
		if r.Kind() == strictjson.Null {
			return r.Errorf(errdefs.ErrInvalidArgument, "null in the place of a list of images")
		}
		return r.Array(func(i int) error {
			if i == most.Descriptors {
				return r.Errorf(errdefs.ErrResourceExhausted, "more than %d images", i)
			}
			item, err := decodeItem(r, most)
			items, layers = append(items, item), layers+len(item.Layers)
			if err == nil && layers > most.GraphNodes {
				err = r.Errorf(errdefs.ErrResourceExhausted, "the images have more than %d layers together", most.GraphNodes)
			}
			return err
		})
	})
	if err == nil && len(items) == 0 {
		err = fmt.Errorf("it has no images: %w", errdefs.ErrInvalidArgument)
	}
	return items, err
}

func decodeItem(r *strictjson.Reader, lim image.Limits) (item manifestItem, err error) {
	err = r.Record(itemFields, func(name string) (err error) {
		switch name {
		case "Config":
			item.Config, err = r.String()
		case "RepoTags":
			item.RepoTags, err = stringsOf(r, lim, fullTag)
		case "Layers":
			item.Layers, err = stringsOf(r, lim, nil)
		default:
			err = r.Skip()
		}
		return err
	})
	if err == nil && item.Config == "" {
		err = r.Missing("Config")
	}
	return item, err
}

// stringsOf reads a list of strings, each of which change, if not nil, changes or refuses.
func stringsOf(r *strictjson.Reader, lim image.Limits, change func(s string) (string, error)) ([]string, error) {
	all := []string{}
	err := r.Array(func(i int) error {
		if i == lim.Descriptors {
			return r.Errorf(errdefs.ErrResourceExhausted, "more than %d elements", i)
		}
		s, err := r.String()
		if err == nil && change != nil {
			if s, err = change(s); err != nil {
				err = fmt.Errorf("%s: %w", r.Path(), err)
			}
		}
		all = append(all, s)
		return err
	})
	return all, err
}

// fullTag returns the full form of a name with a tag.
func fullTag(name string) (string, error) {
	r, err := ref.Parse(name)
	if err != nil {
		return "", err
	}
	if r.Digest() != "" {
		return "", fmt.Errorf("the name %s has a digest: %w", strictjson.Quote(name), errdefs.ErrInvalidArgument)
	}
	return r.Tagged().String(), nil
}

// settleNames makes every name that of one image.
func settleNames(items []manifestItem, opts Options) error {
	owner := map[string]int{}
	for i, item := range items {
		for _, name := range item.RepoTags {
			j, twice := owner[name]
			if twice && j != i && !sameItem(items[j], item) && !opts.LastWins {
				return fmt.Errorf("the name %s is claimed by @%d and by @%d; choose one by its position, or let the last one win: %w", strictjson.Quote(name), j, i, errdefs.ErrInvalidArgument)
			}
			owner[name] = i
		}
	}
	for i := range items {
		var own []string
		for _, name := range items[i].RepoTags {
			if owner[name] == i && !slices.Contains(own, name) {
				own = append(own, name)
			}
		}
		items[i].RepoTags = own
	}
	return nil
}

func sameItem(a, b manifestItem) bool {
	return a.Config == b.Config && slices.Equal(a.Layers, b.Layers)
}
