package describe_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/internal/testimage"
)

var update = flag.Bool("update", false, "write the golden files")

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs: %s", file, diff)
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	chosen := everything()
	for _, tc := range []struct {
		name  string
		place *place
		asked []ocispec.Platform
	}{
		{name: "everything", place: everything()},
		{name: "chosen", place: chosen, asked: []ocispec.Platform{linux("amd64")}},
		{name: "hostile", place: hostile()},
		{name: "artifact", place: artifact()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			im := tc.place.of(t, tc.asked...)
			var tree, data bytes.Buffer
			if err := im.Tree(&tree); err != nil {
				t.Fatal(err)
			}
			if err := text.JSON(&data, im); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, tc.name+".tree", tree.Bytes())
			checkGolden(t, tc.name+".json", data.Bytes())
			for _, c := range tree.String() + data.String() {
				if c != '\n' && !unicode.IsPrint(c) {
					t.Errorf("%U is printed", c)
				}
			}
			var again describe.Image
			if err := json.Unmarshal(data.Bytes(), &again); err != nil {
				t.Fatal(err)
			}
			if again.Digest != im.Digest || len(again.Instances) != len(im.Instances) {
				t.Error("the JSON form does not hold the image")
			}
		})
	}
}

// A platform can be as long as whoever wrote it liked.
func TestLongPlatformsAreCut(t *testing.T) {
	t.Parallel()
	p := &place{}
	long := linux("arm")
	long.Variant = strings.Repeat("v", 5000)
	single := p.Plain(long, "layer")
	for name, root := range map[string]ocispec.Descriptor{"list": p.Index(single), "config": single} {
		p.root = root
		p.root.Platform = nil
		var tree bytes.Buffer
		if err := p.of(t).Tree(&tree); err != nil {
			t.Fatal(err)
		}
		if want := "linux/arm/" + strings.Repeat("v", 70) + "… (5010 bytes)"; !strings.Contains(tree.String(), want) || tree.Len() > 4000 {
			t.Errorf("%s: the tree has %d bytes:\n%.2000s", name, tree.Len(), tree.String())
		}
	}
}

func TestConfigThatCannotBeReadIsAWarning(t *testing.T) {
	t.Parallel()
	p := &place{}
	p.root = p.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": p.Put(ocispec.MediaTypeImageConfig, []byte("[1")), "layers": []ocispec.Descriptor{},
	})
	im := p.of(t)
	if len(im.Details.Warnings) != 1 || !strings.HasPrefix(im.Details.Warnings[0], "the config cannot be read: ") {
		t.Errorf("warnings are %q", im.Details.Warnings)
	}
}

// A graph with 2^24 paths, and a list with 5,000 entries, are told in as many lines
// as they have descriptors.
func TestLargeGraphs(t *testing.T) {
	t.Parallel()
	diamond := &place{}
	level := []ocispec.Descriptor{diamond.Image(testimage.Image{Platform: linux("amd64")})}
	for depth := range 7 {
		var next []ocispec.Descriptor
		for i := range 8 {
			list := diamond.Index(append(level, diamond.Image(testimage.Image{Platform: linux("arm64"), Name: fmt.Sprint(depth, i)}))...)
			next = append(next, list)
		}
		level = next
	}
	diamond.root = diamond.Index(level...)

	wide := &place{}
	entry := wide.Image(testimage.Image{Platform: linux("amd64")})
	var entries []ocispec.Descriptor
	for i := range 5000 {
		entry.Platform = &ocispec.Platform{OS: "linux", Architecture: fmt.Sprint("arch", i)}
		entries = append(entries, entry)
	}
	wide.root = wide.Index(entries...)

	for name, p := range map[string]*place{"diamond": diamond, "wide": wide} {
		var b bytes.Buffer
		im := p.of(t)
		if err := im.Tree(&b); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(b.String(), "\n"); lines > 6000 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
}
