package main

import (
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/service"
)

func TestPruneOptions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, tc := range map[string]struct {
		all     bool
		filters []string
		want    service.PruneOptions
	}{
		"none":              {},
		"all":               {all: true, want: service.PruneOptions{All: true}},
		"not only dangling": {filters: []string{"dangling=false"}, want: service.PruneOptions{All: true}},
		"all, and not only": {all: true, filters: []string{"dangling=0"}, want: service.PruneOptions{All: true}},
		"dangling":          {filters: []string{"dangling=1"}},
		"labels":            {filters: []string{"label=a", "label=b=c=d", "label!=e=f"}, want: service.PruneOptions{Labels: []string{"a", "b=c=d"}, NotLabels: []string{"e=f"}}},
		"so long ago":       {filters: []string{"until=1h30m"}, want: service.PruneOptions{Until: now.Add(-90 * time.Minute)}},
		"the last of two":   {filters: []string{"until=1h", "until=3h", "until=2h"}, want: service.PruneOptions{Until: now.Add(-2 * time.Hour)}},
		"seconds":           {filters: []string{"until=1700000000"}, want: service.PruneOptions{Until: time.Unix(1700000000, 0)}},
		"a time":            {filters: []string{"until=2025-01-02T03:04:05+01:00"}, want: service.PruneOptions{Until: time.Date(2025, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))}},
		"a day":             {filters: []string{"until=2025-01-02"}, want: service.PruneOptions{Until: time.Date(2025, 1, 2, 0, 0, 0, 0, time.UTC)}},
	} {
		f := pruneFlags{all: tc.all, filters: tc.filters}
		got, err := f.options(now)
		if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, - wanted + got:\n%s", name, err, diff)
		}
	}
	for _, filter := range []string{"until", "until=", "=x", "until=yesterday", "dangling=true", "reference=x", "before=x", "label!"} {
		f := pruneFlags{all: true, filters: []string{filter}}
		if _, err := f.options(now); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", filter, err)
		}
	}
}
