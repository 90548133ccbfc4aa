//go:build unix

package blobfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/dhowhq/dhow/internal/testplant"
)

// plants are what may be in the place of a file or directory of ours.
func plants() map[string]testplant.Plant {
	all := testplant.Plants()
	all["directory"] = func(path, _, _ string) error { return os.Mkdir(path, 0o700) }
	return all
}

func TestPlantedInThePlaceOfABlob(t *testing.T) {
	t.Parallel()
	data := randomBytes(1, 2*Small)
	blob := digest.FromBytes(data)
	for name, plant := range plants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, outDir := testplant.Outside(t, data) // even the right bytes do not count
			d, dir := newDir(t)
			publish(t, d, data)
			at := blobPath(dir, blob)
			replant := func() {
				if err := errors.Join(os.RemoveAll(at), plant(at, file, outDir)); err != nil {
					t.Fatal(err)
				}
			}
			replant()
			testplant.Soon(t, func() {
				for ask, f := range asks(t.Context(), d) {
					wantKind(t, ask, f(blob, int64(len(data))), errdefs.ErrDataLoss)
				}
				_, _, err := d.Stat(blob)
				wantKind(t, "Stat", err, errdefs.ErrDataLoss)
				var walked int
				err = d.Walk(t.Context(), "", func(digest.Digest, int64) error { walked++; return nil })
				if walked != 0 || err != nil {
					t.Errorf("Walk: %d, %v", walked, err)
				}
				var strays []Stray
				err = d.Strays(t.Context(), func(s Stray) error { strays = append(strays, s); return nil })
				if len(strays) != 1 || strays[0].Blob != blob || err != nil {
					t.Errorf("Strays: %+v, %v", strays, err)
				}

				publish(t, d, data) // heals it by itself
				wantBlob(t, d, data)

				replant()
				wantKind(t, "SetAside", d.SetAside(blob), nil)
				publish(t, d, data)
				wantBlob(t, d, data)

				replant()
				wantKind(t, "Trash", d.Trash([]digest.Digest{blob}), nil)
				_, _, err = d.Empty(t.Context())
				wantKind(t, "Empty", err, nil)
				_, _, err = d.Stat(blob)
				wantKind(t, "Stat after Trash", err, errdefs.ErrNotFound)
			})
		})
	}
}

func TestPlantedInThePlaceOfWhatIsBeingWritten(t *testing.T) {
	t.Parallel()
	data := randomBytes(2, 2*Small)
	blob := digest.FromBytes(data)
	for _, suffix := range []string{"", noteSuffix} {
		for name, plant := range plants() {
			t.Run(name+" "+suffix, func(t *testing.T) {
				t.Parallel()
				file, outDir := testplant.Outside(t, data[:Small])
				dir := t.TempDir()
				d := openDir(t, dir)
				at := filepath.Join(dir, ingestName, nameOf("ref")+suffix)
				if err := plant(at, file, outDir); err != nil {
					t.Fatal(err)
				}
				testplant.Soon(t, func() {
					partial, err := d.Partial(t.Context())
					if len(partial) != 0 || err != nil {
						t.Errorf("Partial: %+v, %v", partial, err)
					}
					in := create(t, d, "ref")
					wantOffset(t, in, 0)
					if _, err := in.Write(data[:Small+1]); err != nil {
						t.Error(err)
					}
					if err := in.Close(); err != nil { // writes the sidecar
						t.Error(err)
					}
					in = create(t, d, "ref")
					wantOffset(t, in, Small+1)
					wantKind(t, "Fill", in.Fill(t.Context(), blob, int64(len(data)), opens(data)), nil)
					wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), nil)
					wantBlob(t, d, data)
					wantTree(t, filepath.Join(dir, ingestName))
				})
			})
		}
	}
}

// TestALinkIsNotWrittenTo has what is being written be a blob at the same time.
func TestALinkIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 2 * Small} {
		d, dir := newDir(t)
		data := randomBytes(6, size)
		publish(t, d, data)
		if err := os.Link(blobPath(dir, digest.FromBytes(data)), filepath.Join(dir, ingestName, nameOf("ref"))); err != nil {
			t.Skip(err)
		}
		in := create(t, d, "ref")
		wantOffset(t, in, 0)
		if _, err := in.Write(randomBytes(7, 2*size)); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		wantBlob(t, d, data)
	}
}

