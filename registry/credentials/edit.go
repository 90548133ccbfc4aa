package credentials

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/durable"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/internal/userfile"
)

// member is a member of a JSON object, with its value as it is written.
type member struct {
	name  string
	value []byte
}

func (m member) equal(other member) bool {
	return m.name == other.name && bytes.Equal(m.value, other.value)
}

// edit changes the auths of a file, and leaves every other byte as it is. The file
// is replaced at once, by one that only its owner may read; nobody sees half of
// it, and of several who edit it at a time, in this process or others, none undoes
// what another one did. Without a change nothing is written.
func (p place) edit(ctx context.Context, change func([]member) ([]member, error)) error {
	path, err := resolve(p.path)
	if err != nil {
		return err
	}
	dir, base := filepath.Split(path)
	if err := os.MkdirAll(filepath.Clean(dir), 0o700); err != nil {
		return userfile.Kind(err)
	}
	root, err := os.OpenRoot(filepath.Clean(dir))
	if err != nil {
		return userfile.Kind(err)
	}
	defer root.Close()
	unlock, err := lock(ctx, root, "."+base+".lock")
	if err != nil {
		return err
	}
	return errors.Join(replace(path, root, base, change), unlock())
}

// replace writes the changed file. Nobody else does.
func replace(path string, root *os.Root, base string, change func([]member) ([]member, error)) error {
	data, info, err := readFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info != nil && info.Mode().Perm()&0o200 == 0 {
		return fmt.Errorf("%s is read-only: %w", path, errdefs.ErrPermissionDenied)
	}
	changed, err := editAuths(path, data, change)
	if err != nil || bytes.Equal(changed, data) {
		return err
	}
	return write(root, base, changed)
}

// resolve returns the file that a link leads to, so that the link stays.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(path)
	if err == nil {
		return target, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", userfile.Kind(err)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 { //nolint:gosec // the file that was asked for
		return "", fmt.Errorf("%s is a link to what is not there: %w", path, errdefs.ErrInvalidArgument)
	}
	return path, nil
}

// lock locks a file that is there for that alone, and stays.
func lock(ctx context.Context, root *os.Root, name string) (unlock func() error, err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		if err := f.Close(); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, userfile.Kind(err)
	}
	return durable.Lock(ctx, root, name)
}

// write replaces a file by one with these bytes, or leaves it as it was.
func write(root *os.Root, base string, data []byte) error {
	temp := "." + base + "." + rand.Text()
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return userfile.Kind(err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = root.Rename(temp, base)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	return syncDir(root)
}

// syncDir makes a rename durable, where a directory can be synced.
func syncDir(root *os.Root) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// editAuths returns a file with its auths changed.
func editAuths(path string, data []byte, change func([]member) ([]member, error)) ([]byte, error) {
	before := data
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{\n}\n")
	}
	old, start, end, err := auths(data)
	if err != nil {
		return nil, wrapFile(path, err)
	}
	all, err := change(old)
	if err != nil {
		return nil, err
	}
	if slices.EqualFunc(all, old, member.equal) {
		return before, nil
	}
	value, err := object(all)
	if err != nil {
		return nil, err
	}
	changed := bytes.Join([][]byte{data[:start], value, data[end:]}, nil)
	if start == end { // there are none yet
		open := bytes.IndexByte(data, '{') + 1
		rest := data[open:]
		comma := []byte(",")
		if bytes.TrimLeft(rest, " \t\r\n")[0] == '}' {
			comma = nil
		}
		changed = bytes.Join([][]byte{data[:open], []byte("\n\t\"auths\": "), value, comma, rest}, nil)
	}
	if _, err := parseFile(path, changed); err != nil {
		return nil, fmt.Errorf("what would be written could not be read again: %w", err)
	}
	return changed, nil
}

// auths returns the auths of a file and where they stand in it; without any,
// start and end are one.
func auths(data []byte) (all []member, start, end int, err error) {
	err = strictjson.Read(data, limits, func(r *strictjson.Reader) error {
		return r.Object(fileFields, func(name string) error {
			if name != "auths" {
				return nil
			}
			raw, err := r.Capture(func() error {
				if r.Null() {
					return nil
				}
				return r.Map(func(key string) error {
					value, err := r.Raw()
					all = append(all, member{name: key, value: value})
					return err
				})
			})
			end = int(r.Consumed())
			start = end - len(raw)
			return err
		})
	})
	return all, start, end, err
}

// object writes members as an object, at the depth of auths.
func object(all []member) ([]byte, error) {
	if len(all) == 0 {
		return []byte("{}"), nil
	}
	var b bytes.Buffer
	b.WriteString("{")
	for i, m := range all {
		if i > 0 {
			b.WriteString(",")
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		b.WriteString("\n\t\t")
		b.Write(name)
		b.WriteString(": ")
		b.Write(m.value)
	}
	b.WriteString("\n\t}")
	return b.Bytes(), nil
}
