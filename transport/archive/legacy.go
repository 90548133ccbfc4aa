package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
)

// Of Docker before 1.10 an archive has no configs of whole images and no manifest.json. Each
// layer is a directory, named by an ID that was drawn by lot, with the layer and a JSON that
// names the layer below it and has the config of the image that ends with this layer. The file
// repositories says which of them are images, and what they are called.
const (
	legacyJSON  = "json"
	legacyLayer = "layer.tar"
)

// newLegacyView finds the images of such an archive: what repositories names, or if there is
// no such file, each layer on which no other one stands.
func newLegacyView(ctx context.Context, r *Reader) (*dockerView, error) {
	m := newMaker(r)
	images, err := r.repositories()
	if errdefs.IsNotFound(err) {
		images, err = m.tops(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("no archive of images: it has neither %s nor %s nor %s: %w", "oci-layout", manifestFile, repositoriesFile, errdefs.ErrInvalidArgument)
	}
	v := &dockerView{file: repositoriesFile}
	for _, im := range images {
		v.add(im.names, func(ctx context.Context) (*madeImage, error) {
			made, err := m.legacyImage(ctx, im.id)
			if err != nil {
				return nil, fmt.Errorf("image %s: %w", im.id, err)
			}
			return made, nil
		})
	}
	return v, nil
}

// legacyImage is an image by the ID of its top layer.
type legacyImage struct {
	id    string
	names []string
}

// repositories reads the file of that name: tags and IDs by repository.
func (r *Reader) repositories() ([]legacyImage, error) {
	data, err := r.tar.Bytes(repositoriesFile, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	var images []legacyImage
	at := map[string]int{}
	err = strictjson.Read(data, strictjson.Limits{Bytes: maxManifestBytes, Depth: r.opts.Limits.JSONDepth}, func(j *strictjson.Reader) error {
		return j.Map(func(repository string) error {
			return j.Map(func(tag string) error {
				name, id, err := legacyTag(j, repository, tag)
				if err != nil {
					return err
				}
				i, ok := at[id]
				if !ok {
					i, images = len(images), append(images, legacyImage{id: id})
					at[id] = i
				}
				images[i].names = append(images[i].names, name)
				if len(images) > r.opts.Limits.Descriptors {
					return j.Errorf(errdefs.ErrResourceExhausted, "more than %d images", r.opts.Limits.Descriptors)
				}
				return nil
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", repositoriesFile, err)
	}
	return images, nil
}

// legacyTag reads the ID that a tag stands for, and returns the full name of the tag.
func legacyTag(j *strictjson.Reader, repository, tag string) (name, id string, err error) {
	if id, err = j.String(); err != nil {
		return "", "", err
	}
	if name, err = fullTag(repository + ":" + tag); err == nil {
		err = checkLegacyID(id)
	}
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", j.Path(), err)
	}
	return name, id, nil
}

// checkLegacyID checks the ID of a layer, which becomes a part of names in the archive.
func checkLegacyID(id string) error {
	if _, err := image.ParseDigest("sha256:" + id); err != nil {
		return fmt.Errorf("%s is not the ID of a layer: %w", strictjson.Quote(id), errdefs.ErrInvalidArgument)
	}
	return nil
}

// tops returns the layers on which no other one stands, in the order of the archive.
func (m *maker) tops(ctx context.Context) ([]legacyImage, error) {
	var ids []string
	below := map[string]bool{}
	for _, name := range m.r.tar.Files() {
		id, file := path.Split(name)
		id = strings.TrimSuffix(id, "/")
		if file != legacyJSON || checkLegacyID(id) != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c, err := m.legacyConfig(id)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
		below[c.parent] = true
	}
	var images []legacyImage
	for _, id := range ids {
		if !below[id] {
			images = append(images, legacyImage{id: id})
		}
	}
	return images, nil
}

// legacyImage makes the config and the manifest of an image.
func (m *maker) legacyImage(ctx context.Context, id string) (*madeImage, error) {
	var chain []*legacyConfig // from the top down
	seen := map[string]bool{}
	for at := id; at != ""; {
		if seen[at] || len(chain) == m.r.opts.Limits.Descriptors {
			return nil, fmt.Errorf("layer %s stands on itself, or on more than %d layers: %w", at, m.r.opts.Limits.Descriptors, errdefs.ErrInvalidArgument)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		seen[at] = true
		c, err := m.legacyConfig(at)
		if err != nil {
			return nil, err
		}
		chain, at = append(chain, c), c.parent
	}
	var layers []layer
	var diffIDs []digest.Digest
	var history []legacyHistory
	for _, c := range slices.Backward(chain) {
		member, err := m.r.tar.Lookup(c.id + "/" + legacyLayer)
		if err != nil {
			return nil, entryError(err)
		}
		l, err := m.layer(ctx, member, "")
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", c.id, err)
		}
		layers, diffIDs, history = append(layers, l), append(diffIDs, l.diffID), append(history, c.history)
	}
	data, err := chain[0].wholeConfig(diffIDs, history)
	if err != nil {
		return nil, err
	}
	config, err := configOf(data, m.r.opts.Limits)
	if err != nil {
		return nil, fmt.Errorf("the config that was made of %s: %w", id, err)
	}
	config.data = data
	return m.manifest(config, layers)
}

// legacyConfig is the JSON of a layer.
type legacyConfig struct {
	id, parent string
	members    map[string]json.RawMessage
	history    legacyHistory
}

// legacyHistory is a line of the history of a config, and what is read of the JSON for it.
type legacyHistory struct {
	Created   string `json:"created,omitempty"`
	Author    string `json:"author,omitempty"`
	CreatedBy string `json:"created_by,omitempty"`
	Comment   string `json:"comment,omitempty"`
}

// legacyConfig returns the JSON of a layer.
func (m *maker) legacyConfig(id string) (*legacyConfig, error) {
	return cached(m, m.legacy, id, func() (*legacyConfig, error) { return m.readLegacyConfig(id) })
}

func (m *maker) readLegacyConfig(id string) (*legacyConfig, error) {
	name := id + "/" + legacyJSON
	lim := m.r.opts.Limits
	data, err := m.r.tar.Bytes(name, lim.ConfigBytes)
	if err != nil {
		return nil, entryError(err)
	}
	if err := m.budget.Take(0, int64(len(data))); err != nil {
		return nil, err
	}
	c := &legacyConfig{id: id, members: map[string]json.RawMessage{}}
	if err := c.decode(data, strictjson.Limits{Bytes: lim.ConfigBytes, Depth: lim.JSONDepth}); err != nil {
		return nil, fmt.Errorf("reading %s: %w", strictjson.Quote(name), err)
	}
	if c.parent != "" {
		if err := checkLegacyID(c.parent); err != nil {
			return nil, fmt.Errorf("reading %s: %w", strictjson.Quote(name), err)
		}
	}
	return c, nil
}

// legacyFields are the members of the JSON of a layer that are looked at.
var legacyFields = strictjson.NewFields("parent", "created", "author", "comment", "container_config")

func (c *legacyConfig) decode(data []byte, lim strictjson.Limits) error {
	return strictjson.Read(data, lim, func(r *strictjson.Reader) error {
		return r.Object(legacyFields, func(name string) error {
			raw, err := r.Capture(func() (err error) {
				switch {
				case r.Kind() == strictjson.Null:
					return r.Skip()
				case name == "parent":
					c.parent, err = r.String()
				case name == "created":
					c.history.Created, err = r.String()
				case name == "author":
					c.history.Author, err = r.String()
				case name == "comment":
					c.history.Comment, err = r.String()
				case name == "container_config":
					c.history.CreatedBy, err = commandOf(r)
				default:
					err = r.Skip()
				}
				return err
			})
			c.members[name] = slices.Clone(raw)
			return err
		})
	})
}

// commandOf reads the command out of the config of a container: the one that made a layer.
func commandOf(r *strictjson.Reader) (string, error) {
	var words []string
	err := r.Map(func(name string) error {
		if name != "Cmd" || r.Kind() != strictjson.Array {
			return r.Skip()
		}
		return r.Array(func(int) error {
			word, err := r.String()
			words = append(words, word)
			return err
		})
	})
	return strings.Join(words, " "), err
}

// legacyRootFS are the layers of an image.
type legacyRootFS struct {
	Type    string          `json:"type"`
	DiffIDs []digest.Digest `json:"diff_ids"`
}

// wholeConfig makes the config of the image that ends with a layer: what the JSON of the layer
// says, without what it says of the layer, and with what later configs have. The bytes are those
// that Docker makes when it loads the archive, at least where Docker 1.8.3 or later has made
// the image: so it has the same ID there.
func (c *legacyConfig) wholeConfig(diffIDs []digest.Digest, history []legacyHistory) ([]byte, error) {
	members := map[string]any{}
	for name, value := range c.members {
		members[name] = value
	}
	for _, name := range []string{"id", "parent", "Size", "parent_id", "layer_id", "throwaway"} {
		delete(members, name)
	}
	members["rootfs"] = legacyRootFS{"layers", diffIDs}
	members["history"] = history
	return json.Marshal(members)
}
