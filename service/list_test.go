package service_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// dated makes an image that says when it was created, a day after another, with labels.
func (f *fixture) dated(day int, parent digest.Digest, labels ...string) ocispec.Descriptor {
	all := map[string]string{}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		all[key] = value
	}
	if parent != "" {
		all[parentLabel] = parent.String()
	}
	layer := f.src.Put(ocispec.MediaTypeImageLayerGzip, fmt.Appendf(nil, "layer of day %d", day))
	base := f.src.Put(ocispec.MediaTypeImageLayerGzip, []byte("base"))
	config := map[string]any{"os": "linux", "architecture": "amd64", "config": map[string]any{"Labels": all}, "rootfs": map[string]any{"type": "layers"}}
	if day > 0 {
		config["created"] = dayOf(day)
	}
	return f.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest, Config: f.src.JSON(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{base, layer},
	})
}

func dayOf(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }

// listed is a store with images of five days: 0 does not say its day, 2 has two names, 3
// dangles, and 4 dangles and was built upon by 5. Of the index of day 1 only a part is here.
func listed(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, amd64)
	f.put(t, f.dated(0, "", "a=0"), "zero")
	one := f.dated(1, "", "a=1", "b=2")
	other := f.dated(9, "")
	one.Platform, other.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}, &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	f.putPart(t, f.src.Index(one, other), func(n *image.Node) bool { return n.Desc.Digest == other.Digest }, "one")
	f.put(t, f.dated(2, "", "a"), "example.com/team/two:1", "two:dev")
	f.put(t, f.dated(3, ""))
	four := f.dated(4, "", "a=1")
	f.put(t, four)
	f.put(t, f.dated(5, f.config(t, four), "a=1"), "five:1")
	return f
}

// names are the images of a list: their first names, or their days.
func namesOf(all []service.Summary) string {
	var names []string
	for _, sum := range all {
		if len(sum.Names) == 0 {
			names = append(names, fmt.Sprint(sum.Created.Day()))
			continue
		}
		var short []string
		for _, name := range sum.Names {
			short = append(short, service.Familiar(store.Record{Name: name}))
		}
		names = append(names, strings.Join(short, ","))
	}
	return strings.Join(names, " ")
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	f := listed(t)
	now := dayOf(6)
	for _, row := range []struct {
		filter string // separated by spaces
		all    bool
		want   string // or an error, after "!"
	}{
		{want: "five:1 3 two:dev,example.com/team/two:1 one:latest zero:latest"},
		{all: true, want: "five:1 4 3 two:dev,example.com/team/two:1 one:latest zero:latest"},
		{filter: "dangling=true", want: "3"},
		{filter: "dangling=1", all: true, want: "4 3"},
		{filter: "dangling=false", want: "five:1 two:dev,example.com/team/two:1 one:latest zero:latest"},
		{filter: "label=a", want: "five:1 two:dev,example.com/team/two:1 one:latest zero:latest"},
		{filter: "label=a=1", want: "five:1 one:latest"},
		{filter: "label=a= ", want: "two:dev,example.com/team/two:1"},
		{filter: "label=a=1 label=b", want: "one:latest"},
		{filter: "label=c", want: ""},
		{filter: "before=two:dev", want: "one:latest zero:latest"},
		{filter: "since=two:dev", want: "five:1 3"},
		{filter: "since=two:dev before=five:1", want: "3"},
		{filter: "before=two:dev before=one", want: "zero:latest"},
		{filter: "since=one since=two:dev", want: "five:1 3"},
		{filter: "before=nobody", want: "!No such image: nobody:latest"},
		{filter: "since=zero", want: "!does not say when it was created"},
		{filter: "until=2026-01-02T00:00:01Z", want: "two:dev,example.com/team/two:1 one:latest zero:latest"},
		{filter: "until=2026-01-02", want: "one:latest zero:latest"},
		{filter: "until=84h", want: "two:dev,example.com/team/two:1 one:latest zero:latest"},
		{filter: fmt.Sprintf("until=%d", dayOf(2).Unix()), want: "one:latest zero:latest"},
		{filter: fmt.Sprintf("until=%d.5", dayOf(2).Unix()), want: "two:dev,example.com/team/two:1 one:latest zero:latest"},
		{filter: "reference=two", want: "two:dev"},
		{filter: "reference=two:dev", want: "two:dev"},
		{filter: "reference=two:*", want: "two:dev"},
		{filter: "reference=*", want: "five:1 two:dev one:latest zero:latest"},
		{filter: "reference=*/*/t*", want: "example.com/team/two:1"},
		{filter: "reference=[fz]*", want: "five:1 zero:latest"},
		{filter: "reference=one reference=zero", want: "one:latest zero:latest"},
		{filter: "reference=one dangling=true", want: ""},
		{filter: "reference=docker.io/library/two", want: ""},
		{filter: "reference=[", want: "!syntax error in pattern"},
		{filter: "dangling=maybe", want: "!invalid filter dangling="},
		{filter: "until=tomorrow", want: "!invalid filter until="},
		{filter: "name=x", want: `!invalid filter "name"`},
		{filter: "label", want: "!is not KEY=VALUE"},
	} {
		t.Run(fmt.Sprintf("%s %t", row.filter, row.all), func(t *testing.T) {
			t.Parallel()
			filters := strings.Fields(row.filter)
			if strings.HasSuffix(row.filter, "= ") {
				filters = []string{strings.TrimSpace(row.filter)}
			}
			filter, err := service.ParseFilter(filters, now)
			var all []service.Summary
			if err == nil {
				all, err = f.List(t.Context(), service.ListOptions{Filter: filter, Intermediate: row.all})
			}
			if text, fails := strings.CutPrefix(row.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), text) || !errdefs.IsInvalidArgument(err) && !errdefs.IsNotFound(err) {
					t.Errorf("%v, want %q", err, text)
				}
				return
			}
			if got := namesOf(all); err != nil || got != row.want {
				t.Errorf("%s, %v\nwant %s", got, err, row.want)
			}
		})
	}
}

