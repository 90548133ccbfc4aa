package blackbox_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testcontainerd"
	"github.com/dhowhq/dhow/store"
)

// namespace is one of a containerd, in the place of a local store.
type namespace struct {
	daemon *testcontainerd.Daemon
	name   string
}

func (n namespace) dhow(t *testing.T, args ...string) outcome {
	t.Helper()
	address := "containerd://" + n.daemon.Socket() + "?namespace=" + n.name
	return result(t, exec.CommandContext(t.Context(), dhow, append([]string{"--store", address}, args...)...))
}

// must is dhow, which has to succeed and to complain about nothing, and returns its
// standard output.
func (n namespace) must(t *testing.T, args ...string) string {
	t.Helper()
	r := n.dhow(t, args...)
	if r.code != 0 || r.errors != "" {
		t.Fatalf("dhow %q: exit code %d: %s", args, r.code, r.errors)
	}
	return r.out
}

// pull pulls platforms of the image of a desk as app:1, and returns what was moved.
func (n namespace) pull(t *testing.T, d *desk, says, platforms string) []digest.Digest {
	t.Helper()
	d.moved()
	out := n.must(t, "pull", "-q", "--tls-verify=false", "--platform", platforms, d.image, "app:1")
	if want := "app:1 " + d.index.Digest.String() + " " + says; !strings.HasPrefix(out, want) {
		t.Errorf("pull of %s printed %q, want %q", platforms, out, want)
	}
	return d.moved()
}

// wantPresence compares what is there of the platforms of the only image, and its names.
func (n namespace) wantPresence(t *testing.T, d *desk, presence map[string]string, names ...string) {
	t.Helper()
	var images []struct {
		ID        digest.Digest
		Names     []string
		Instances []struct{ Kind, Platform, Presence string }
	}
	if err := json.Unmarshal([]byte(n.must(t, "images", "--json")), &images); err != nil || len(images) != 1 {
		t.Fatalf("images: %v, %+v", err, images)
	}
	got := map[string]string{}
	for _, inst := range images[0].Instances {
		if inst.Kind == "image" {
			got[strings.TrimPrefix(inst.Platform, "linux/")] = inst.Presence
		}
	}
	if diff := cmp.Diff(presence, got); diff != "" || images[0].ID != d.index.Digest || !slices.Equal(images[0].Names, names) {
		t.Errorf("images: %+v, want %s with the names %q; - wanted + got:\n%s", images, d.index.Digest, names, diff)
	}
}

// wantEmpty checks that nothing is there.
func (n namespace) wantEmpty(t *testing.T) {
	t.Helper()
	var info store.Info
	if err := json.Unmarshal([]byte(n.must(t, "store", "info", "--json")), &info); err != nil {
		t.Fatal(err)
	}
	if *info.Names != 0 || *info.Dangling != 0 || *info.Leases != 0 || info.Blobs.Count != 0 || info.Partial.Count != 0 {
		t.Errorf("left: %+v", info)
	}
}

// The way of an image through the namespaces of a real containerd.
func TestContainerd(t *testing.T) {
	t.Parallel()
	long(t)
	daemon := testcontainerd.Run(t)
	n, other := namespace{daemon, "one"}, namespace{daemon, "other"}
	d := newDesk(t)
	index := d.index.Digest.String()
	some := d.blobsOf(t, "amd64", "s390x")
	if diff := cmp.Diff(some, n.pull(t, d, "newer; ", "linux/amd64,linux/s390x")); diff != "" {
		t.Errorf("two platforms: - wanted + moved:\n%s", diff)
	}
	n.wantPresence(t, d, map[string]string{"amd64": "complete", "arm64": "absent", "s390x": "complete"}, "app:1")
	missing := slices.DeleteFunc(d.blobsOf(t, "arm64"), func(blob digest.Digest) bool { return slices.Contains(some, blob) })
	if diff := cmp.Diff(missing, n.pull(t, d, "completed; ", "linux/arm64")); diff != "" {
		t.Errorf("another one: - wanted + moved:\n%s", diff)
	}
	all := map[string]string{"amd64": "complete", "arm64": "complete", "s390x": "complete"}
	n.wantPresence(t, d, all, "app:1")

	file := filepath.Join(t.TempDir(), "app.tar")
	wantOutcome(t, "save", n.dhow(t, "save", "-q", "-o", file, "app:1"), 0, []string{"app:1 " + index + " whole\n"}, nil)
	wantOutcome(t, "load", n.dhow(t, "load", "-q", "-i", file, "--name", "again:1"), 0, []string{"Loaded image: again:1\n"}, nil)
	n.wantPresence(t, d, all, "again:1", "app:1")
	wantOutcome(t, "load", other.dhow(t, "load", "-q", "-i", file, "--name", "other:1"), 0, []string{"Loaded image: other:1\n"}, nil)
	other.wantPresence(t, d, all, "other:1")

	wantOutcome(t, "rmi of a platform", n.dhow(t, "rmi", "--platform", "linux/arm64", "app:1"), 1, nil, []string{"dhow: ", "the store cannot take out a part of an image"})
	wantOutcome(t, "fsck", n.dhow(t, "fsck"), 1, nil, []string{"dhow: a store in containerd cannot be checked"})
	wantOutcome(t, "rmi of a name", n.dhow(t, "rmi", "app:1"), 0, []string{"Untagged: app:1\n"}, nil)
	n.wantPresence(t, d, all, "again:1")
	wantOutcome(t, "rmi of the last name", n.dhow(t, "rmi", "again:1"), 0, []string{"Untagged: again:1\nDeleted: " + index + "\nfreed "}, nil)
	wantOutcome(t, "rmi of nothing", n.dhow(t, "rmi", "app:1"), 2, nil, []string{"No such image: app:1"})
	wantOutcome(t, "gc", n.dhow(t, "gc", "-q"), 0, []string{"freed 0 blobs"}, nil)
	n.wantEmpty(t)
	other.wantPresence(t, d, all, "other:1")

	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, "without a daemon", n.dhow(t, "images"), 1, nil, []string{"dhow: containerd cannot be reached: "})
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	other.wantPresence(t, d, all, "other:1")
	other.must(t, "prune", "--all", "--force")
	other.wantEmpty(t)
}

