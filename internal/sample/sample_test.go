package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/platform"
)

// programs are not compiled, but of all platforms.
func programs() []program {
	var all []program
	for _, t := range targets() {
		all = append(all, program{platform: t.platform, code: []byte("program for " + platform.Format(t.platform))})
	}
	return all
}

func TestSampleIsAWholeImage(t *testing.T) {
	t.Parallel()
	store := &testimage.Store{}
	root, sbom, err := assemble(store, programs())
	if err != nil {
		t.Fatal(err)
	}
	g, err := image.Walker{Fetch: store.Fetch}.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	list, ok := g.Root.Doc.(*image.List)
	if !ok {
		t.Fatalf("the root is a %T", g.Root.Doc)
	}
	var platforms []string
	attested := map[digest.Digest]bool{}
	for _, e := range list.Instances() {
		if of, ok := image.AttestationOf(e); ok {
			attested[of] = true
			continue
		}
		platforms = append(platforms, platform.Format(*e.Platform))
		checkImage(t, store, g.Node(e.Digest).Doc.(*image.Manifest), platform.Format(*e.Platform))
	}
	want := []string{
		"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/ppc64le", "linux/s390x", "linux/riscv64",
		"windows(10.0.20348.2700)/amd64",
	}
	if !slices.Equal(platforms, want) {
		t.Errorf("platforms are %q", platforms)
	}
	if len(attested) != 2 || !attested[list.Instances()[0].Digest] || !attested[list.Instances()[1].Digest] {
		t.Errorf("attested are %v", attested)
	}
	doc, err := image.Decode(store.Get(sbom.Digest), image.Declared{Descriptor: sbom.MediaType}, image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if s := doc.Subject(); s == nil || s.Digest != root.Digest || doc.ArtifactType() != mediaTypeSPDX {
		t.Errorf("the SBOM is a %q of %v", doc.ArtifactType(), s)
	}
}

// checkImage checks config and layers of an image, and that the program is in it.
func checkImage(t *testing.T, store *testimage.Store, m *image.Manifest, name string) {
	t.Helper()
	config, err := image.DecodeConfig(store.Get(m.Config().Digest), image.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := platform.Format(config.Platform); got != name {
		t.Errorf("the config of %s is for %s", name, got)
	}
	if w := config.Warnings(len(m.Layers())); len(w) > 0 {
		t.Errorf("the config of %s: %s", name, w)
	}
	found := false
	for i, l := range m.Layers() {
		z, err := gzip.NewReader(bytes.NewReader(store.Get(l.Digest)))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if got := digest.FromBytes(plain); got != config.DiffIDs[i] {
			t.Errorf("layer %d of %s has diff ID %s, the config says %s", i, name, got, config.DiffIDs[i])
		}
		found = found || hasProgram(t, plain, name)
	}
	if !found {
		t.Errorf("no layer of %s has its program", name)
	}
}

// hasProgram reports whether a tar has the executable of that platform.
func hasProgram(t *testing.T, plain []byte, name string) bool {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(plain))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if string(data) == "program for "+name {
			if h.Mode != 0o755 || h.Typeflag != tar.TypeReg {
				t.Errorf("%s has mode %o and type %c", h.Name, h.Mode, h.Typeflag)
			}
			return true
		}
	}
}

func TestSampleIsReproducible(t *testing.T) {
	t.Parallel()
	a, b := &testimage.Store{}, &testimage.Store{}
	for _, s := range []*testimage.Store{a, b} {
		if _, _, err := assemble(s, programs()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(a.Digests(), b.Digests()) {
		t.Error("two runs made different blobs")
	}
}

func TestCompile(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles")
	}
	all := targets()
	i := slices.IndexFunc(all, func(t target) bool { return t.platform.Variant == "v6" })
	built, err := compile(t.Context(), all[i:i+1])
	if err != nil {
		t.Fatal(err)
	}
	code := bytes.NewReader(built[0].code)
	f, err := elf.NewFile(code)
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != elf.EM_ARM {
		t.Errorf("the program is for %s", f.Machine)
	}
	info, err := buildinfo.Read(code)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["GOARM"] != "6" || settings["CGO_ENABLED"] != "0" {
		t.Errorf("built with %v", settings)
	}
}

func TestDirectoryThatIsNoLayoutIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{dir}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no OCI layout") {
		t.Errorf("error is %v", err)
	}
}
