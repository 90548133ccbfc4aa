package image_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

// addDocuments adds documents of each type, and what is almost one, to a corpus.
func addDocuments(f *testing.F) {
	f.Helper()
	for _, seed := range []string{
		ociIndex, ociManifest, dockerManifest, dockerList, sparseIndex, unsigned, signed(unsigned, 1), signed(unsigned, 2),
		withSignatures(unsigned, "["+jws(0, "{}")+"]"),
		`{"schemaVersion":2,"manifests":[` + attestation("$b", `,"vnd.docker.reference.digest":"$a"`) + `]}`,
		`{"schemaVersion":2,"config":` + configJSON + `,"layers":[` + layerJSON + `],"subject":{"mediaType":"$M","digest":"$s","size":9},"artifactType":"a/b"}`,
		`{"schemaVersion":2,"manifests":[` + descriptorJSON(field{"data", `"$64"`}, field{"urls", `["u"]`}) + `]}`,
		`{"schemaVersion":2,"config":` + configJSON + `,"layers":[],"manifests":[]}`,
		`{"schemaVersion":2,"config":` + configJSON + `,"layerſ":[]}`,
		`{"schemaVersion":2,"manifests":[{}]}`, `{"schemaVersion":1}`, `{}`, `[]`, ``, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(expand(seed)))
	}
}

// FuzzDecode checks what holds for every document that Decode returns: its
// descriptors are valid, and encoding/json reads the same ones.
func FuzzDecode(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, declared := range []string{
			"", ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, image.MediaTypeDockerList,
			image.MediaTypeDockerManifest, image.MediaTypeDockerSchema1, image.MediaTypeDockerSchema1Signed,
		} {
			doc, err := image.Decode(data, image.Declared{Served: declared}, image.Limits{})
			if err != nil {
				if doc != nil || len(err.Error()) > 2000 {
					t.Fatalf("%T and an error of %d bytes", doc, len(err.Error()))
				}
				continue
			}
			if declared != "" && doc.MediaType() != declared || !bytes.Equal(doc.Bytes(), data) {
				t.Fatalf("declared as %s, decoded as %s, from %d to %d bytes", declared, doc.MediaType(), len(data), len(doc.Bytes()))
			}
			checkEdges(t, doc)
			checkAgainstJSON(t, doc)
		}
	})
}

// checkEdges checks that what a document returns is valid.
func checkEdges(t *testing.T, doc image.Document) {
	t.Helper()
	next := map[image.Role]int{}
	for _, edge := range doc.Edges() {
		if _, err := image.ParseDigest(string(edge.Desc.Digest)); err != nil {
			t.Error(err)
		}
		if _, schema1 := doc.(*image.Schema1); schema1 != (edge.Desc.Size == -1) || edge.Desc.Size < -1 {
			t.Errorf("size %d", edge.Desc.Size)
		}
		if edge.Desc.MediaType == "" {
			t.Error("no media type")
		}
		group := edge.Role
		if _, list := doc.(*image.List); list {
			group = image.RoleIndex // entries count together
		}
		if edge.Index != next[group] {
			t.Errorf("%s %d, want %d", edge.Role, edge.Index, next[group])
		}
		next[group]++
	}
	if doc.Annotations() == nil {
		t.Error("annotations are nil")
	}
}

// checkAgainstJSON checks that encoding/json, which folds names and takes the last
// of two, reads the same descriptors: there is nothing to read otherwise.
func checkAgainstJSON(t *testing.T, doc image.Document) {
	t.Helper()
	var want, got []ocispec.Descriptor
	switch doc := doc.(type) {
	case *image.List:
		var index ocispec.Index
		unmarshal(t, doc.Bytes(), &index)
		want, got = index.Manifests, doc.Instances()
	case *image.Manifest:
		var manifest ocispec.Manifest
		unmarshal(t, doc.Bytes(), &manifest)
		want, got = append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...), append([]ocispec.Descriptor{doc.Config()}, doc.Layers()...)
	case *image.Schema1:
		var manifest struct {
			FSLayers []struct{ BlobSum digest.Digest }
		}
		unmarshal(t, doc.Bytes(), &manifest)
		edges := doc.Edges()
		for i, layer := range manifest.FSLayers {
			want = append(want, ocispec.Descriptor{MediaType: image.MediaTypeDockerLayerGzip, Digest: layer.BlobSum, Size: -1})
			got = append(got, edges[len(edges)-1-i].Desc)
		}
	}
	if len(want) != len(got) {
		t.Fatalf("%d descriptors, encoding/json reads %d", len(got), len(want))
	}
	for i := range want {
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Errorf("descriptor %d: %s", i, diff)
		}
	}
}

// unmarshal reads a document with encoding/json. Members that mean nothing in a
// Docker document can be of a wrong type there; the rest is read all the same.
func unmarshal(t *testing.T, data []byte, into any) {
	t.Helper()
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(data, into); err != nil && !(errors.As(err, &wrong) && isOfOCIAlone(wrong.Field)) {
		t.Fatalf("encoding/json: %v", err)
	}
}

func isOfOCIAlone(path string) bool {
	for _, name := range []string{"subject", "annotations", "artifactType"} {
		if path == name || strings.HasPrefix(path, name+".") {
			return true
		}
	}
	return false
}

// FuzzGuess checks that a document that can be decoded with no type known is decoded
// as what is guessed.
func FuzzGuess(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		guessed := image.Guess(data)
		doc, err := image.Decode(data, image.Declared{}, image.Limits{})
		if err == nil && doc.MediaType() != guessed {
			t.Errorf("guessed %q, decoded as %q", guessed, doc.MediaType())
		}
		if guessed != "" && !image.IsDocument(guessed) {
			t.Errorf("guessed %q", guessed)
		}
	})
}

