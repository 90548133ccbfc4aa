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
	"github.com/dhowhq/dhow/transport"
)

// edit returns members with another content, kind or target for one of them.
func edit(tb testing.TB, members []member, name string, change func(m *member)) []member {
	tb.Helper()
	i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	if i < 0 {
		tb.Fatalf("no member %q", name)
	}
	members = slices.Clone(members)
	change(&members[i])
	return members
}

func setTo(data string) func(*member) { return func(m *member) { m.data = data } }

func linkTo(kind byte, target string) func(*member) {
	return func(m *member) { m.kind, m.link, m.data = kind, target, "" }
}

func with(members []member, more ...member) []member { return slices.Concat(members, more) }

func without(members []member, name string) []member {
	return slices.DeleteFunc(slices.Clone(members), func(m member) bool { return m.name == name })
}

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
	s := newSaved(t, "one")
	good := docker110(t, s, "busybox:1")
	config, layer := s.id().Encoded()+".json", lot(0)+"/layer.tar"
	item := func(change func(*manifestItem)) []member {
		i := manifestItem{Config: config, RepoTags: []string{"busybox:1"}, Layers: []string{layer, lot(1) + "/layer.tar"}}
		change(&i)
		return edit(t, good, "manifest.json", setTo(marshal(t, []manifestItem{i})))
	}
	manifest := func(text string) []member { return edit(t, good, "manifest.json", setTo(text)) }
	link := func(kind byte, target string) []member { return edit(t, good, layer, linkTo(kind, target)) }
	long := strings.Repeat(" ", maxManifestBytes)
	for name, tc := range map[string]struct {
		members []member
		kind    error
		want    string
	}{
		"nothing is wrong":                    {good, nil, ""},
		"B54 entry with ..":                   {with(good, member{name: "../../etc/passwd"}), errdefs.ErrInvalidArgument, `"../../etc/passwd"`},
		"B54 absolute entry":                  {with(good, member{name: "/etc/passwd"}), errdefs.ErrInvalidArgument, `"/etc/passwd"`},
		"B64 a layer twice":                   {with(good, member{name: layer, data: "x"}), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked out of the archive": {link(tar.TypeSymlink, "../../x"), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked to itself":          {link(tar.TypeSymlink, "layer.tar"), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked to nothing":         {link(tar.TypeSymlink, "../x/layer.tar"), errdefs.ErrInvalidArgument, layer},
		"B66 layer linked to a directory":     {link(tar.TypeSymlink, "."), errdefs.ErrInvalidArgument, layer},
		"B66 layer is a device":               {link(tar.TypeChar, ""), errdefs.ErrInvalidArgument, layer},
		"B66 hard link out of the archive":    {link(tar.TypeLink, "/etc/passwd"), errdefs.ErrInvalidArgument, layer},
		"B66 config linked out":               {edit(t, good, config, linkTo(tar.TypeSymlink, "/etc/passwd")), errdefs.ErrInvalidArgument, config},
		"B66 manifest.json linked out":        {edit(t, good, "manifest.json", linkTo(tar.TypeSymlink, "/etc/passwd")), errdefs.ErrInvalidArgument, "manifest.json"},
		"B67 manifest.json twice":             {with(good, member{name: "manifest.json", data: "[]"}), errdefs.ErrInvalidArgument, "two entries"},
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
		"B69 name with a digest":              {item(func(i *manifestItem) { i.RepoTags = []string{"a@sha256:" + lot(0)} }), errdefs.ErrInvalidArgument, "digest"},
		"B69 name with control characters":    {item(func(i *manifestItem) { i.RepoTags = []string{"a\x1b[31m"} }), errdefs.ErrInvalidArgument, `\x1b[31m`},
		"config of another digest":            {edit(t, good, config, func(m *member) { m.data += " " }), errdefs.ErrDataLoss, config},
		"config is no JSON": {edit(t, item(func(i *manifestItem) { i.Config = "c" }), config, func(m *member) { m.name, m.data = "c", "{" }),
			errdefs.ErrInvalidArgument, `config "c"`},
		"config of 8 MiB and more":               {edit(t, item(func(i *manifestItem) { i.Config = "c" }), config, func(m *member) { m.name, m.data = "c", long+s.config }), errdefs.ErrResourceExhausted, `"c"`},
		"layer of another diff ID":               {edit(t, good, layer, func(m *member) { m.data = strings.Replace(m.data, "one", "two", 1) }), errdefs.ErrDataLoss, s.diffIDs[0].String()},
		"compressed layer of another diff ID":    {edit(t, good, layer, setTo(string(gzipped(t, []byte("other"))))), errdefs.ErrDataLoss, layer},
		"compressed layer that is cut off":       {edit(t, good, layer, setTo(string(gzipped(t, []byte(s.layers[0])))[:100])), errdefs.ErrInvalidArgument, layer},
		"B52 layer compressed with xz":           {edit(t, good, layer, setTo("\xfd7zXZ\x00")), errdefs.ErrNotImplemented, "xz"},
		"B47 compressed layer of too many bytes": {edit(t, good, layer, setTo(string(gzipped(t, make([]byte, 2<<20))))), errdefs.ErrResourceExhausted, layer},
		"neither layout nor manifest.json":       {[]member{{name: "etc/passwd", data: "root"}}, errdefs.ErrInvalidArgument, "no archive of images"},
		"index.json alone":                       {[]member{{name: "index.json", data: "{}"}}, errdefs.ErrInvalidArgument, "no archive of images"},
		"no entries":                             {nil, errdefs.ErrInvalidArgument, "no archive of images"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := all(t, pack(t, tc.members...), Options{MaxStaged: 1 << 20})
			if !isKind(err, tc.kind) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want %v with %q", err, tc.kind, tc.want)
			}
		})
	}
}