// What people type is what they mean: names in every form, and digests, beside patterns.
func TestListImages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	one, two := f.image(t, "linux/amd64", "one"), f.image(t, "linux/amd64", "two")
	list, gone := f.src.Index(one, two), f.image(t, "linux/amd64", "gone")
	f.put(t, one, "app:1", "example.com/team/app:1", "[::1]:5000/app:1")
	f.put(t, two, "app:2")
	f.put(t, list, "list")
	f.put(t, gone)
	id, nameless := one.Digest.String(), "1" // its day
	for _, row := range []struct {
		filter service.Filter
		want   string // or an error, after "!"
	}{
		{images("app"), "app:1 app:2"},
		{images("docker.io/library/app"), "app:1 app:2"},
		{images("index.docker.io/app"), "app:1 app:2"},
		{images("docker.io/library/app:2"), "app:2"},
		{images("EXAMPLE.com/team/app"), "example.com/team/app:1"},
		{images("[::1]:5000/app:1"), "[::1]:5000/app:1"},
		{images("[::1]:5000/app"), "[::1]:5000/app:1"},
		{images("docker.io/*/app"), "app:1 app:2"},
		{images("docker.io/*/app:[2-9]"), "app:2"},
		{images("*:1"), "app:1"},
		{images("*/*/*"), "app:1 app:2 example.com/team/app:1 list:latest"},
		{images("list", "app:2"), "app:2 list:latest"},
		{images("app@" + id), "app:1"},
		{images("app:9@" + id), "app:1"},
		{images("docker.io/library/list@" + id), "list:latest"}, // it has that in it
		{images("other@" + id), ""},
		{images(id), "[::1]:5000/app:1 app:1 example.com/team/app:1"},
		{images(one.Digest.Encoded()), "[::1]:5000/app:1 app:1 example.com/team/app:1"},
		{images(f.config(t, two).String()), "app:2 list:latest"},
		{images(gone.Digest.String()), nameless},
		{images("sha512:" + strings.Repeat("0", 128)), ""},
		{images("nobody"), ""},
		{images("App"), ""},
		{images("[a"), `!invalid pattern "[a"`},
		{service.Filter{Images: []string{"docker.io/library/app"}, References: []string{"*:2"}}, "app:2"},
		{service.Filter{Images: []string{gone.Digest.String()}, References: []string{"*"}}, ""},
	} {
		t.Run(fmt.Sprint(row.filter.Images, row.filter.References), func(t *testing.T) {
			t.Parallel()
			all, err := f.List(t.Context(), service.ListOptions{Filter: row.filter})
			if text, fails := strings.CutPrefix(row.want, "!"); fails {
				if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), text) {
					t.Errorf("%v, want %q", err, text)
				}
				return
			}
			got := strings.Fields(strings.ReplaceAll(namesOf(all), ",", " "))
			slices.Sort(got)
			if got := strings.Join(got, " "); err != nil || got != row.want {
				t.Errorf("%s, %v\nwant %s", got, err, row.want)
			}
		})
	}
}

func images(all ...string) service.Filter { return service.Filter{Images: all} }

