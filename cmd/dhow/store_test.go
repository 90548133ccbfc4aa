package main

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/containerd/errdefs"
)

func TestDefaultRoot(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the paths are those of Unix")
	}
	for name, tc := range map[string]struct {
		uid  int
		env  map[string]string
		want string
	}{
		"root":                    {0, nil, "/var/lib/dhow"},
		"root with a home":        {0, map[string]string{"HOME": "/root", "XDG_DATA_HOME": "/x"}, "/var/lib/dhow"},
		"user":                    {1000, map[string]string{"HOME": "/home/a"}, "/home/a/.local/share/dhow"},
		"user with a data home":   {1000, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "/data/dhow"},
		"data home not absolute":  {1000, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "data"}, "/home/a/.local/share/dhow"},
		"user with no home":       {1000, nil, ""},
		"user with half a home":   {1000, map[string]string{"HOME": "a"}, ""},
		"nowhere, with data home": {1000, map[string]string{"XDG_DATA_HOME": "/data"}, "/data/dhow"},
	} {
		got, err := defaultRoot(tc.uid, func(key string) string { return tc.env[key] })
		if got != filepath.FromSlash(tc.want) || (err != nil) != (tc.want == "") || err != nil && !errdefs.IsFailedPrecondition(err) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tc.want)
		}
	}
}
