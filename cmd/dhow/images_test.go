package main

import (
	"fmt"
	"strings"
	"testing"
)

// A template that fails at a late line has printed none of the lines before.
func TestTemplateOfLinesIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "--root", "store", "pull", "-q", "oci:layout:single", "app:0")
	tags := []string{"--root", "store", "tag", "app:0"}
	for i := range 40 {
		tags = append(tags, fmt.Sprintf("app:%d", i+1))
	}
	w.must(t, tags...)
	const long = `{{printf "%200s" .Tag}}`
	if got := w.must(t, "--root", "store", "images", "--format", long); len(got) != 41*201 {
		t.Fatalf("%d bytes were printed", len(got))
	}
	for _, last := range []string{"0", "40", "9"} {
		r := w.run(t, "--root", "store", "images", "--format", long+`{{if eq .Tag "`+last+`"}}{{index .Tag 100}}{{end}}`)
		if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "out of range") {
			t.Errorf("failing at the tag %s: %+v", last, r)
		}
	}
}