func TestListSays(t *testing.T) {
	t.Parallel()
	f := listed(t)
	all, err := f.List(t.Context(), service.ListOptions{Shared: true, Labels: true})
	if err != nil {
		t.Fatal(err)
	}
	five, one, zero := all[0], all[3], all[4]
	if want := map[string]string{"a": "1", "b": "2"}; !cmp.Equal(one.Labels, want) || !five.Created.Equal(dayOf(5)) || !zero.Created.IsZero() {
		t.Errorf("labels %v, created %s, %s", one.Labels, five.Created, zero.Created)
	}
	if one.Preferred != 0 || len(one.Instances) != 2 || one.Instances[1].Presence != service.Absent || one.Target.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("%+v", one)
	}
	if want := one.Instances[0].Content + one.Target.Size; one.Size != want {
		t.Errorf("the size is %d, want %d", one.Size, want)
	}
	for _, sum := range all {
		if sum.Shared != int64(len("base")) {
			t.Errorf("%v shares %d bytes, want those of the base layer", sum.Names, sum.Shared)
		}
	}
	n, err := f.Count(t.Context())
	if err != nil || n != 6 {
		t.Errorf("%d images, %v; want 6", n, err)
	}
	if all, err = f.List(t.Context(), service.ListOptions{}); err != nil || all[0].Shared != -1 || all[0].Labels != nil {
		t.Errorf("%+v, %v", all[0], err)
	}
}

// TestListHostile lists images of which configs and lists say what they like.
func TestListHostile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	f.put(t, f.labelled(map[string]string{"containerd.io/gc.root": "x", "\x1b]0;": "../../..", parentLabel: "sha256:" + strings.Repeat("g", 64)}), "evil")
	config := f.src.JSON(ocispec.MediaTypeImageConfig, map[string]any{
		"os": "linux\x00", "architecture": strings.Repeat("a", 5000), "created": "+292277026596-12-04", "rootfs": map[string]any{"type": "layers"},
	})
	broken := f.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{},
	})
	f.put(t, broken, "broken")
	all, err := f.List(t.Context(), service.ListOptions{Labels: true})
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	i := slices.IndexFunc(all, func(sum service.Summary) bool { return sum.ID == broken.Digest })
	if !all[i].Created.IsZero() || all[1-i].Labels["\x1b]0;"] != "../../.." {
		t.Errorf("%+v", all)
	}
	_, err = f.Get(t.Context(), "broken", service.GetOptions{Platform: amd64.Host})
	if !errors.Is(err, service.ErrNoPlatform) || len(err.Error()) > 500 || strings.Contains(err.Error(), "\x00") {
		t.Errorf("Get: %v", err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, amd64)
	layers := []ocispec.Descriptor{f.src.Put(ocispec.MediaTypeImageLayerGzip, []byte("1")), f.src.Put(ocispec.MediaTypeImageLayerGzip, []byte("22"))}
	for _, row := range []struct {
		name    string
		steps   []map[string]any
		want    string
		warning string
	}{
		{
			name:  "a step without a layer",
			steps: []map[string]any{{"created_by": "a", "created": dayOf(1)}, {"created_by": "b", "empty_layer": true, "comment": "c"}, {"created_by": "d"}},
			want:  "d 2; b c 0; a 2026-01-01 1",
		},
		{name: "none", want: " 2;  1", warning: "does not tell of 2 layers"},
		{name: "too few", steps: []map[string]any{{"created_by": "a"}}, want: " 2; a 1", warning: "does not tell of 1 layers"},
		{
			name: "too many", steps: []map[string]any{{"created_by": "a"}, {"created_by": "b"}, {"created_by": "c"}},
			want: "c 0; b 2; a 1", warning: "has 1 steps with a layer",
		},
		{name: "bad time", steps: []map[string]any{{"created_by": "a", "created": "never"}, {"created_by": "b"}}, want: "b 2; a 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, amd64)
			for _, text := range []string{"1", "22"} {
				f.src.Put(ocispec.MediaTypeImageLayerGzip, []byte(text))
			}
			config := f.src.JSON(ocispec.MediaTypeImageConfig, map[string]any{
				"os": "linux", "architecture": "amd64", "history": row.steps, "rootfs": map[string]any{"type": "layers"},
			})
			f.put(t, f.src.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
				Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
			}), "a", "b:1")
			h, err := f.History(t.Context(), "a", nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, line := range h.Lines {
				text := line.CreatedBy
				if line.Comment != "" {
					text += " " + line.Comment
				}
				if !line.Created.IsZero() {
					text += line.Created.Format(" 2006-01-02")
				}
				got = append(got, fmt.Sprintf("%s %d", text, line.Size))
				if (i == 0) != (len(line.Names) == 2) {
					t.Errorf("line %d has the names %v", i, line.Names)
				}
			}
			if strings.Join(got, "; ") != row.want || !strings.Contains(strings.Join(h.Warnings, ""), row.warning) || (row.warning == "") != (len(h.Warnings) == 0) {
				t.Errorf("%q, %q\nwant %q, %q", strings.Join(got, "; "), h.Warnings, row.want, row.warning)
			}
		})
	}
}