func TestPlantedAfterTheFileWasMade(t *testing.T) {
	t.Parallel()
	data := randomBytes(3, 2*Small)
	for name, plant := range plants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, outDir := testplant.Outside(t, data)
			d, dir := newDir(t)
			in := filled(t, d, data)
			at := filepath.Join(dir, ingestName, in.name)
			if err := errors.Join(os.Remove(at), plant(at, file, outDir)); err != nil {
				t.Fatal(err)
			}
			testplant.Soon(t, func() {
				wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), errdefs.ErrDataLoss)
				wantTree(t, dir)
			})
		})
	}
}

func TestPlantedInThePlaceOfADirectory(t *testing.T) {
	t.Parallel()
	data := randomBytes(4, 2*Small)
	blob := digest.FromBytes(data)
	shard := filepath.Join(blobsName, "sha256", blob.Encoded()[:2])
	for _, place := range []string{blobsName, ingestName, trashName, badName, blobsName + "/sha256", shard} {
		for name, plant := range plants() {
			if strings.Contains(name, "irectory") && !strings.Contains(name, "link") {
				continue // it is one
			}
			t.Run(fmt.Sprintf("%s, %s", place, name), func(t *testing.T) {
				t.Parallel()
				file, outDir := testplant.Outside(t, data)
				dir := t.TempDir()
				d := openDir(t, dir)
				publish(t, d, data)
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				at := filepath.Join(dir, place)
				if err := errors.Join(os.RemoveAll(at), plant(at, file, outDir)); err != nil {
					t.Fatal(err)
				}
				testplant.Soon(t, func() {
					d, err := Open(t.Context(), openRoot(t, dir), Options{})
					if !strings.HasPrefix(place, blobsName+"/") && place != shard {
						wantKind(t, "Open", err, errdefs.ErrFailedPrecondition)
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					defer d.Close()
					in := filled(t, d, data)
					wantKind(t, "Publish", d.Publish(t.Context(), []*Ingest{in}), errdefs.ErrFailedPrecondition)
					wantKind(t, "Close", in.Close(), nil)
					for ask, f := range asks(t.Context(), d) {
						wantKind(t, ask, f(blob, int64(len(data))), errdefs.ErrFailedPrecondition)
					}
					strays := 0
					err = d.Strays(t.Context(), func(s Stray) error {
						strays++
						if s.Path != filepath.ToSlash(place) || s.Blob != "" {
							t.Errorf("stray %+v", s)
						}
						return nil
					})
					if strays != 1 || err != nil {
						t.Errorf("Strays: %d, %v", strays, err)
					}
				})
			})
		}
	}
}

func TestPlantedInTheTrash(t *testing.T) {
	t.Parallel()
	for name, plant := range plants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, outDir := testplant.Outside(t, []byte("x"))
			dir := t.TempDir()
			d := openDir(t, dir)
			if err := plant(filepath.Join(dir, trashName, "planted"), file, outDir); err != nil {
				t.Fatal(err)
			}
			testplant.Soon(t, func() {
				n, _, err := d.Empty(t.Context())
				if n != 1 || err != nil {
					t.Errorf("Empty: %d, %v", n, err)
				}
			})
			wantTree(t, dir)
		})
	}
}

// TestModes is not parallel: the umask is that of the process.
func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o277, 0o777} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			dir := t.TempDir()
			root := openRoot(t, dir)
			was := unix.Umask(umask)
			defer unix.Umask(was)
			d, err := Open(t.Context(), root, Options{})
			if err != nil {
				t.Fatal(err)
			}
			publish(t, d, randomBytes(1, 2*Small), []byte("small"))
			for _, size := range []int{10, 2 * Small} {
				in := create(t, d, fmt.Sprint(strings.Repeat("long", 100), size))
				if _, err := in.Write(randomBytes(2, size)); err != nil {
					t.Fatal(err)
				}
				if err := in.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			wantModes(t, dir)
		})
	}
}

func wantModes(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestOpenTightens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := randomBytes(5, 2*Small)
	d := openDir(t, dir)
	publish(t, d, data)
	for _, name := range []string{blobsName, ingestName, trashName, badName, blobsName + "/sha256"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	d = openDir(t, dir)
	wantBlob(t, d, data)
	wantModes(t, dir)
}

func TestOpenOfARootThatIsNoDirectory(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(context.Background(), root, Options{})
	wantKind(t, "Open of a closed root", err, fs.ErrClosed)
}
