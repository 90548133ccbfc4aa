package blackbox_test

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// newListed returns a store with a part of an image under two names, and one of its
// platforms under another one.
func newListed(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	d.must(t, "tag", "app:1", "example.com/team/app:2")
	d.must(t, "tag", d.arch["arm64"].Digest.String(), "arm")
	return d
}

func TestImages(t *testing.T) {
	t.Parallel()
	d := newListed(t)
	index, arm64 := d.index.Digest, d.arch["arm64"].Digest
	id, arm := index.Encoded()[:12], arm64.Encoded()[:12]
	for _, tc := range []struct {
		args []string
		want []string // lines, sorted
	}{
		{[]string{"--format", "{{.Repository}}|{{.Tag}}|{{.ID}}|{{.Platforms}}"}, []string{"app|1|" + id + "|1/3", "arm|latest|" + arm + "|1/1", "example.com/team/app|2|" + id + "|1/3"}},
		{[]string{"--format", "{{.Tag}}", "app"}, []string{"1"}},
		{[]string{"--format", "{{.Tag}}", "app:1", "arm:*"}, []string{"1", "latest"}},
		{[]string{"--format", "{{.Tag}}", "docker.io/library/app"}, []string{"1"}},
		{[]string{"--format", "{{.Repository}}", "app@" + index.String()}, []string{"app"}},
		{[]string{"--format", "{{.Tag}}", "--filter", "reference=docker.io/library/app"}, nil},
		{[]string{"--format", "{{.Repository}}", "--filter", "reference=example.com/*/*"}, []string{"example.com/team/app"}},
		{[]string{"--format", "{{.Tag}}", "--filter", "label=maker=testimage", "a*"}, []string{"1", "latest"}},
		{[]string{"-q", "--filter", "label=maker=x"}, nil},
		{[]string{"-q", "--filter", "dangling=true"}, nil},
		{[]string{"-q"}, slices.Sorted(slices.Values([]string{id, arm}))},
		{[]string{"-q", "--no-trunc", "arm"}, []string{arm64.String()}},
		{[]string{"--format", "{{.Digest}}", "arm"}, []string{arm64.String()}},
		{[]string{"--format", "{{json .Image.Names}}|{{.Image.Labels.maker}}", "arm"}, []string{`["arm:latest"]|testimage`}},
	} {
		got := strings.Fields(d.must(t, append([]string{"images"}, tc.args...)...))
		slices.Sort(got)
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("images %q: - wanted + got:\n%s", tc.args, diff)
		}
	}
	wantOutcome(t, "table", d.dhow(t, "images", "app"), 0, []string{"REPOSITORY  TAG  IMAGE ID      PLATFORMS  CREATED", "  SIZE\n", "app         1    " + id + "  1/3        ", "B\n"}, nil)
	wantOutcome(t, "digests", d.dhow(t, "images", "--digests", "--no-trunc", "app"), 0, []string{"REPOSITORY  TAG  DIGEST ", "app         1    " + index.String() + "  " + index.String() + "  1/3"}, nil)
	wantOutcome(t, "a pattern that is none", d.dhow(t, "images", "[a"), 1, nil, []string{`invalid pattern "[a"`})
	wantOutcome(t, "a filter that is none", d.dhow(t, "images", "--filter", "reference=[a"), 1, nil, []string{"invalid filter reference="})
	wantOutcome(t, "an unknown filter", d.dhow(t, "images", "--filter", "name=x"), 1, nil, []string{`invalid filter "name"`})
	wantOutcome(t, "an unknown image", d.dhow(t, "images", "--filter", "before=nope"), 2, nil, []string{"No such image: nope:latest"})
	wantOutcome(t, "two forms", d.dhow(t, "images", "--tree", "--json"), 1, nil, []string{"--tree and --json contradict one another"})
}

