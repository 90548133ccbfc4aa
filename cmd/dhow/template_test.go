package main

import (
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/service"
)

// A field that there is not is an error with those that there are, of the value that it was
// looked for in.
func TestTemplateOfUnknownField(t *testing.T) {
	t.Parallel()
	local := &describe.Local{Instances: []describe.Instance{{}}, Details: &describe.Details{}}
	row := &imageRow{Image: &imageReport{Instances: []describe.Instance{{}}}}
	for _, tc := range []struct {
		format string
		v      any
		has    []string
		hasNot string
	}{
		{"{{.id}}", local, []string{"can't evaluate field id", " (there are: .Reference, .Matched, .Digest, .ID, ", ".Warnings)"}, ".Presence"},
		{"{{range .Instances}}{{.presence}}{{end}}", local, []string{" (there are: .Platform, .Kind, ", ".Presence", ".Missing)"}, ".Warnings"},
		{"{{.Target.Foo}}", local, []string{".MediaType, .Digest, .Size, "}, ".Warnings"},
		{"{{.Details.Cmds}}", local, []string{".Cmd, "}, ".Instances"},
		{"{{.tag}}", row, []string{" (there are: .Repository, .Tag, ", ".Image)"}, ".Labels"},
		{"{{.Image.tag}}", row, []string{" (there are: .ID, ", ".Labels"}, ".Repository"},
		{"{{.role}}", &describe.Image{}, []string{" (there are: .Reference, .List, .Role, "}, ".Document,"}, // what is embedded is no field
		{"{{.created}}", historyStep{}, []string{" (there are: .Created, .CreatedBy, "}, ""},
		{"{{.Reference.foo}}", local, []string{"can't evaluate field foo in type string"}, "there are"},
		{"{{.Updated.foo}}", local, []string{"can't evaluate field foo in type time.Time"}, "there are"},
		{"{{index .Names 7}}", &describe.Local{Matched: service.ByName}, []string{"out of range"}, "there are"},
	} {
		tmpl, err := parseTemplate(tc.format)
		if err == nil {
			err = writeTemplate(io.Discard, tmpl, tc.v)
		}
		if !errdefs.IsInvalidArgument(err) || tc.hasNot != "" && strings.Contains(err.Error(), tc.hasNot) {
			t.Errorf("%s: %v, which must not have %q", tc.format, err, tc.hasNot)
			continue
		}
		for _, want := range tc.has {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, which has no %q", tc.format, err, want)
			}
		}
	}
}
