package blackbox_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// Platforms of one image come one after the other: of each the missing blobs, once, and
// what was done is said.
func TestPullPlatforms(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	here := map[digest.Digest]bool{}
	for _, step := range []struct {
		args  []string
		moved []string // architectures whose blobs that are not there come
		said  string
	}{
		{[]string{"--platform", "linux/amd64,linux/s390x"}, []string{"amd64", "s390x"}, " newer; copied "},
		{[]string{"--platform", "linux/amd64", "--platform", "linux/s390x"}, nil, " up to date; copied 0, reused "},
		{[]string{"--platform", "linux/arm64"}, []string{"arm64"}, " completed; copied "},
		{[]string{"--all"}, nil, " up to date; copied 0, reused "},
	} {
		out := d.pull(t, step.args...)
		if want := d.image + " " + d.index.Digest.String() + step.said; !strings.HasPrefix(out, want) {
			t.Errorf("pull %q printed %q, want %q", step.args, out, want)
		}
		var want []digest.Digest
		for _, blob := range d.blobsOf(t, step.moved...) {
			if !here[blob] {
				want = append(want, blob)
			}
			here[blob] = true
		}
		if diff := cmp.Diff(want, d.moved()); diff != "" {
			t.Errorf("pull %q: - wanted + moved:\n%s", step.args, diff)
		}
	}
	wantOutcome(t, "fsck", d.dhow(t, "fsck"), 0, []string{"nothing is wrong"}, nil)
}

// What a name pointed at before stays without a name, which is said.
func TestPullOfAnotherImage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "app:1", "--platform", "linux/arm64")
	layout := filepath.Join(t.TempDir(), "layout")
	d.must(t, "push", "-q", "app:1", "oci:"+layout+":one", "--platform", "linux/arm64")
	wantOutcome(t, "pull", d.dhow(t, "pull", "-q", "oci:"+layout+":one", "app:1"), 0,
		[]string{"app:1 " + d.arch["arm64"].Digest.String() + " newer; "}, []string{"note: what app:1 was before, " + d.index.Digest.String() + ", has no name any more\n"})
	var report map[string]any
	out := d.must(t, "pull", "-q", "--json", "oci:"+layout+":one", "app:1")
	if err := json.Unmarshal([]byte(out), &report); err != nil || report["status"] != "up to date" || report["name"] != "app:1" || report["before"] != nil {
		t.Errorf("%v, %s", err, out)
	}
}

func TestPullFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, tc := range []struct {
		name, args string
		code       int
		says       string
	}{
		{"no such tag", "--tls-verify=false " + d.host + "/team/app:2", 2, "MANIFEST_UNKNOWN"},
		{"no such platform", "--tls-verify=false --platform linux/mips " + d.image, 2, "no matching manifest for linux/mips in the manifest list entries"},
		{"no name for it here", "oci:nowhere:x", 1, `"oci:nowhere:x" says no name for the image here, give it as NAME`},
		{"a name that is none", "oci:nowhere:x A:b", 1, "invalid argument"},
		{"another place than the store", "oci:nowhere:x dir:app", 1, `"dir:app" is not in the local store; dhow copy copies`},
		{"a place that is no name here", "store:app:1 store:", 1, "it is empty"},
		{"no such layout", "oci:nowhere:x app:1", 2, "nowhere"},
		{"platforms beside all", "--all --platform linux/amd64 " + d.image, 1, "--all and --platform contradict one another"},
		{"no platform", "--platform / " + d.image, 1, "--platform: "},
		{"a registry's flag for a layout", "--creds a:b oci:nowhere:x app:1", 1, "--creds goes with docker: only"},
		{"JSON twice", "--json --receipt - " + d.image, 1, "--json and --receipt both write to standard output"},
	} {
		r := d.dhow(t, append([]string{"pull", "-q"}, strings.Fields(tc.args)...)...)
		if r.code != tc.code || r.out != "" || !strings.Contains(r.errors, tc.says) {
			t.Errorf("%s: %+v, want exit code %d and %q", tc.name, r, tc.code, tc.says)
		}
	}
	if info := d.info(t); *info.Names != 0 || *info.Dangling != 0 {
		t.Errorf("pulls that failed left %+v", info)
	}
}

// What is pushed of an image, and what is said of that, depends on what is here.
func TestPush(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	index, arm64 := d.index.Digest.String(), d.arch["arm64"].Digest.String()
	for _, step := range []struct {
		pull string
		args []string // beside the image
		out  string
		note string
	}{
		{"linux/arm64", []string{d.host + "/one/app:2"}, "docker://" + d.host + "/one/app:2 " + arm64 + " one manifest; copied 4, ", "note: manifest " + arm64},
		{"", nil, "docker://" + d.image + " " + index + " whole; copied 0, ", "note: list " + index + " was pushed as it is"}, // what is not here is there
		{"linux/amd64", []string{d.host + "/two/app:3"}, "docker://" + d.host + "/two/app:3 sha256:", " of 4 of the 5 manifests was pushed in the place of the list " + index},
		{"", []string{"docker://" + d.host + "/three/app:3", "--platform", "linux/arm64"}, "docker://" + d.host + "/three/app:3 " + arm64 + " one manifest; ", "as asked"},
		{"linux/s390x", []string{d.host + "/four/app"}, "docker://" + d.host + "/four/app " + index + " whole; ", ""},
	} {
		if step.pull != "" {
			d.pull(t, "--platform", step.pull)
		}
		r := d.dhow(t, append([]string{"push", "-q", "--tls-verify=false", d.image}, step.args...)...)
		if r.code != 0 || !strings.HasPrefix(r.out, step.out) || !strings.Contains(r.errors, step.note) || step.note == "" && r.errors != "" {
			t.Errorf("push %q: %+v, want %q and %q", step.args, r, step.out, step.note)
		}
	}
}

func TestPushFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.pull(t, "--platform", "linux/arm64")
	id := d.index.Digest.Encoded()[:12]
	for _, tc := range []struct {
		name, args string
		code       int
		says       string
	}{
		{"an ID without a destination", id, 1, "cannot push a digest reference"},
		{"a digest without a destination", d.host + "/team/app@" + d.index.Digest.String(), 1, "cannot push a digest reference"},
		{"no such image", "nope " + d.host + "/x", 2, "No such image: nope:latest"},
		{"no such image without a destination", "nope", 2, "No such image: nope:latest"},
		{"another place than the store", "oci:x:y " + d.host + "/x", 1, `"oci:x:y" is not in the local store; dhow copy copies`},
		{"no such image of the store", "store:nope", 2, "No such image: nope:latest"},
		{"a platform that is not here", "--platform linux/amd64 " + id + " " + d.host + "/x", 2, "was found but does not provide the specified platform (linux/amd64)"},
		{"a destination that is none", id + " oci:", 1, "opening the destination: "},
	} {
		r := d.dhow(t, append([]string{"push", "-q", "--tls-verify=false"}, strings.Fields(tc.args)...)...)
		if r.code != tc.code || r.out != "" || !strings.Contains(r.errors, tc.says) {
			t.Errorf("%s: %+v, want exit code %d and %q", tc.name, r, tc.code, tc.says)
		}
	}
}

// The receipt of a pull and of a push says where from and where to.
func TestPullReceipt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, step := range []struct{ command, from, to string }{
		{"pull", "docker://" + d.image, "store:" + d.image},
		{"push", "store:" + d.image, "docker://" + d.image},
	} {
		out := d.must(t, step.command, "-q", "--tls-verify=false", "--all", "--receipt", "-", d.image)
		var r struct {
			Source, Destination string
			Descriptors         []struct{ Digest digest.Digest }
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Source != step.from || r.Destination != step.to || len(r.Descriptors) == 0 {
			t.Errorf("%s: %v, want from %s to %s\n%s", step.command, err, step.from, step.to, out)
		}
	}
}

// The local store is a place beside others: where an image comes from, where it goes to, or
// both, and the argument that is always in it may say so.
func TestStoreIsAPlace(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	index, arm64 := d.index.Digest.String(), d.arch["arm64"].Digest.String()
	all := d.blobsOf(t, deskArches()...)
	layout := "oci:" + filepath.Join(t.TempDir(), "layout") + ":app"
	d.moved()
	for _, step := range []struct{ args, out string }{
		{"pull --tls-verify=false --all " + d.image + " store:app:1", "app:1 " + index + " newer; copied "},
		{"pull --all store:app:1 app:2", "app:2 " + index + " newer; copied 0, reused "},
		{"pull store:" + index[len("sha256:"):][:12] + " store:app:3", "app:3 " + index + " newer; copied 0, reused "},
		{"pull store:" + arm64 + " arm", "arm:latest " + arm64 + " newer; copied 0, reused "},
		{"push --tls-verify=false store:app:1 " + d.host + "/one/app", "docker://" + d.host + "/one/app " + index + " whole; copied "},
		{"push store:app:1 store:app:4", "store:app:4 " + index + " whole; copied 0, reused "},
		{"push --platform linux/arm64 app:1 store:app:5", "store:app:5 " + arm64 + " one manifest; copied 0, reused "},
		{"copy store:app:1 store:app:6", "store:app:6 " + index + " copied 0, reused "},
		{"copy store:app:1 " + layout, layout + " " + index + " copied "},
		{"copy " + layout + " store:app:7", "store:app:7 " + index + " copied 0, reused "},
		{"copy --dest-tls-verify=false store:app:1 docker://" + d.host + "/two/app:1", "docker://" + d.host + "/two/app:1 " + index + " copied "},
	} {
		command, args, _ := strings.Cut(step.args, " ")
		if out := d.must(t, append([]string{command, "-q"}, strings.Fields(args)...)...); !strings.HasPrefix(out, step.out) {
			t.Errorf("%s printed %q, want %q", step.args, out, step.out)
		}
	}
	if diff := cmp.Diff(all, d.moved()); diff != "" {
		t.Errorf("from the registry: - wanted + moved:\n%s", diff)
	}
	wantOutcome(t, "images", d.dhow(t, "images", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}", "app:[2-7]"), 0,
		[]string{"app:2 " + index, "app:3 " + index, "app:4 " + index, "app:6 " + index, "app:7 " + index, "app:5 " + arm64}, nil)
	wantOutcome(t, "fsck", d.dhow(t, "fsck"), 0, []string{"nothing is wrong"}, nil)
}
