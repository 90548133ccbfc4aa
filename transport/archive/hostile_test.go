package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/ocilayout"
	"github.com/dhowhq/dhow/internal/testarchive"
	"github.com/dhowhq/dhow/transport"
)

// all reads whatever there is of an archive.
func all(t *testing.T, data []byte, opts Options) error {
	t.Helper()
	r, err := reader(t, data, Docker, opts)
	if err != nil {
		return err
	}
	images, err := r.Images(t.Context())
	if err != nil {
		return err
	}
	for _, im := range images {
		if err := verifyAll(t, im.Source(), im.Root); err != nil {
			return err
		}
	}
	return nil
}

// verifyAll reads a graph; content that does not match its digest is an error.
func verifyAll(t *testing.T, src transport.Source, root ocispec.Descriptor) error {
	t.Helper()
	nodes, err := tryGraph(t, src, root)
	for _, n := range nodes {
		if _, bad := transport.Fetch(t.Context(), src, n.Desc, 1<<30); bad != nil {
			err = errors.Join(err, bad)
		}
	}
	return err
}

func TestHostileDockerArchives(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	good := s.Docker110(t, "busybox:1")
	config, layer := s.ID().Encoded()+".json", testarchive.LayerID(0)+"/layer.tar"
	item := func(change func(*manifestItem)) testarchive.Archive {
		i := manifestItem{Config: config, RepoTags: []string{"busybox:1"}, Layers: []string{layer, testarchive.LayerID(1) + "/layer.tar"}}
		change(&i)
		return good.Set(t, "manifest.json", testarchive.JSON(t, []manifestItem{i}))
	}
	manifest := func(text string) testarchive.Archive { return good.Set(t, "manifest.json", text) }
	link := func(kind byte, target string) testarchive.Archive { return good.Link(t, layer, kind, target) }
	long := strings.Repeat(" ", maxManifestBytes)
	for name, tc := range map[string]struct {
		members testarchive.Archive
		kind    error
		want    string
	}{
		"nothing is wrong":                    {good, nil, ""},
		"B54 entry with ..":                   {good.With(testarchive.Member{Name: "../../etc/passwd"}), errdefs.ErrInvalidArgument, `"../../etc/passwd"`},
		"B54 absolute entry":                  {good.With(testarchive.Member{Name: "/etc/passwd"}), errdefs.ErrInvalidArgument, `"/etc/passwd"`},
		"B64 a layer twice":                   {good.With(testarchive.Member{Name: layer, Data: "x"}), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked out of the archive": {link(tar.TypeSymlink, "../../x"), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked to itself":          {link(tar.TypeSymlink, "layer.tar"), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked to nothing":         {link(tar.TypeSymlink, "../x/layer.tar"), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked to a directory":     {link(tar.TypeSymlink, "."), errdefs.ErrInvalidArgument, layer},
		"B66 layer is a device":               {link(tar.TypeChar, ""), errdefs.ErrInvalidArgument, layer},
		"B66 hard link out of the archive":    {link(tar.TypeLink, "/etc/passwd"), errdefs.ErrInvalidArgument, layer},
		"B66 config linked out":               {good.Link(t, config, tar.TypeSymlink, "/etc/passwd"), errdefs.ErrInvalidArgument, config},
		"B66 manifest.json linked out":        {good.Link(t, "manifest.json", tar.TypeSymlink, "/etc/passwd"), errdefs.ErrInvalidArgument, "manifest.json"},
		"B67 manifest.json twice":             {good.With(testarchive.Member{Name: "manifest.json", Data: "[]"}), errdefs.ErrInvalidArgument, "two entries"},
		"B67 manifest.json has no images":     {manifest("[]"), errdefs.ErrInvalidArgument, "no images"},
		"B67 manifest.json is null":           {manifest("null"), errdefs.ErrInvalidArgument, "null"},
		"B67 manifest.json is empty":          {manifest(""), errdefs.ErrInvalidArgument, "manifest.json"},
		"B67 manifest.json is an object":      {manifest("{}"), errdefs.ErrInvalidArgument, "array"},
		"B67 manifest.json has a null":        {manifest("[null]"), errdefs.ErrInvalidArgument, "[0]"},
		"B67 manifest.json has more after it": {manifest("[]x"), errdefs.ErrInvalidArgument, "manifest.json"},
		"B67 manifest.json of 8 MiB and more": {manifest(long + "[]"), errdefs.ErrResourceExhausted, "manifest.json"},
		"B67 a member twice":                  {manifest(`[{"Config":"a","config":"b"}]`), errdefs.ErrInvalidArgument, "config"},
		"B67 depth of 100":                    {manifest(strings.Repeat("[", 100)), errdefs.ErrInvalidArgument, "manifest.json"},
		"B67 no config":                       {item(func(i *manifestItem) { i.Config = "" }), errdefs.ErrInvalidArgument, "Config"},
		"B67 config is not there":             {item(func(i *manifestItem) { i.Config = "x.json" }), errdefs.ErrInvalidArgument, `"x.json"`},
		"B67 config out of the archive":       {item(func(i *manifestItem) { i.Config = "../../etc/passwd" }), errdefs.ErrInvalidArgument, `"../../etc/passwd"`},
		"B67 layer is not there":              {item(func(i *manifestItem) { i.Layers[0] = "x/layer.tar" }), errdefs.ErrInvalidArgument, `"x/layer.tar"`},
		"B67 fewer layers than the config":    {item(func(i *manifestItem) { i.Layers = i.Layers[:1] }), errdefs.ErrInvalidArgument, "1 layers"},
		"B67 more layers than the config":     {item(func(i *manifestItem) { i.Layers = append(i.Layers, layer) }), errdefs.ErrInvalidArgument, "3 layers"},
		"B67 layers are null":                 {item(func(i *manifestItem) { i.Layers = nil }), errdefs.ErrInvalidArgument, "0 layers"},
		"B67 layers swapped":                  {item(func(i *manifestItem) { slices.Reverse(i.Layers) }), errdefs.ErrDataLoss, ""},
		"B69 name that breaks the grammar":    {item(func(i *manifestItem) { i.RepoTags = []string{"Busy Box:1"} }), errdefs.ErrInvalidArgument, "manifest.json: [0].RepoTags[0]"},
		"B69 name with a digest":              {item(func(i *manifestItem) { i.RepoTags = []string{"a@sha256:" + testarchive.LayerID(0)} }), errdefs.ErrInvalidArgument, "digest"},
		"B69 name with control characters":    {item(func(i *manifestItem) { i.RepoTags = []string{"a\x1b[31m"} }), errdefs.ErrInvalidArgument, `\x1b[31m`},
		"config of another digest":            {good.Edit(t, config, func(m *testarchive.Member) { m.Data += " " }), errdefs.ErrDataLoss, config},
		"config is no JSON": {item(func(i *manifestItem) { i.Config = "c" }).Edit(t, config, func(m *testarchive.Member) { m.Name, m.Data = "c", "{" }),
			errdefs.ErrInvalidArgument, `config "c"`},
		"config of 8 MiB and more":               {item(func(i *manifestItem) { i.Config = "c" }).Edit(t, config, func(m *testarchive.Member) { m.Name, m.Data = "c", long+s.Config }), errdefs.ErrResourceExhausted, `"c"`},
		"layer of another diff ID":               {good.Edit(t, layer, func(m *testarchive.Member) { m.Data = strings.Replace(m.Data, "one", "two", 1) }), errdefs.ErrDataLoss, s.DiffIDs[0].String()},
		"compressed layer of another diff ID":    {good.Set(t, layer, string(testarchive.Gzip(t, []byte("other")))), errdefs.ErrDataLoss, layer},
		"compressed layer that is cut off":       {good.Set(t, layer, string(testarchive.Gzip(t, []byte(s.Layers[0])))[:100]), errdefs.ErrInvalidArgument, layer},
		"B52 layer compressed with xz":           {good.Set(t, layer, "\xfd7zXZ\x00"), errdefs.ErrNotImplemented, "xz"},
		"B47 compressed layer of too many bytes": {good.Set(t, layer, string(testarchive.Gzip(t, make([]byte, 2<<20)))), errdefs.ErrResourceExhausted, layer},
		"neither layout nor manifest.json":       {testarchive.Archive{{Name: "etc/passwd", Data: "root"}}, errdefs.ErrInvalidArgument, "no archive of images"},
		"index.json alone":                       {testarchive.Archive{{Name: "index.json", Data: "{}"}}, errdefs.ErrInvalidArgument, "no archive of images"},
		"no entries":                             {nil, errdefs.ErrInvalidArgument, "no archive of images"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := all(t, tc.members.Pack(t), Options{MaxStaged: 1 << 20})
			if !isKind(err, tc.kind) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want %v with %q", err, tc.kind, tc.want)
			}
		})
	}
}

