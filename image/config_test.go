package image_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
)

func TestDecodeConfig(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, in string
		want     image.Config
	}{
		{name: "B42 empty", in: `{}`},
		{
			name: "all",
			in: `{"created":"2026-01-02T03:04:05.678Z","author":"x","architecture":"arm","variant":"v7","os":"linux","os.version":"1","os.features":["f"],
				"config":{"User":"u","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c","d"],"Volumes":{"/w":{},"/v":{}},
					"WorkingDir":"/d","Labels":{"l":"m"},"StopSignal":"TERM","ArgsEscaped":true,"Healthcheck":{"Test":["NONE"]}},
				"rootfs":{"type":"layers","diff_ids":["$a","$b"]},
				"history":[{"created":"t","created_by":"b","author":"x","comment":"c"},{"empty_layer":true}],
				"docker_version":"1","container_config":{"Env":null}}`,
			want: image.Config{
				Platform: ocispec.Platform{Architecture: "arm", Variant: "v7", OS: "linux", OSVersion: "1", OSFeatures: []string{"f"}},
				Created:  "2026-01-02T03:04:05.678Z", RootFSType: "layers", DiffIDs: []digest.Digest{digestOf("a"), digestOf("b")},
				History: []image.History{{Created: "t", CreatedBy: "b", Comment: "c"}, {EmptyLayer: true}},
				Labels:  map[string]string{"l": "m"}, Env: []string{"A=b"}, Entrypoint: []string{"/e"}, Cmd: []string{"c", "d"},
				User: "u", WorkingDir: "/d", Volumes: []string{"/w", "/v"},
			},
		},
		{
			name: "null for all", in: `{"created":null,"architecture":null,"os":null,"os.features":null,"config":{"Env":null,"Cmd":null,"Labels":null,
				"Volumes":null},"rootfs":{"type":null,"diff_ids":null},"history":null}`,
		},
		{
			name: "commands as early Docker wrote them", in: `{"config":{"Entrypoint":"/e","Cmd":"/c d"}}`,
			want: image.Config{Entrypoint: []string{"/e"}, Cmd: []string{"/c d"}},
		},
		{
			name: "B44 and B45 stored as they are", in: `{"created":"99999-01-01","config":{"Env":["X"],"WorkingDir":"../..","Volumes":{"/../x":{}}}}`,
			want: image.Config{Created: "99999-01-01", Env: []string{"X"}, WorkingDir: "../..", Volumes: []string{"/../x"}},
		},
		{
			name: "empty lists are not nil", in: `{"rootfs":{"diff_ids":[]},"history":[],"config":{"Env":[]}}`,
			want: image.Config{DiffIDs: []digest.Digest{}, History: []image.History{}, Env: []string{}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := image.DecodeConfig([]byte(expand(test.in)), image.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeConfigRefuses(t *testing.T) {
	t.Parallel()
	many := "[" + strings.Repeat(`{},`, 10_000) + `{}]`
	for _, test := range []struct {
		name, in string
		lim      image.Limits
		kind     error // nil is ErrInvalidArgument
		says     string
	}{
		{name: "B42 8 MiB and a byte", in: `{}` + strings.Repeat(" ", 8<<20-1), kind: errdefs.ErrResourceExhausted, says: "is 8388609 bytes, at most 8388608 are allowed"},
		{name: "B42 beyond a limit", in: `{} `, lim: image.Limits{ConfigBytes: 2}, kind: errdefs.ErrResourceExhausted, says: "is 3 bytes, at most 2"},
		{name: "B30 not JSON", in: "\x1f\x8b", says: "is not JSON"},
		{name: "B30 trailing data", in: `{}{}`, says: "data after its end"},
		{name: "not an object", in: `[]`, says: "document: is an array"},
		{name: "B24 deep", in: `{"x":[[]]}`, lim: image.Limits{JSONDepth: 2}, says: "x[0]: nests deeper than 2"},
		{name: "B26 OS", in: `{"OS":"linux"}`, says: `ambiguous key "OS", which can be taken for "os"`},
		{name: "B26 env", in: `{"config":{"env":[]}}`, says: `config: has the ambiguous key "env", which can be taken for "Env"`},
		{name: "B26 rootfs twice", in: `{"rootfs":{},"rootfs":{}}`, says: `has the key "rootfs" twice`},
		{name: "B26 rootfſ", in: `{"rootfſ":{}}`, says: `which can be taken for "rootfs"`},
		{name: "B26 label twice", in: `{"config":{"Labels":{"a":"","a":""}}}`, says: `config.Labels: has the key "a" twice`},
		{name: "B09 diff ID", in: `{"rootfs":{"diff_ids":["sha256:x"]}}`, says: `rootfs.diff_ids[0]: is "sha256:x", which is not a digest`},
		{name: "B11 diff ID", in: `{"rootfs":{"diff_ids":["md5:00"]}}`, kind: errdefs.ErrNotImplemented, says: `rootfs.diff_ids[0]: is "md5:00", whose algorithm is unknown`},
		{name: "created a number", in: `{"created":0}`, says: "created: is a number"},
		{name: "label null", in: `{"config":{"Labels":{"a":null}}}`, says: "config.Labels.a: is null"},
		{name: "env a map", in: `{"config":{"Env":{}}}`, says: "config.Env: is an object"},
		{name: "empty_layer a string", in: `{"history":[{"empty_layer":"true"}]}`, says: "history[0].empty_layer: is a string"},
		{name: "B38 10,001 lines", in: `{"history":` + many + `}`, kind: errdefs.ErrResourceExhausted, says: "history[10000]: is one more than the 10000 allowed"},
		{name: "3 volumes where 2 are allowed", in: `{"config":{"Volumes":{"a":{},"b":{},"c":{}}}}`, lim: image.Limits{Descriptors: 2}, kind: errdefs.ErrResourceExhausted, says: "config.Volumes.c: is one more than the 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := image.DecodeConfig([]byte(test.in), test.lim)
			if test.kind == nil {
				test.kind = errdefs.ErrInvalidArgument
			}
			refused(t, err, test.kind, test.says)
		})
	}
}

func TestConfigWarnings(t *testing.T) {
	t.Parallel()
	two := image.Config{DiffIDs: []digest.Digest{digestOf("a"), digestOf("b")}}
	with := func(change func(c *image.Config)) image.Config {
		c := two
		change(&c)
		return c
	}
	for _, test := range []struct {
		name   string
		config image.Config
		want   []string
	}{
		{"nothing odd", with(func(c *image.Config) {
			c.Created, c.Env, c.User, c.WorkingDir = "2026-01-02T03:04:05.678901234+01:00", []string{"A=b", "B="}, "root", "/a..b/..."
			c.History = []image.History{{Created: "2026-01-02T03:04:05Z"}, {EmptyLayer: true}, {}}
			c.Labels = map[string]string{"org.opencontainers.image.title": "x", "x.containerd.io/gc": ""}
		}), nil},
		{"B38 fewer diff IDs", image.Config{DiffIDs: two.DiffIDs[:1]}, []string{"the config has 1 diff IDs for 2 layers"}},
		{"B38 longer history", with(func(c *image.Config) { c.History = make([]image.History, 3) }), []string{"the config's history tells of 3 layers where it has 2 diff IDs"}},
		{"B38 all lines empty", with(func(c *image.Config) { c.History = []image.History{{EmptyLayer: true}} }), []string{"the config's history tells of 0 layers where it has 2 diff IDs"}},
		{"B44 year 99999", with(func(c *image.Config) { c.Created = "99999-01-01T00:00:00Z" }), []string{`the config's creation time "99999-01-01T00:00:00Z" is no time by RFC 3339`}},
		{"B44 zone", with(func(c *image.Config) { c.Created = "2026-01-01T00:00:00 Mars\x1b" }), []string{`the config's creation time "2026-01-01T00:00:00 Mars\x1b" is no time by RFC 3339`}},
		{"B44 in the history", with(func(c *image.Config) { c.History = []image.History{{Created: "x"}, {Created: "y"}} }), []string{`the time in the config's history "x" is no time by RFC 3339 (and 1 more like it)`}},
		{"B45 environment", with(func(c *image.Config) { c.Env = []string{"A=", "X", "=y", "B"} }), []string{`the environment variable "X" is not of the form NAME=VALUE (and 2 more like it)`}},
		{"B45 working directory", with(func(c *image.Config) { c.WorkingDir = "/a/../../b" }), []string{`the working directory "/a/../../b" has the element ".."`}},
		{"B45 working directory of Windows", with(func(c *image.Config) { c.WorkingDir = `C:\a\..` }), []string{`the working directory "C:\\a\\.." has the element ".."`}},
		{"B45 volume", with(func(c *image.Config) { c.Volumes = []string{"/ok", "../x"} }), []string{`the volume "../x" has the element ".."`}},
		{"B45 user", with(func(c *image.Config) { c.User = strings.Repeat("u", 257) }), []string{"the config's user has 257 bytes"}},
		{"B45 user of 256 bytes", with(func(c *image.Config) { c.User = strings.Repeat("u", 256) }), nil},
		{"B45 labels", with(func(c *image.Config) {
			c.Labels = map[string]string{"containerd.io/z": "", "containerd.io/gc.root": ""}
		}),
			[]string{`the label "containerd.io/gc.root" is in a namespace of containerd's own (and 1 more like it)`}},
	} {
		if diff := cmp.Diff(test.want, test.config.Warnings(2)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}