// What is there of each platform, and what is not, is shown.
func TestImagesTree(t *testing.T) {
	t.Parallel()
	d := newListed(t)
	arm64, config := d.arch["arm64"].Digest.String(), d.manifest(t, d.arch["arm64"]).Config.Digest.String()
	want := []string{
		"app:1, example.com/team/app:2  " + d.index.Digest.String() + "  ",
		"├─ linux/amd64  " + d.arch["amd64"].Digest.String() + "  absent\n", "│  └─ attestation  " + d.attests["amd64"].Digest.String() + "  absent\n",
		"├─ linux/arm64  " + arm64 + "  ", "│  └─ attestation  " + d.attests["arm64"].Digest.String() + "  ",
		"└─ linux/s390x  " + d.arch["s390x"].Digest.String() + "  absent\n",
	}
	wantOutcome(t, "tree", d.dhow(t, "images", "--tree", "app"), 0, append([]string{"app:1  "}, want[1:]...), nil)
	wantOutcome(t, "tree of all", d.dhow(t, "images", "--tree"), 0, want, nil)
	var report []struct {
		ID, Manifest, MediaType string
		Names                   []string
		Size, SharedSize        int64
		Labels                  map[string]string
		Instances               []struct{ Platform, Presence, Config string }
	}
	if err := json.Unmarshal([]byte(d.must(t, "images", "--json", "app")), &report); err != nil || len(report) != 1 {
		t.Fatalf("%v, %+v", err, report)
	}
	r := report[0]
	if r.ID != d.index.Digest.String() || r.Manifest != arm64 || len(r.Names) != 1 || r.Size < 1000 || r.SharedSize <= 0 || r.SharedSize >= r.Size ||
		r.Labels["maker"] != "testimage" || len(r.Instances) != 5 || r.Instances[1].Presence != "complete" || r.Instances[1].Config != config {
		t.Errorf("%+v", r)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	d := newListed(t)
	m := d.manifest(t, d.arch["arm64"])
	base, own := m.Layers[0].Digest.String(), m.Layers[1].Digest.String()
	wantOutcome(t, "quiet", d.dhow(t, "history", "-q", "app:1"), 0, []string{own + "\n" + base + "\n"}, []string{"warning: the history does not tell of 2 layers\n"})
	wantOutcome(t, "table", d.dhow(t, "history", "--platform", "linux/arm64", "app:1"), 0, []string{"LAYER ", "CREATED BY", own[:19], "not known", base[:19]}, []string{"warning: "})
	wantOutcome(t, "template", d.dhow(t, "history", "--format", "{{.Layer}} {{.Names}}", "arm"), 0, []string{own + " [arm:latest]\n" + base + " []\n"}, []string{"warning: "})
	var report struct {
		Manifest, Platform string
		Steps              []struct{ Layer string }
	}
	if err := json.Unmarshal([]byte(d.must(t, "history", "--json", "app:1")), &report); err != nil || report.Platform != "linux/arm64" || len(report.Steps) != 2 || report.Steps[0].Layer != own {
		t.Errorf("%v, %+v", err, report)
	}
	wantOutcome(t, "a platform that is not here", d.dhow(t, "history", "--platform", "linux/s390x", "app:1"), 2, nil, []string{"was found but does not provide the specified platform (linux/s390x)"})
	wantOutcome(t, "nothing", d.dhow(t, "history", "nope"), 2, nil, []string{"No such image: nope:latest"})
}

// What is counted is what is on the disk.
func TestDiskUsage(t *testing.T) {
	t.Parallel()
	d := newListed(t)
	var files int64
	err := filepath.WalkDir(d.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			files += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var u struct {
		Count, Dangling                          int
		Images, Freeable, Unused, Partial, Trash struct{ Count, Bytes int64 }
		Overhead, Total                          int64
	}
	if err := json.Unmarshal([]byte(d.must(t, "df", "--json")), &u); err != nil {
		t.Fatal(err)
	}
	if sum := u.Images.Bytes + u.Unused.Bytes + u.Partial.Bytes + u.Trash.Bytes + u.Overhead; sum != u.Total {
		t.Errorf("the parts are %d bytes: %+v", sum, u)
	}
	if u.Count != 2 || u.Dangling != 0 || u.Freeable.Count != 0 || u.Total < files*99/100 || u.Total > files*101/100 {
		t.Errorf("%+v; the files have %d bytes", u, files)
	}
	wantOutcome(t, "df", d.dhow(t, "df"), 0, []string{"TYPE ", "images ", " 2 ", "unused blobs ", "partial blobs ", "the store itself ", "total "}, nil)
}