func TestHostileLayouts(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	good := docker25(t, s, "busybox:1")
	manifest, blob := manifestOf(t, s), "blobs/sha256/"+s.DiffIDs[0].Encoded()
	entry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(manifest), Size: int64(len(manifest))}
	named := func(e ocispec.Descriptor, name string) ocispec.Descriptor {
		e.Annotations = annotations(Docker, name)
		return e
	}
	index := func(entries ...ocispec.Descriptor) testarchive.Archive {
		return good.Without("index.json").With(indexMember(t, entries...))
	}
	other := testarchive.NewImage(t, "two")
	otherManifest := manifestOf(t, other)
	otherEntry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(otherManifest), Size: int64(len(otherManifest))}
	withOther := testarchive.Archive{blobMember(otherManifest), blobMember(other.Config), blobMember(other.Layers[0]), blobMember(other.Layers[1])}
	busybox := "docker.io/library/busybox:1"
	item := func(change func(*manifestItem)) testarchive.Archive {
		i := manifestItem{Config: "blobs/sha256/" + s.ID().Encoded(), RepoTags: []string{"busybox:1"}, Layers: []string{blob, "blobs/sha256/" + s.DiffIDs[1].Encoded()}}
		change(&i)
		return good.Set(t, "manifest.json", testarchive.JSON(t, []manifestItem{i}))
	}
	for name, tc := range map[string]struct {
		members testarchive.Archive
		kind    error
		want    string
	}{
		"nothing is wrong":                         {good, nil, ""},
		"B21 a name twice in index.json":           {slices.Concat(withOther, index(named(entry, busybox), named(otherEntry, busybox))), errdefs.ErrInvalidArgument, "is claimed by " + entry.Digest.String()},
		"B68 another image has the name":           {slices.Concat(withOther, index(named(otherEntry, busybox), entry)), errdefs.ErrInvalidArgument, "disagree"},
		"B68 index.json does not have the image":   {slices.Concat(withOther, index(otherEntry)), errdefs.ErrInvalidArgument, "disagree"},
		"B68 index.json has no images":             {index(), errdefs.ErrInvalidArgument, "disagree"},
		"B68 another config":                       {item(func(i *manifestItem) { i.Config = "c" }).With(testarchive.Member{Name: "c", Data: other.Config}), errdefs.ErrInvalidArgument, "disagree"},
		"B68 another layer":                        {item(func(i *manifestItem) { i.Layers[0] = "l" }).With(testarchive.Member{Name: "l", Data: other.Layers[0]}), errdefs.ErrInvalidArgument, "disagree"},
		"B68 a copy of the layer":                  {item(func(i *manifestItem) { i.Layers[0] = "l" }).With(testarchive.Member{Name: "l", Data: s.Layers[0]}), errdefs.ErrInvalidArgument, "disagree"},
		"B68 layers swapped":                       {item(func(i *manifestItem) { slices.Reverse(i.Layers) }), errdefs.ErrInvalidArgument, "disagree"},
		"B68 fewer layers":                         {item(func(i *manifestItem) { i.Layers = i.Layers[:1] }), errdefs.ErrInvalidArgument, "disagree"},
		"B68 layer that is not there":              {item(func(i *manifestItem) { i.Layers[0] = "l" }), errdefs.ErrInvalidArgument, `"l"`},
		"B68 a link to the layer":                  {item(func(i *manifestItem) { i.Layers[0] = "l" }).With(testarchive.Member{Name: "l", Kind: tar.TypeSymlink, Link: blob}), nil, ""},
		"B68 manifest.json is null":                {good.Set(t, "manifest.json", "null"), errdefs.ErrInvalidArgument, "null"},
		"no manifest.json":                         {good.Without("manifest.json"), nil, ""},
		"B71 oci-layout of another version":        {good.Set(t, "oci-layout", `{"imageLayoutVersion":"2.0.0"}`), errdefs.ErrInvalidArgument, `"2.0.0"`},
		"B71 oci-layout is no JSON":                {good.Set(t, "oci-layout", "x"), errdefs.ErrInvalidArgument, "oci-layout"},
		"B71 oci-layout of 100 KiB":                {good.Set(t, "oci-layout", strings.Repeat(" ", 100<<10)), errdefs.ErrResourceExhausted, "oci-layout"},
		"B71 oci-layout is a directory":            {good.Link(t, "oci-layout", tar.TypeDir, ""), errdefs.ErrInvalidArgument, "oci-layout"},
		"B71 index.json missing":                   {good.Without("index.json"), errdefs.ErrInvalidArgument, `"index.json"`},
		"B71 index.json empty":                     {good.Set(t, "index.json", ""), errdefs.ErrInvalidArgument, "empty"},
		"B71 index.json is an array":               {good.Set(t, "index.json", "[]"), errdefs.ErrInvalidArgument, "index.json"},
		"B71 index.json of 8 MiB and more":         {good.Edit(t, "index.json", func(m *testarchive.Member) { m.Data += strings.Repeat(" ", ocilayout.MaxIndexBytes) }), errdefs.ErrResourceExhausted, "index.json"},
		"B72 blob that is a link out":              {good.Link(t, blob, tar.TypeSymlink, "../../../etc/passwd"), errdefs.ErrInvalidArgument, blob},
		"B72 blob that is a FIFO":                  {good.Link(t, blob, tar.TypeFifo, ""), errdefs.ErrInvalidArgument, blob},
		"B73 blob of other bytes":                  {good.Edit(t, blob, func(m *testarchive.Member) { m.Data = strings.Replace(m.Data, "one", "two", 1) }), errdefs.ErrDataLoss, s.DiffIDs[0].String()},
		"B73 blob of another size":                 {good.Edit(t, blob, func(m *testarchive.Member) { m.Data += "x" }), errdefs.ErrDataLoss, s.DiffIDs[0].String()},
		"B73 manifest of other bytes":              {good.Edit(t, "blobs/sha256/"+entry.Digest.Encoded(), func(m *testarchive.Member) { m.Data = strings.Replace(m.Data, "tar", "tra", 1) }), errdefs.ErrDataLoss, entry.Digest.String()},
		"blob is missing":                          {good.Without(blob).Without("manifest.json"), errdefs.ErrNotFound, blob},
		"blob is missing that manifest.json names": {good.Without(blob), errdefs.ErrInvalidArgument, blob},
		"B73 blob in upper case":                   {good.Without("manifest.json").Edit(t, blob, func(m *testarchive.Member) { m.Name = strings.ToUpper(m.Name) }), errdefs.ErrNotFound, blob},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := all(t, tc.members.Pack(t), Options{})
			if !isKind(err, tc.kind) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want %v with %q", err, tc.kind, tc.want)
			}
		})
	}
}

