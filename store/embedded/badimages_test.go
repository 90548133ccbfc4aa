package embedded_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/testimage"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

const hostile = "docker.io/library/hostile:1"

// newStore opens a new store until the end of the test.
func newStore(t *testing.T) *embedded.Store {
	t.Helper()
	s := openStore(t, t.TempDir(), embedded.Options{})
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// in fails the test if f takes longer.
func in(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %v; want at most %v", what, took, limit)
	}
}

// TestHostileGraph: lists that have one another, however often and deep, cost what their
// bytes cost; they are found, and collected when nobody needs them.
func TestHostileGraph(t *testing.T) {
	t.Parallel()
	for row, build := range map[string]func(src *source, leaf ocispec.Descriptor) []ocispec.Descriptor{
		"B32 a chain of 500": func(src *source, leaf ocispec.Descriptor) []ocispec.Descriptor {
			return levels(src, leaf, 500, 1)
		},
		"B32 2^60 ways": func(src *source, leaf ocispec.Descriptor) []ocispec.Descriptor {
			return levels(src, leaf, 60, 2)
		},
		"B34 1,000 times the same": func(src *source, leaf ocispec.Descriptor) []ocispec.Descriptor {
			return levels(src, leaf, 4, 1000)
		},
		"B34 5,000 children that are not there": func(src *source, leaf ocispec.Descriptor) []ocispec.Descriptor {
			entries := []ocispec.Descriptor{leaf}
			for i := range 5000 {
				entries = append(entries, ocispec.Descriptor{MediaType: leaf.MediaType, Digest: digest.FromString(fmt.Sprint(i)), Size: 1000})
			}
			return []ocispec.Descriptor{src.Index(entries...)}
		},
		"B34 no children":     func(src *source, _ ocispec.Descriptor) []ocispec.Descriptor { return []ocispec.Descriptor{src.Index()} },
		"B35 equal platforms": func(src *source, leaf ocispec.Descriptor) []ocispec.Descriptor { return levels(src, leaf, 1, 2) },
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			src := &source{Store: &testimage.Store{}}
			leaf := src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
			lists := build(src, leaf)
			root := lists[len(lists)-1]
			b, lease := newBatch(t, s)
			in(t, 20*time.Second, "writing, finding and collecting it", func() {
				if len(lists) > 1 {
					for _, n := range graphOf(t, src.Store, leaf) {
						src.put(t, b, n.Desc, n.Role)
					}
				}
				for _, list := range lists {
					src.put(t, b, list, image.RoleIndex)
				}
				if _, err := b.Publish(t.Context(), store.Move{Name: hostile, To: target(root)}); err != nil {
					t.Fatal("Publish:", err)
				}
				closeStore(t, b)
				if err := s.Release(t.Context(), lease); err != nil {
					t.Fatal(err)
				}
				wantFound(t, s, lists...)
				if _, err := store.Collect(t.Context(), s); err != nil {
					t.Fatal("Collect:", err)
				}
				wantFound(t, s, lists...)
				wantEmptyWithout(t, s, hostile)
			})
		})
	}
}

// levels makes lists each of which has the one before so many times.
func levels(src *source, leaf ocispec.Descriptor, depth, times int) (all []ocispec.Descriptor) {
	for range depth {
		leaf = target(src.Index(slices.Repeat([]ocispec.Descriptor{leaf}, times)...))
		all = append(all, leaf)
	}
	return all
}

