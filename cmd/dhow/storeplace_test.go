package main

import (
	"strings"
	"testing"
)

// An image goes into the local store, within it under another name, and out again; what is
// there is named by its name, by its digest, and by the beginning of that.
func TestStoreIsAPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.images["latest"].Digest
	local := func(args ...string) result {
		t.Helper()
		return w.run(t, append([]string{"--root", "images"}, args...)...)
	}
	for _, step := range []struct{ from, to, said string }{
		{"oci:layout:latest", "store:app:1", "copied 26, reused 0"},
		{"oci:layout:latest", "store:app:1", "copied 0, reused"},
		{"store:app:1", "store:example.org/other:2", "copied 0, reused"},
		{"store:" + root.String(), "oci:out:digest", "copied 23, reused 0"}, // its digest tag is of a repository
		{"store:" + root.Encoded()[:12], "oci:out:short", "copied 0, reused 23"},
		{"store:example.org/other:2", "dir:all", "copied 26, reused 0"},
	} {
		r := local("copy", "--quiet", step.from, step.to)
		if r.code != 0 || !strings.Contains(r.stdout, " "+root.String()+" "+step.said) {
			t.Errorf("copy %s %s: %+v; want %q", step.from, step.to, r, step.said)
		}
	}
	if r := local("inspect", "store:app:1"); r.code != 0 || !strings.Contains(r.stdout, root.String()) {
		t.Errorf("inspect: %+v", r)
	}
	if r := local("fsck"); r.code != 0 {
		t.Errorf("fsck: %+v", r)
	}
}

// What cannot be had from the store, or be written to it, is said.
func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.run(t, "copy", "--quiet", "--root", "images", "oci:layout:single", "store:app:1"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	digest := w.images["latest"].Digest.String()
	for name, tc := range map[string]struct {
		args []string
		code int
		text string
	}{
		"no such image":        {[]string{"inspect", "store:app:2"}, 2, "no such image"},
		"no such ID":           {[]string{"inspect", "store:" + digest}, 2, "No such image"},
		"no reference":         {[]string{"inspect", "store:A"}, 1, "store:"},
		"another digest":       {[]string{"copy", "oci:layout:single", "store:app@" + digest}, 1, "demands"},
		"an ID to write to":    {[]string{"copy", "oci:layout:single", "store:" + digest}, 1, "an ID is not"},
		"a registry's setting": {[]string{"copy", "--src-tls-verify=false", "store:app:1", "oci:out:x"}, 1, "docker:"},
		"a store that is not":  {[]string{"--root", "nowhere", "inspect", "store:app:1"}, 2, "no store"},
	} {
		args := tc.args
		if args[0] != "--root" {
			args = append([]string{"--root", "images"}, args...)
		}
		if r := w.run(t, args...); r.code != tc.code || !strings.Contains(r.stderr, tc.text) {
			t.Errorf("%s: %+v; want the code %d and %q", name, r, tc.code, tc.text)
		}
	}
}