// TestNamesThatTwoHave shows what LastWins does, and that names are told without anything
// being done about them.
func TestNamesThatTwoHave(t *testing.T) {
	t.Parallel()
	one, two := testarchive.NewImage(t, "one"), testarchive.NewImage(t, "two")
	items := []manifestItem{
		{Config: "1.json", RepoTags: []string{"nginx", "a"}, Layers: []string{"1", "2"}},
		{Config: "2.json", RepoTags: []string{"docker.io/library/nginx:latest"}, Layers: []string{"3", "4"}},
	}
	data := testarchive.Archive{
		{Name: "1.json", Data: one.Config}, {Name: "2.json", Data: two.Config}, {Name: "1", Data: one.Layers[0]},
		{Name: "2", Data: one.Layers[1]}, {Name: "3", Data: two.Layers[0]}, {Name: "4", Data: two.Layers[1]}, {Name: "manifest.json", Data: testarchive.JSON(t, items)},
	}.Pack(t)
	if _, err := reader(t, data, Docker, Options{}); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), `"docker.io/library/nginx:latest" is claimed by @0 and by @1`) {
		t.Errorf("B21 one name twice: %v", err)
	}
	r, err := reader(t, data, Docker, Options{LastWins: true})
	if err != nil {
		t.Fatal(err)
	}
	images := imagesOf(t, r)
	if !slices.Equal(images[0].Names, []string{"docker.io/library/a:latest"}) || !slices.Equal(images[1].Names, []string{"docker.io/library/nginx:latest"}) {
		t.Errorf("B70 the last one wins: %q and %q", images[0].Names, images[1].Names)
	}
}