// Several processes pull one image at once while others prune: all of them succeed.
func TestContainerdAtOnce(t *testing.T) {
	t.Parallel()
	long(t)
	n := namespace{testcontainerd.Run(t), "default"}
	d := newDesk(t)
	var wg sync.WaitGroup
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("app:%d", i)
		names = append(names, name)
		wg.Go(func() {
			r := n.dhow(t, "pull", "-q", "--tls-verify=false", "--all", d.image, name)
			wantOutcome(t, "pull", r, 0, []string{name + " " + d.index.Digest.String() + " newer; "}, nil)
		})
	}
	wg.Go(func() {
		for range 5 {
			wantOutcome(t, "prune", n.dhow(t, "prune", "--force"), 0, []string{"freed "}, nil)
			wantOutcome(t, "gc", n.dhow(t, "gc", "-q"), 0, []string{"freed "}, nil)
		}
	})
	wg.Wait()
	n.wantPresence(t, d, map[string]string{"amd64": "complete", "arm64": "complete", "s390x": "complete"}, names...)
	for _, name := range names {
		n.must(t, "save", "-q", "-o", filepath.Join(t.TempDir(), "app.tar"), name)
	}
	n.must(t, "prune", "--all", "--force")
	n.wantEmpty(t)
}

// What one run finds damaged another one pulls anew, and no more than that.
func TestContainerdHeals(t *testing.T) {
	t.Parallel()
	long(t)
	n := namespace{testcontainerd.Run(t), "default"}
	d := newDesk(t)
	n.pull(t, d, "newer; ", "linux/amd64,linux/arm64")
	m := d.manifest(t, d.arch["arm64"])
	file := filepath.Join(t.TempDir(), "app.tar")
	presence := map[string]string{"amd64": "complete", "arm64": "partial", "s390x": "absent"}
	for _, tc := range []struct {
		what   string
		digest digest.Digest
		found  []string // the command that finds it
		code   int
		arm64  string // what is there then
		moved  []digest.Digest
	}{
		{"a layer", m.Layers[1].Digest, []string{"save", "-q", "-o", file, "app:1"}, 3, "partial", []digest.Digest{m.Layers[1].Digest}},
		{"the config", m.Config.Digest, []string{"images"}, 0, "partial", []digest.Digest{m.Config.Digest}},
		{"the manifest", d.arch["arm64"].Digest, []string{"images"}, 0, "absent", nil}, // no blob to the registry
	} {
		path := filepath.Join(n.daemon.Root(), "io.containerd.content.v1.content", "blobs", "sha256", tc.digest.Encoded())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		right := slices.Clone(data)
		data[len(data)/2] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := n.dhow(t, tc.found...); r.code != tc.code || !strings.Contains(r.errors, tc.digest.String()) || !strings.Contains(r.errors, "data loss") {
			t.Errorf("%s: %+v, want exit code %d", tc.what, r, tc.code)
		}
		presence["arm64"] = tc.arm64
		n.wantPresence(t, d, presence, "app:1")
		if diff := cmp.Diff(tc.moved, n.pull(t, d, "completed; ", "linux/arm64")); diff != "" {
			t.Errorf("%s: - wanted + moved:\n%s", tc.what, diff)
		}
		presence["arm64"] = "complete"
		n.wantPresence(t, d, presence, "app:1")
		if healed, err := os.ReadFile(path); err != nil || !slices.Equal(healed, right) {
			t.Errorf("%s: %d bytes, %v, want the %d right ones", tc.what, len(healed), err, len(right))
		}
	}
}