// FuzzDecodeConfig checks that encoding/json reads the same config.
func FuzzDecodeConfig(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"os":"linux","architecture":"arm","variant":"v7","os.version":"1","os.features":["f"],"created":"2026-01-02T03:04:05Z"}`,
		`{"config":{"User":"u","Env":["A=b","C"],"Entrypoint":"/e","Cmd":["c"],"WorkingDir":"/d/..","Labels":{"l":"m"},"Volumes":{"/v":{}}}}`,
		`{"rootfs":{"type":"layers","diff_ids":["$a","$b"]},"history":[{"created_by":"b","comment":"c"},{"empty_layer":true}]}`,
		`{"rootfs":{"diff_ids":["sha256:x"]}}`, `{"OS":"linux"}`, `{"rootfſ":{}}`,
	} {
		f.Add([]byte(expand(seed)))
	}
	type config struct {
		OS           string
		Architecture string
		Variant      string
		OSVersion    string `json:"os.version"`
		Created      string
		Config       struct {
			User, WorkingDir string
			Env              []string
			Labels           map[string]string
		}
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		}
		History []struct {
			CreatedBy  string `json:"created_by"`
			EmptyLayer bool   `json:"empty_layer"`
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := image.DecodeConfig(data, image.Limits{})
		if err != nil {
			return
		}
		for _, warning := range got.Warnings(1) {
			if len(warning) > 2000 {
				t.Errorf("warning of %d bytes", len(warning))
			}
		}
		var want config
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		var have config
		have.OS, have.Architecture, have.Variant, have.OSVersion = got.Platform.OS, got.Platform.Architecture, got.Platform.Variant, got.Platform.OSVersion
		have.Created, have.RootFS.DiffIDs = got.Created, got.DiffIDs
		have.Config.User, have.Config.WorkingDir, have.Config.Env, have.Config.Labels = got.User, got.WorkingDir, got.Env, got.Labels
		for _, line := range got.History {
			have.History = append(have.History, struct {
				CreatedBy  string `json:"created_by"`
				EmptyLayer bool   `json:"empty_layer"`
			}{line.CreatedBy, line.EmptyLayer})
		}
		if len(want.History) == 0 {
			want.History = nil
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzParseDigest checks that go-digest takes what ParseDigest takes, and nothing
// else of the algorithms that there are.
func FuzzParseDigest(f *testing.F) {
	hex64 := strings.Repeat("0a", 32)
	for _, seed := range []string{
		"sha256:" + hex64, "sha384:" + hex64 + hex64[:32], "sha512:" + hex64 + hex64, "sha256:" + strings.ToUpper(hex64),
		"", ":", "sha256:", hex64, "md5:00", "multihash+base58:Qm", "sha256:../../x", "sha256:" + hex64 + "\n", "a+-b:0", "+:0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := image.ParseDigest(s)
		theirs := digest.Digest(s).Validate()
		if (err == nil) != (theirs == nil) {
			t.Fatalf("%q: %v, go-digest: %v", s, err, theirs)
		}
		if err == nil && (string(d) != s || strings.ContainsAny(s, "/\\\x00%. \n")) {
			t.Errorf("%q became %q", s, d)
		}
	})
}

// FuzzDigestOf checks that the digest of a signed manifest is of all that is read
// from it, whatever the signature says: what is signed has the same members, but for
// the signatures.
func FuzzDigestOf(f *testing.F) {
	for _, seed := range []struct {
		manifest, tail string
		length         int64
	}{
		{unsigned, "\n}", int64(len(unsigned) - 2)},
		{unsigned, "}", int64(len(unsigned) - 2)},
		{unsigned, "\n}", int64(len(unsigned) - 1)},
		{unsigned, "\v}", int64(len(unsigned) - 2)},
		{unsigned, `{"evil":1}`, 0},
		{unsigned, `,"evil":1}`, int64(len(unsigned) - 2)},
		{`{"a":1 }`, "}", 6}, {`{"a":1}`, "}", 6}, {`{"a":12}`, "}", 6}, {`{"a":{}}`, "}", 5}, {`{}`, "}", 1},
		{`{"signatures":[]}`, "}", 1}, {`{"a":1,"a":1}`, "}", 12},
	} {
		f.Add(seed.manifest, seed.tail, seed.length)
	}
	f.Fuzz(func(t *testing.T, manifest, tail string, length int64) {
		data := []byte(strings.TrimSuffix(manifest, "}") + `,"signatures":[` + jws(length, tail) + `]}`)
		got, err := image.DigestOf(data, image.MediaTypeDockerSchema1Signed, "")
		if err != nil {
			return
		}
		payload := append(bytes.Clone(data[:length]), tail...)
		if got != digest.FromBytes(payload) {
			t.Errorf("digest %s, of the payload it is %s", got, digest.FromBytes(payload))
		}
		var all, of map[string]json.RawMessage
		unmarshal(t, data, &all)
		unmarshal(t, payload, &of)
		delete(all, "signatures")
		if diff := cmp.Diff(all, of); diff != "" {
			t.Errorf("what is read and what is signed differ: %s", diff)
		}
		if err := image.VerifyBytes(data, ocispec.Descriptor{MediaType: image.MediaTypeDockerSchema1Signed, Digest: got, Size: -1}); err != nil {
			t.Error(err)
		}
	})
}
