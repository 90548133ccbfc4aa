package userfile_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/userfile"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("12345"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("secret"), nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", at("link")); err != nil {
		t.Skip("needs symbolic links: ", err)
	}
	if err := os.Symlink("nothing", at("loose")); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, file string
		limit      int64
		kind       error
		text       string
	}{
		{name: "a file", file: "file", limit: 5},
		{name: "without a limit", file: "file", limit: math.MaxInt64},
		{name: "through a link", file: "link", limit: 5},
		{name: "one byte too many", file: "file", limit: 4, kind: errdefs.ErrResourceExhausted, text: "more than 4 bytes"},
		{name: "nothing there", file: "absent", limit: 5, kind: errdefs.ErrNotFound},
		{name: "a link to nothing", file: "loose", limit: 5, kind: errdefs.ErrNotFound},
		{name: "below a file", file: "file/x", limit: 5},
		{name: "a directory", file: ".", limit: 5, kind: errdefs.ErrInvalidArgument, text: "not a file"},
		{name: "a device", file: "../../../../../../../../" + os.DevNull, limit: 5, kind: errdefs.ErrInvalidArgument, text: "not a file"},
		{name: "what may not be read", file: "secret", limit: 5, kind: errdefs.ErrPermissionDenied},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			switch {
			case row.file == "secret" && (os.Getuid() == 0 || runtime.GOOS == "windows"):
				t.Skip("root may read everything")
			case strings.HasSuffix(row.file, os.DevNull) && runtime.GOOS == "windows":
				t.Skip("needs a device with a path")
			}
			name := filepath.Join(dir, row.file)
			data, info, err := userfile.Read(name, row.limit)
			switch {
			case row.file == "file/x":
				if err == nil {
					t.Error("no error")
				}
			case row.kind != nil:
				if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), filepath.Base(name)) || !strings.Contains(err.Error(), row.text) {
					t.Errorf("%v, want %v with %q", err, row.kind, row.text)
				}
			case err != nil || string(data) != "12345" || info.Mode().Perm() != 0o640 && runtime.GOOS != "windows":
				t.Errorf("%q, %v, %v", data, info, err)
			}
		})
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	if err := userfile.Kind(nil); err != nil {
		t.Error(err)
	}
	other := errors.New("another one")
	if err := userfile.Kind(other); err != other { //nolint:errorlint // as it is
		t.Error(err)
	}
	for is, want := range map[error]error{os.ErrNotExist: errdefs.ErrNotFound, os.ErrPermission: errdefs.ErrPermissionDenied} {
		if err := userfile.Kind(&os.PathError{Op: "open", Path: "x", Err: is}); !errors.Is(err, want) || !errors.Is(err, is) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