// TestArchivesThatRepeatThemselves have few bytes, and refer to them very often: that must cost
// neither time nor memory.
func TestArchivesThatRepeatThemselves(t *testing.T) {
	t.Parallel()
	s := testarchive.NewImage(t, "one")
	s.Config += strings.Repeat(" ", 4<<20)
	packed := string(testarchive.Gzip(t, []byte(s.Layers[0])))
	big := string(testarchive.Gzip(t, make([]byte, 8<<20)))
	item := `{"Config":"c","RepoTags":null,"Layers":["0","1"]}`
	items := "[" + strings.Repeat(item+",", 9_999) + item + "]"
	shared := testarchive.Archive{{Name: "c", Data: s.Config}, {Name: "0", Data: packed}, {Name: "1", Data: s.Layers[1]}, {Name: "manifest.json", Data: items}}

	manifest, entry := manifestOf(t, s), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}
	entry.Digest, entry.Size = digest.FromString(manifest), int64(len(manifest))
	both := testarchive.Archive{
		{Name: "oci-layout", Data: ocilayout.Marker}, blobMember(manifest), blobMember(s.Config), blobMember(s.Layers[0]), blobMember(s.Layers[1]),
		indexMember(t, slices.Repeat([]ocispec.Descriptor{entry}, 10_000)...),
		{Name: "c", Kind: tar.TypeSymlink, Link: "blobs/sha256/" + s.ID().Encoded()},
		{Name: "0", Kind: tar.TypeSymlink, Link: "blobs/sha256/" + s.DiffIDs[0].Encoded()}, {Name: "1", Kind: tar.TypeSymlink, Link: "blobs/sha256/" + s.DiffIDs[1].Encoded()},
		{Name: "manifest.json", Data: items},
	}

	var tags []string
	var chain testarchive.Archive
	for i := range 1000 {
		id, parent := digest.FromString(fmt.Sprint(i)).Encoded(), digest.FromString(fmt.Sprint(i-1)).Encoded()
		config := `{"parent":"` + parent + `"}`
		if i == 0 {
			config = "{}"
		}
		chain = append(chain, testarchive.Member{Name: id + "/json", Data: config}, testarchive.Member{Name: id + "/layer.tar", Kind: tar.TypeLink, Link: "big"})
		tags = append(tags, fmt.Sprintf(`"t%d":%q`, i, id))
	}
	chain = append(chain, testarchive.Member{Name: "big", Data: big}, testarchive.Member{Name: "repositories", Data: `{"a":{` + strings.Join(tags, ",") + `}}`})
	for name, tc := range map[string]struct {
		members testarchive.Archive
		kind    error
	}{
		"10,000 images that are one":                            {shared, nil},
		"10,000 of them, and 10,000 entries of index.json":      {both, nil},
		"1,000 images of up to 1,000 layers, all of them equal": {chain, errdefs.ErrResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := tc.members.Pack(t)
			began := time.Now()
			r, err := reader(t, data, Docker, Options{})
			if err == nil {
				_, err = r.Images(t.Context())
			}
			if took := time.Since(began); !isKind(err, tc.kind) || took > 20*time.Second {
				t.Errorf("%v after %v; want %v soon", err, took, tc.kind)
			} else {
				t.Logf("%d bytes: %v", len(data), took)
			}
		})
	}
}