// wantFound checks that the name is found by each of them.
func wantFound(t *testing.T, s *embedded.Store, all ...ocispec.Descriptor) {
	t.Helper()
	err := s.View(t.Context(), func(r store.NameReader) error {
		for _, desc := range all {
			found, err := r.Containing(desc.Digest)
			if err != nil || len(found) != 1 || found[0].Name != hostile {
				return fmt.Errorf("found by %s: %v, %w", desc.Digest, found, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// wantEmptyWithout checks that nothing stays when the name has gone.
func wantEmptyWithout(t *testing.T, s *embedded.Store, name string) {
	t.Helper()
	if _, err := s.Move(t.Context(), store.Move{Name: name, Forget: true}); err != nil {
		t.Fatal("Move:", err)
	}
	if _, err := store.Collect(t.Context(), s); err != nil {
		t.Fatal("Collect:", err)
	}
	left := 0
	if err := s.Walk(t.Context(), "", func(store.Blob) error { left++; return nil }); err != nil || left > 0 {
		t.Errorf("%d blobs are left: %v", left, err)
	}
	if r := check(t, s, embedded.CheckOptions{}); len(r.Findings) > 0 {
		t.Errorf("findings: %v", r.Findings)
	}
}

// TestHostileConfig: what a config says is kept as it is, and never acted upon; one that
// cannot be decoded is refused where it is to be understood.
func TestHostileConfig(t *testing.T) {
	t.Parallel()
	for row, tc := range map[string]struct {
		config string
		bad    bool
	}{
		"B24 depth bomb":               {`{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, true},
		"B26 a name twice":             {`{"os":"linux","os":"windows"}`, true},
		"B26 a name in two cases":      {`{"os":"linux","OS":"windows"}`, true},
		"B30 two documents":            {`{}{}`, true},
		"B30 no UTF-8":                 {"{\"os\":\"\xff\"}", true},
		"B38 more history than layers": {`{"history":[{},{},{}],"rootfs":{"type":"layers","diff_ids":[]}}`, false},
		"B42 a list":                   {`[]`, true},
		"B42 a text":                   {`"config"`, true},
		"B42 null":                     {`null`, true},
		"B44 year 0":                   {`{"created":"0000-01-01T00:00:00Z"}`, false},
		"B44 year 99999":               {`{"created":"99999-01-01T00:00:00Z"}`, false},
		"B45 Env without =":            {`{"config":{"Env":["A","=","=B","A=B=C",""]}}`, false},
		"B45 a huge User":              {`{"config":{"User":"` + strings.Repeat("4294967296", 1000) + `"}}`, false},
		"B45 WorkingDir":               {`{"config":{"WorkingDir":"../../../../etc"}}`, false},
		"B45 Volumes":                  {`{"config":{"Volumes":{"/../../etc":{},"":{}}}}`, false},
		"B45 labels of restart":        {`{"config":{"Labels":{"containerd.io/restart.loguri":"binary:///bin/sh?x","containerd.io/restart.status":"running"}}}`, false},
		"B45 labels of collection":     {`{"config":{"Labels":{"containerd.io/gc.ref.content.0":"sha256:` + digest.FromString("layer").Encoded() + `","containerd.io/gc.root":"x"}}}`, false},
		"B45 parent is a path":         {`{"config":{"Labels":{"org.mobyproject.image.parent":"../../x"}}}`, false},
		"B45 parent in upper case":     {`{"config":{"Labels":{"org.mobyproject.image.parent":"SHA256:` + digest.FromString("x").Encoded() + `"}}}`, false},
		"B45 100,000 labels":           {`{"config":{"Labels":{` + manyLabels(100_000) + `}}}`, false},
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			src := &source{Store: &testimage.Store{}}
			config := src.Put(ocispec.MediaTypeImageConfig, []byte(tc.config))
			manifest := manifestOf(src, config)
			b, lease := newBatch(t, s)
			_, err := b.Put(t.Context(), config, image.RoleConfig, src.Opener(config))
			if tc.bad && !errdefs.IsInvalidArgument(err) && !errdefs.IsResourceExhausted(err) || !tc.bad && err != nil {
				t.Errorf("Put: %v", err)
			}
			if tc.bad { // as bytes it is as good as any other
				src.put(t, b, config, image.RoleLayer)
			}
			src.put(t, b, manifest, image.RoleManifest)
			if _, err := b.Publish(t.Context(), store.Move{Name: hostile, To: target(manifest)}); err != nil {
				t.Fatal("Publish:", err)
			}
			if err := errors.Join(b.Close(), s.Release(t.Context(), lease)); err != nil {
				t.Error(err)
			}
			if _, err := store.Collect(t.Context(), s); err != nil {
				t.Error("Collect:", err)
			}
			for _, d := range []digest.Digest{config.Digest, manifest.Digest} {
				if got := read(t, s, src, d); got != "ok" {
					t.Errorf("reading %s: %s", d, got)
				}
			}
			if f, err := s.Facts(t.Context(), manifest.Digest); err != nil || f.Parent != "" || tc.bad && f.Platform != nil {
				t.Errorf("Facts: %+v, %v", f, err)
			}
			wantEmptyWithout(t, s, hostile)
		})
	}
}

func manyLabels(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"l%d":"v"`, i))
	}
	return strings.Join(all, ",")
}

// manifestOf makes a manifest of a config and no layers.
func manifestOf(src *source, config ocispec.Descriptor) ocispec.Descriptor {
	config.Platform = nil
	return src.JSON(ocispec.MediaTypeImageManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []ocispec.Descriptor{},
	})
}

// TestTakenForAnother: a document that says of another one what it is not neither hides
// what is below that one, nor harms it.
func TestTakenForAnother(t *testing.T) {
	t.Parallel()
	for row, say := range map[string]func(src *source, list ocispec.Descriptor) ocispec.Descriptor{
		"B14 a list as the config": func(src *source, list ocispec.Descriptor) ocispec.Descriptor {
			list.MediaType = ocispec.MediaTypeImageConfig
			return manifestOf(src, list)
		},
		"B14 a list as the config of an artifact": manifestOf,
		"B33 a list as a manifest": func(src *source, list ocispec.Descriptor) ocispec.Descriptor {
			list.MediaType = ocispec.MediaTypeImageManifest
			return src.Index(list)
		},
		"B36 a list as a config in an index": func(src *source, list ocispec.Descriptor) ocispec.Descriptor {
			list.MediaType = ocispec.MediaTypeImageConfig
			return src.Index(list)
		},
		"B36 a list as something unknown": func(src *source, list ocispec.Descriptor) ocispec.Descriptor {
			list.MediaType = "application/vnd.example"
			return src.Index(list)
		},
		"B04 a list of another size": func(src *source, list ocispec.Descriptor) ocispec.Descriptor {
			list.Size++
			return src.Index(list)
		},
	} {
		for _, first := range []string{"the list", "what says it"} {
			t.Run(row+", "+first+" first", func(t *testing.T) {
				t.Parallel()
				s := newStore(t)
				src := &source{Store: &testimage.Store{}}
				im := src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
				list := src.Index(im)
				liar := say(src, target(list))
				names := []map[string]ocispec.Descriptor{{"docker.io/library/list:1": list}}
				write := func() { src.write(t, s, names[0]) }
				lie := func() {
					b, lease := newBatch(t, s)
					role := image.RoleManifest
					if image.IsList(liar.MediaType) {
						role = image.RoleIndex
					}
					src.put(t, b, liar, role)
					if _, err := b.Publish(t.Context(), store.Move{Name: hostile, To: target(liar)}); err != nil {
						t.Fatal("Publish:", err)
					}
					if err := errors.Join(b.Close(), s.Release(t.Context(), lease)); err != nil {
						t.Error(err)
					}
				}
				if first == "the list" {
					write()
					lie()
				} else {
					lie()
					write()
				}
				if _, err := store.Collect(t.Context(), s); err != nil {
					t.Error("Collect:", err)
				}
				for _, n := range graphOf(t, src.Store, list) {
					if got := read(t, s, src, n.Desc.Digest); got != "ok" {
						t.Errorf("reading %s: %s", n.Desc.Digest, got)
					}
				}
				if f, err := s.Facts(t.Context(), list.Digest); err != nil || f.MediaType != list.MediaType || len(f.Edges) != 1 {
					t.Errorf("Facts of the list: %+v, %v", f, err)
				}
				if _, err := s.Move(t.Context(), store.Move{Name: "docker.io/library/list:1", Forget: true}); err != nil {
					t.Fatal("Move:", err)
				}
				wantEmptyWithout(t, s, hostile)
			})
		}
	}
}

// TestManyNames: thousands of names move in one call, all or none.
func TestManyNames(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	src := &source{Store: &testimage.Store{}}
	im := src.Image(testimage.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	src.write(t, s, map[string]ocispec.Descriptor{hostile: im})
	labels := map[string]string{}
	for i := range 16 {
		labels[fmt.Sprint(i)] = strings.Repeat("x", 4000)
	}
	var moves []store.Move
	for i := range 3000 {
		moves = append(moves, store.Move{Name: fmt.Sprintf("docker.io/library/many:%d", i), To: target(im)})
	}
	moves[7].Labels = labels
	count := func() (n int) {
		err := s.View(t.Context(), func(r store.NameReader) error {
			all, err := r.List("", 0)
			n = len(all)
			return err
		})
		if err != nil {
			t.Error("List:", err)
		}
		return n
	}
	in(t, 20*time.Second, "moving many names", func() {
		for row, bad := range map[string]store.Move{
			"B16 one is no name":              {Name: "Many", To: target(im)},
			"B21 one is there twice":          moves[0],
			"B43 a label of 5 KiB":            {Name: hostile, To: target(im), Labels: map[string]string{"a": strings.Repeat("x", 5<<10)}},
			"B43 a label without a key":       {Name: hostile, To: target(im), Labels: map[string]string{"": "x"}},
			"B43 labels of 100 KiB":           {Name: hostile, To: target(im), Labels: hugeLabels(100)},
			"B43 10 MiB of labels":            {Name: hostile, To: target(im), Labels: hugeLabels(10 << 10)},
			"a condition that does not hold":  {Name: hostile, To: target(im), If: store.Condition{Absent: true}},
			"a target that is not there":      {Name: hostile, To: ocispec.Descriptor{MediaType: im.MediaType, Digest: digest.FromString("x"), Size: 1}},
			"B07 a target of a negative size": {Name: hostile, To: ocispec.Descriptor{MediaType: im.MediaType, Digest: im.Digest, Size: -1}},
		} {
			if _, err := s.Move(t.Context(), append(slices.Clone(moves), bad)...); err == nil || len(err.Error()) > 2000 {
				t.Errorf("%s: Move: %.2000v", row, err)
			}
			if n := count(); n != 1 {
				t.Fatalf("%s: there are %d names; want 1", row, n)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Move(ctx, moves...); !errors.Is(err, context.Canceled) {
			t.Errorf("Move with a context that has ended: %v", err)
		}
		if _, err := s.Move(t.Context(), moves...); err != nil {
			t.Fatal("Move:", err)
		}
		if n := count(); n != len(moves)+1 {
			t.Errorf("there are %d names; want %d", n, len(moves)+1)
		}
	})
	if r := check(t, s, embedded.CheckOptions{}); len(r.Findings) > 0 {
		t.Errorf("findings: %v", r.Findings)
	}
}

// hugeLabels are as many labels of 1 KiB.
func hugeLabels(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprint(i)] = strings.Repeat("x", 1<<10)
	}
	return all
}

// TestOversized: a document that is too large is refused as early as that can be known,
// however its size is said, and leaves nothing.
func TestOversized(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{},
		"annotations": map[string]string{"a": strings.Repeat("x", limit)},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	src := &source{Store: &testimage.Store{}}
	desc := src.Put(ocispec.MediaTypeImageIndex, manifest)
	for row, size := range map[string]int64{"B23 its own size": desc.Size, "B23 no size": -1, "B23 a size that is allowed": limit, "B08 1 PiB": 1 << 50} {
		b, _ := newBatch(t, s)
		said := desc
		said.Size = size
		_, err := b.Put(t.Context(), said, image.RoleIndex, src.Opener(desc))
		if !errdefs.IsResourceExhausted(err) && !(size == limit && errdefs.IsDataLoss(err)) {
			t.Errorf("%s: Put: %v", row, err)
		}
		if _, err := b.Publish(t.Context()); err != nil {
			t.Errorf("%s: Publish: %v", row, err)
		}
		closeStore(t, b)
		if _, err := s.Stat(t.Context(), desc.Digest); !errdefs.IsNotFound(err) {
			t.Errorf("%s: Stat: %v", row, err)
		}
		if partial, err := s.Partial(t.Context()); err != nil || len(partial) > 0 {
			t.Errorf("%s: Partial: %v, %v", row, partial, err)
		}
	}
}