func TestHostileLayouts(t *testing.T) {
	t.Parallel()
	s := newSaved(t, "one")
	good := docker25(t, s, "busybox:1")
	manifest, blob := s.manifest(t), "blobs/sha256/"+s.diffIDs[0].Encoded()
	entry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(manifest), Size: int64(len(manifest))}
	named := func(e ocispec.Descriptor, name string) ocispec.Descriptor {
		e.Annotations = annotations(Docker, name)
		return e
	}
	index := func(entries ...ocispec.Descriptor) []member {
		return with(without(good, "index.json"), indexMember(t, entries...))
	}
	other := newSaved(t, "two")
	otherManifest := other.manifest(t)
	otherEntry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(otherManifest), Size: int64(len(otherManifest))}
	withOther := []member{blobMember(otherManifest), blobMember(other.config), blobMember(other.layers[0]), blobMember(other.layers[1])}
	busybox := "docker.io/library/busybox:1"
	item := func(change func(*manifestItem)) []member {
		i := manifestItem{Config: "blobs/sha256/" + s.id().Encoded(), RepoTags: []string{"busybox:1"}, Layers: []string{blob, "blobs/sha256/" + s.diffIDs[1].Encoded()}}
		change(&i)
		return edit(t, good, "manifest.json", setTo(marshal(t, []manifestItem{i})))
	}
	for name, tc := range map[string]struct {
		members []member
		kind    error
		want    string
	}{
		"nothing is wrong":                         {good, nil, ""},
		"B21 a name twice in index.json":           {slices.Concat(withOther, index(named(entry, busybox), named(otherEntry, busybox))), errdefs.ErrInvalidArgument, "is claimed by " + entry.Digest.String()},
		"B68 another image has the name":           {slices.Concat(withOther, index(named(otherEntry, busybox), entry)), errdefs.ErrInvalidArgument, "disagree"},
		"B68 index.json does not have the image":   {slices.Concat(withOther, index(otherEntry)), errdefs.ErrInvalidArgument, "disagree"},
		"B68 index.json has no images":             {index(), errdefs.ErrInvalidArgument, "disagree"},
		"B68 another config":                       {with(item(func(i *manifestItem) { i.Config = "c" }), member{name: "c", data: other.config}), errdefs.ErrInvalidArgument, "disagree"},
		"B68 another layer":                        {with(item(func(i *manifestItem) { i.Layers[0] = "l" }), member{name: "l", data: other.layers[0]}), errdefs.ErrInvalidArgument, "disagree"},
		"B68 a copy of the layer":                  {with(item(func(i *manifestItem) { i.Layers[0] = "l" }), member{name: "l", data: s.layers[0]}), errdefs.ErrInvalidArgument, "disagree"},
		"B68 layers swapped":                       {item(func(i *manifestItem) { slices.Reverse(i.Layers) }), errdefs.ErrInvalidArgument, "disagree"},
		"B68 fewer layers":                         {item(func(i *manifestItem) { i.Layers = i.Layers[:1] }), errdefs.ErrInvalidArgument, "disagree"},
		"B68 layer that is not there":              {item(func(i *manifestItem) { i.Layers[0] = "l" }), errdefs.ErrInvalidArgument, `"l"`},
		"B68 a link to the layer":                  {with(item(func(i *manifestItem) { i.Layers[0] = "l" }), member{name: "l", kind: tar.TypeSymlink, link: blob}), nil, ""},
		"B68 manifest.json is null":                {edit(t, good, "manifest.json", setTo("null")), errdefs.ErrInvalidArgument, "null"},
		"no manifest.json":                         {without(good, "manifest.json"), nil, ""},
		"B71 oci-layout of another version":        {edit(t, good, "oci-layout", setTo(`{"imageLayoutVersion":"2.0.0"}`)), errdefs.ErrInvalidArgument, `"2.0.0"`},
		"B71 oci-layout is no JSON":                {edit(t, good, "oci-layout", setTo("x")), errdefs.ErrInvalidArgument, "oci-layout"},
		"B71 oci-layout of 100 KiB":                {edit(t, good, "oci-layout", setTo(strings.Repeat(" ", 100<<10))), errdefs.ErrResourceExhausted, "oci-layout"},
		"B71 oci-layout is a directory":            {edit(t, good, "oci-layout", linkTo(tar.TypeDir, "")), errdefs.ErrInvalidArgument, "oci-layout"},
		"B71 index.json missing":                   {without(good, "index.json"), errdefs.ErrInvalidArgument, `"index.json"`},
		"B71 index.json empty":                     {edit(t, good, "index.json", setTo("")), errdefs.ErrInvalidArgument, "empty"},
		"B71 index.json is an array":               {edit(t, good, "index.json", setTo("[]")), errdefs.ErrInvalidArgument, "index.json"},
		"B71 index.json of 8 MiB and more":         {edit(t, good, "index.json", func(m *member) { m.data += strings.Repeat(" ", ocilayout.MaxIndexBytes) }), errdefs.ErrResourceExhausted, "index.json"},
		"B72 blob that is a link out":              {edit(t, good, blob, linkTo(tar.TypeSymlink, "../../../etc/passwd")), errdefs.ErrInvalidArgument, blob},
		"B72 blob that is a FIFO":                  {edit(t, good, blob, linkTo(tar.TypeFifo, "")), errdefs.ErrInvalidArgument, blob},
		"B73 blob of other bytes":                  {edit(t, good, blob, func(m *member) { m.data = strings.Replace(m.data, "one", "two", 1) }), errdefs.ErrDataLoss, s.diffIDs[0].String()},
		"B73 blob of another size":                 {edit(t, good, blob, func(m *member) { m.data += "x" }), errdefs.ErrDataLoss, s.diffIDs[0].String()},
		"B73 manifest of other bytes":              {edit(t, good, "blobs/sha256/"+entry.Digest.Encoded(), func(m *member) { m.data = strings.Replace(m.data, "tar", "tra", 1) }), errdefs.ErrDataLoss, entry.Digest.String()},
		"blob is missing":                          {without(without(good, blob), "manifest.json"), errdefs.ErrNotFound, blob},
		"blob is missing that manifest.json names": {without(good, blob), errdefs.ErrInvalidArgument, blob},
		"B73 blob in upper case":                   {edit(t, without(good, "manifest.json"), blob, func(m *member) { m.name = strings.ToUpper(m.name) }), errdefs.ErrNotFound, blob},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := all(t, pack(t, tc.members...), Options{})
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
	one, two := newSaved(t, "one"), newSaved(t, "two")
	items := []manifestItem{
		{Config: "1.json", RepoTags: []string{"nginx", "a"}, Layers: []string{"1", "2"}},
		{Config: "2.json", RepoTags: []string{"docker.io/library/nginx:latest"}, Layers: []string{"3", "4"}},
	}
	data := pack(t, member{name: "1.json", data: one.config}, member{name: "2.json", data: two.config}, member{name: "1", data: one.layers[0]}, member{name: "2", data: one.layers[1]},
		member{name: "3", data: two.layers[0]}, member{name: "4", data: two.layers[1]}, member{name: "manifest.json", data: marshal(t, items)})
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
	s := newSaved(t, "one")
	s.config += strings.Repeat(" ", 4<<20)
	packed := string(gzipped(t, []byte(s.layers[0])))
	big := string(gzipped(t, make([]byte, 8<<20)))
	item := `{"Config":"c","RepoTags":null,"Layers":["0","1"]}`
	items := "[" + strings.Repeat(item+",", 9_999) + item + "]"
	shared := []member{{name: "c", data: s.config}, {name: "0", data: packed}, {name: "1", data: s.layers[1]}, {name: "manifest.json", data: items}}

	manifest, entry := s.manifest(t), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}
	entry.Digest, entry.Size = digest.FromString(manifest), int64(len(manifest))
	both := []member{
		{name: "oci-layout", data: ocilayout.Marker}, blobMember(manifest), blobMember(s.config), blobMember(s.layers[0]), blobMember(s.layers[1]),
		indexMember(t, slices.Repeat([]ocispec.Descriptor{entry}, 10_000)...),
		{name: "c", kind: tar.TypeSymlink, link: "blobs/sha256/" + s.id().Encoded()},
		{name: "0", kind: tar.TypeSymlink, link: "blobs/sha256/" + s.diffIDs[0].Encoded()}, {name: "1", kind: tar.TypeSymlink, link: "blobs/sha256/" + s.diffIDs[1].Encoded()},
		{name: "manifest.json", data: items},
	}

	var tags []string
	var chain []member
	for i := range 1000 {
		id, parent := digest.FromString(fmt.Sprint(i)).Encoded(), digest.FromString(fmt.Sprint(i-1)).Encoded()
		config := `{"parent":"` + parent + `"}`
		if i == 0 {
			config = "{}"
		}
		chain = append(chain, member{name: id + "/json", data: config}, member{name: id + "/layer.tar", kind: tar.TypeLink, link: "big"})
		tags = append(tags, fmt.Sprintf(`"t%d":%q`, i, id))
	}
	chain = append(chain, member{name: "big", data: big}, member{name: "repositories", data: `{"a":{` + strings.Join(tags, ",") + `}}`})
	for name, tc := range map[string]struct {
		members []member
		kind    error
	}{
		"10,000 images that are one":                            {shared, nil},
		"10,000 of them, and 10,000 entries of index.json":      {both, nil},
		"1,000 images of up to 1,000 layers, all of them equal": {chain, errdefs.ErrResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := pack(t, tc.members...)
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
