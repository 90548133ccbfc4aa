package testarchive

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// Image is what a tool saves: layers, and a config in Docker's form.
type Image struct {
	Layers  []string // tar archives
	DiffIDs []digest.Digest
	Config  string
}

// NewImage returns an image for linux/amd64 of two layers, with one file each that the name
// tells from those of other images. Its bytes are always the same.
func NewImage(tb testing.TB, name string) Image {
	tb.Helper()
	var im Image
	for i := range 2 {
		layer := string(Archive{{Name: fmt.Sprintf("etc/%s-%d", name, i), Data: strings.Repeat(name, 1000)}}.Pack(tb))
		im.Layers = append(im.Layers, layer)
		im.DiffIDs = append(im.DiffIDs, digest.FromString(layer))
	}
	im.Config = JSON(tb, map[string]any{
		"architecture": "amd64", "os": "linux", "container": "0123", "docker_version": "20.10.24", "created": "2024-05-06T07:08:09Z",
		"config": map[string]any{"Cmd": []string{"/" + name}, "Volumes": nil},
		"rootfs": map[string]any{"type": "layers", "diff_ids": im.DiffIDs},
	})
	return im
}

// ID returns the digest of the config.
func (im Image) ID() digest.Digest { return digest.FromString(im.Config) }

// LayerID returns the ID of a layer by its position, as Docker drew them: Docker110 and Docker19
// have the layer in a directory of that name.
func LayerID(i int) string { return strings.Repeat(fmt.Sprintf("%02x", i), 32) }

// Item is an image in manifest.json.
type Item struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Docker110 returns what Docker 1.10 to 24 wrote, with names of the form repository:tag: the
// directories of old beside manifest.json.
func (im Image) Docker110(tb testing.TB, names ...string) Archive {
	tb.Helper()
	item := Item{Config: im.ID().Encoded() + ".json", RepoTags: names}
	var all Archive
	for i, layer := range im.Layers {
		id := LayerID(i)
		all = append(all, directory(id, `{"id":"`+id+`"}`, layer)...)
		item.Layers = append(item.Layers, id+"/layer.tar")
	}
	repositories := map[string]map[string]string{}
	for _, name := range names {
		i := strings.LastIndexByte(name, ':')
		repository, tag := name[:i], name[i+1:]
		if repositories[repository] == nil {
			repositories[repository] = map[string]string{}
		}
		repositories[repository][tag] = LayerID(len(im.Layers) - 1)
	}
	return append(all, Member{Name: item.Config, Data: im.Config},
		Member{Name: "manifest.json", Data: JSON(tb, []Item{item})},
		Member{Name: "repositories", Data: JSON(tb, repositories)})
}

// Docker19 returns what Docker wrote before 1.10, with that text as its file repositories:
// layers with a config each, which stand upon one another, the top one last.
func (im Image) Docker19(repositories string) Archive {
	var all Archive
	for i, layer := range im.Layers {
		id, parent := LayerID(i), ""
		if i > 0 {
			parent = fmt.Sprintf(`"parent":%q,`, LayerID(i-1))
		}
		config := fmt.Sprintf(`{"id":"%s",%s"created":"2015-0%d-01T00:00:00.5Z","container":"01","container_config":{"Hostname":"x","Cmd":["/bin/sh","-c","#(nop) ADD <%d>"]},`+
			`"docker_version":"1.9.1","author":"a","config":{"Cmd":["/one"]},"architecture":"amd64","os":"linux","Size":%d}`, id, parent, i+1, i, len(layer))
		all = append(all, directory(id, config, layer)...)
	}
	return append(all, Member{Name: "repositories", Data: repositories})
}

// directory is where Docker kept a layer.
func directory(id, config, layer string) Archive {
	return Archive{
		{Name: id + "/", Kind: tar.TypeDir}, {Name: id + "/VERSION", Data: "1.0"},
		{Name: id + "/json", Data: config}, {Name: id + "/layer.tar", Data: layer},
	}
}
