package service_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

func TestResolveAll(t *testing.T) {
	t.Parallel()
	w := newResolveWorld(t)
	const alpine = "alpine:3.20 alpine@{A} localhost:5000/team/alpine:3.20"
	const box = "busybox:1.36 busybox:latest example.com/mirror/busybox:1.36"
	for name, row := range map[string]struct {
		ref, record string
		named       bool
		all         string // the records, by their familiar names
		warning     string
		err         error
		text        string
	}{
		"a name, one of three":                  {ref: "busybox", record: "busybox:latest", named: true, all: box},
		"a name in another repository":          {ref: "example.com/mirror/busybox:1.36", record: "example.com/mirror/busybox:1.36", named: true, all: box},
		"the only name":                         {ref: "debian:12", record: "debian:12", named: true, all: "debian:12"},
		"an ID":                                 {ref: "{B}", record: "busybox:1.36", all: box},
		"the beginning of an ID":                {ref: "{B:10}", record: "busybox:1.36", all: box, warning: "also the beginning of"},
		"a dangling ID":                         {ref: "{O}", record: "@{O}", all: "@{O}"},
		"a manifest in a list":                  {ref: "{B.arm}", record: "busybox:1.36", all: box},
		"a config":                              {ref: "{A.config}", record: "alpine:3.20", all: alpine},
		"a name that reads as an ID":            {ref: "sha256:{D:10}", record: "sha256:{D:10}", named: true, all: "{X:4}:latest {B.amd.config:8}:latest {A:6}:latest sha256:{D:10}", warning: "is taken for the name"},
		"a name with its digest":                {ref: "alpine@{A}", record: "alpine@{A}", named: true, all: alpine},
		"a repository with the digest":          {ref: "busybox@{B}", record: "busybox:1.36", all: box},
		"a name that lies about its digest":     {ref: "wrong@{A}", record: "wrong@{A}", named: true, all: "wrong@{A}", warning: "wrong@{A} points at {W}, and not at {A}"},
		"a tag with its digest":                 {ref: "busybox:latest@{B}", record: "busybox:latest", named: true, all: box},
		"a tag with a digest below it":          {ref: "busybox:latest@{B.arm}", record: "busybox:latest", named: true, all: box},
		"a tag with the digest of another":      {ref: "busybox:latest@{A}", record: "busybox:latest", named: true, all: box, warning: "busybox:latest points at {B}, and not at {A}"},
		"a tag with the digest before it moved": {ref: "debian:12@{O}", record: "debian:12", named: true, all: "debian:12", warning: "points at {D}"},
		"a tag with a digest of nothing":        {ref: "debian:12@{P.arm.config}", record: "debian:12", named: true, all: "debian:12", warning: "points at {D}"},
		"no such tag, with a digest":            {ref: "busybox:no@{B}", record: "busybox:1.36", all: box},
		"tag and digest are the name":           {ref: "pinned:2@{I}", record: "pinned:2@{I}", named: true, all: "pinned:2@{I}"},
		"the tag of such a name":                {ref: "pinned:2", err: errdefs.ErrNotFound, text: "No such image: pinned:2"},
		"no such tag, and another's digest":     {ref: "busybox:no@{A}", err: errdefs.ErrNotFound, text: "No such image: busybox:no@{A}"},
		"another repository's digest":           {ref: "busybox@{A}", err: errdefs.ErrNotFound, text: "No such image: busybox@{A}"},
		"no such name":                          {ref: "nothing", err: errdefs.ErrNotFound, text: "No such image: nothing:latest"},
		"two begin so":                          {ref: "{C1.config:4}", err: errdefs.ErrNotFound, text: "ambiguous reference"},
		"nothing":                               {ref: "", err: errdefs.ErrInvalidArgument, text: "image name cannot be blank"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := w.ResolveAll(t.Context(), w.fill(t, row.ref))
			if row.err != nil {
				if !errors.Is(err, row.err) || !strings.Contains(err.Error(), w.fill(t, row.text)) {
					t.Errorf("error %v; want %v with %q", err, row.err, row.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := keys([]store.Record{all.Record}), w.fill(t, row.record); got != want || all.Named != row.named {
				t.Errorf("record %s, named %t; want %s, %t", got, all.Named, want, row.named)
			}
			got, want := strings.Fields(keys(all.Records)), strings.Fields(w.fill(t, row.all))
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("records %s; want %s", got, want)
			}
			if !slices.IsSortedFunc(all.Records, func(a, b store.Record) int { return strings.Compare(a.Key(), b.Key()) }) {
				t.Errorf("records %s are not in the order of their keys", keys(all.Records))
			}
			warnings := strings.Join(all.Warnings, "; ")
			if text := w.fill(t, row.warning); text == "" && warnings != "" || !strings.Contains(warnings, text) {
				t.Errorf("warnings %q; want %q", warnings, text)
			}
			if (all.Matched == service.ByName) != all.Named {
				t.Errorf("matched by %s", all.Matched)
			}
		})
	}
}
