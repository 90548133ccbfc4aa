package codec_test

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/codec"
)

func facts() store.Facts {
	return store.Facts{
		MediaType: ocispec.MediaTypeImageIndex, Size: 1234,
		Platform:     &ocispec.Platform{OS: "windows", Architecture: "arm64", Variant: "v8", OSVersion: "10.0", OSFeatures: []string{"win32k"}},
		Created:      time.Date(1969, 7, 20, 20, 17, 40, 1, time.UTC),
		Config:       digest.FromString("config"),
		Subject:      digest.SHA512.FromString("subject"),
		ArtifactType: "application/x",
		Parent:       digest.SHA384.FromString("parent"),
		Edges: []image.Edge{
			{Role: image.RoleConfig, Desc: ocispec.Descriptor{MediaType: "a/b", Digest: digest.FromString("config"), Size: 2, Data: []byte("{}")}},
			{Role: image.RoleLayer, Index: 7, Desc: ocispec.Descriptor{
				MediaType: "a/b", Digest: digest.FromString("layer"), Size: -1, URLs: []string{"https://example.com/x"},
				Annotations: map[string]string{"b": "", "a": "ü"}, Platform: &ocispec.Platform{}, ArtifactType: "c/d",
			}},
		},
	}
}

func TestFactsComeBack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]store.Facts{"full": facts(), "empty": {}, "an image": {Platform: &ocispec.Platform{OS: "linux"}}} {
		d := codec.NewDecoder(codec.AppendFacts(nil, want))
		got := d.Facts()
		if err := d.Done(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, - wanted + got:\n%s", name, diff)
		}
	}
}

func TestValuesComeBack(t *testing.T) {
	t.Parallel()
	b := codec.AppendInt(codec.AppendInt(codec.AppendUint(nil, math.MaxUint64), math.MinInt64), math.MaxInt64)
	b = codec.AppendBool(codec.AppendTime(codec.AppendTime(b, time.Time{}), time.Unix(0, 0)), true)
	b = codec.AppendDigest(codec.AppendDigest(b, ""), digest.SHA512.FromString("x"))
	d := codec.NewDecoder(b)
	if n := d.Uint(); n != math.MaxUint64 {
		t.Error("Uint:", n)
	}
	if a, b := d.Int(), d.Int(); a != math.MinInt64 || b != math.MaxInt64 {
		t.Error("Int:", a, b)
	}
	if a, b := d.Time(), d.Time(); !a.IsZero() || !b.Equal(time.Unix(0, 0)) {
		t.Error("Time:", a, b)
	}
	if !d.Bool() {
		t.Error("Bool: false")
	}
	if a, b := d.Digest(), d.Digest(); a != "" || b != digest.SHA512.FromString("x") {
		t.Error("Digest:", a, b)
	}
	if err := d.Done(); err != nil {
		t.Error(err)
	}
}

// TestKeysHaveTheOrderOfText: what List and Prefix return is in the order of keys.
func TestKeysHaveTheOrderOfText(t *testing.T) {
	t.Parallel()
	var all []digest.Digest
	for _, alg := range []digest.Algorithm{digest.SHA512, digest.SHA256, digest.SHA384} {
		for i := range 50 {
			all = append(all, alg.FromString(string(rune('a'+i))))
		}
	}
	slices.Sort(all)
	if !slices.IsSortedFunc(all, func(a, b digest.Digest) int {
		return bytes.Compare(codec.AppendDigest(nil, a), codec.AppendDigest(nil, b))
	}) {
		t.Error("digests as keys have another order than as text")
	}
}

func TestDamageIsSaid(t *testing.T) {
	t.Parallel()
	good := codec.AppendFacts(nil, facts())
	for i := range good {
		d := codec.NewDecoder(good[:i])
		d.Facts()
		if err := d.Done(); !errdefs.IsDataLoss(err) {
			t.Errorf("%d of %d bytes: %v", i, len(good), err)
		}
	}
	for name, read := range map[string]func(*codec.Decoder){
		"\x80\x00":                     func(d *codec.Decoder) { d.Uint() },
		"\x02":                         func(d *codec.Decoder) { d.Bool() },
		"\x04":                         func(d *codec.Decoder) { d.Digest() },
		"\xff\xff\xff\xff\x0f":         func(d *codec.Decoder) { _ = d.String() },
		"\x02\x01b\x00\x01a\x00":       func(d *codec.Decoder) { d.Map() },
		"\x01\x00\x80\x94\xeb\xdc\x03": func(d *codec.Decoder) { d.Time() },
		"\x00\x00":                     func(d *codec.Decoder) { d.Byte() },
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": func(d *codec.Decoder) { d.Size() },
	} {
		d := codec.NewDecoder([]byte(name))
		read(d)
		if err := d.Done(); !errdefs.IsDataLoss(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzFacts: what decodes has one encoding.
func FuzzFacts(f *testing.F) {
	f.Add(codec.AppendFacts(nil, facts()))
	f.Add(codec.AppendFacts(nil, store.Facts{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := codec.NewDecoder(data)
		facts := d.Facts()
		if d.Done() == nil && !bytes.Equal(codec.AppendFacts(nil, facts), data) {
			t.Errorf("%x encodes as %x", data, codec.AppendFacts(nil, facts))
		}
	})
}

// FuzzEncodeDigest checks that what is no digest is refused, and what is one encoded as
// AppendDigest does.
func FuzzEncodeDigest(f *testing.F) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		good := string(alg.FromString("x"))
		for _, text := range []string{good, good[:len(good)-1], good + "0", good[:len(good)-1] + "g", good[:len(good)-1] + "A", good[:len(good)-1] + "`"} {
			f.Add(text)
		}
	}
	f.Add("")
	f.Add("sha256-" + digest.FromString("x").Encoded())
	f.Add("md5:d41d8cd98f00b204e9800998ecf8427e")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := image.ParseDigest(text)
		got, ok := codec.EncodeDigest(nil, digest.Digest(text))
		if ok != (err == nil) || ok && !bytes.Equal(got, codec.AppendDigest(nil, d)) {
			t.Errorf("EncodeDigest of %q is %x, %t; ParseDigest says %v", text, got, ok, err)
		}
	})
}
