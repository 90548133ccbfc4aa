package formattest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// partial is what was written of a blob that is not complete.
type partial struct {
	offset  int64
	started int64  // Unix nanoseconds; 0 where no sidecar tells
	state   string // the algorithm of the hash state; empty for none
}

// files are what is in a store's directory beside database and journal.
type files struct {
	version  int
	blobs    map[string]int64
	partial  map[string]partial
	bad      []string
	trash    int
	sidecars int
}

// readFiles reads a store's directory by the section "Files" of the page.
func readFiles(dir string) (*files, error) {
	f := &files{blobs: map[string]int64{}, partial: map[string]partial{}}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: fs.ModeDir | 0o700, false: 0o600}[e.IsDir()]; info.Mode() != want {
			return fmt.Errorf("%s has mode %v; want %v", path, info.Mode(), want)
		}
		if err := f.read(dir, path, info); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	return f, err
}

func (f *files) read(dir, path string, info fs.FileInfo) error {
	parts := strings.Split(path, "/")
	full := filepath.Join(dir, path)
	switch {
	case parts[0] == "format":
		return f.readFormat(full)
	case parts[0] == "lock":
		data, err := os.ReadFile(full)
		if err == nil && !regexp.MustCompile(`^pid \d+, program ".*", since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$`).Match(data) {
			err = fmt.Errorf("%q", data)
		}
		return err
	case parts[0] == "catalog.db", info.IsDir():
		return nil
	case parts[0] == "journal" && len(parts) == 2:
		return nil
	case parts[0] == "blobs" && len(parts) == 4:
		return f.readBlob(full, parts)
	case parts[0] == "ingest" && len(parts) == 2:
		return f.readPartial(full, parts[1], info)
	case parts[0] == "bad" && len(parts) == 2 && regexp.MustCompile(`^.+\.[1-9]\d*$`).MatchString(parts[1]):
		f.bad = append(f.bad, parts[1])
		return nil
	case parts[0] == "trash" && len(parts) == 2:
		f.trash++
		return nil
	}
	return fmt.Errorf("it has no place in a store")
}

func (f *files) readFormat(full string) error {
	data, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	line := regexp.MustCompile(`^dhow store ([1-9]\d*)\n$`).FindSubmatch(data)
	if line == nil {
		return fmt.Errorf("%q", data)
	}
	f.version, err = strconv.Atoi(string(line[1]))
	return err
}

func (f *files) readBlob(full string, parts []string) error {
	data, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	h := map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}[parts[1]]()
	_, _ = h.Write(data) // never fails
	if got := hex.EncodeToString(h.Sum(nil)); got != parts[3] || got[:2] != parts[2] {
		return fmt.Errorf("its hash is %s", got)
	}
	f.blobs[parts[1]+":"+parts[3]] = int64(len(data))
	return nil
}

// readPartial reads a file that is being written, with its sidecar.
func (f *files) readPartial(full, name string, info fs.FileInfo) error {
	if file, is := strings.CutSuffix(name, ".ref"); is {
		f.sidecars++
		_, err := os.Stat(strings.TrimSuffix(full, ".ref"))
		if err != nil {
			return fmt.Errorf("the sidecar of %s has lost its file", file)
		}
		return nil
	}
	p := partial{offset: info.Size()}
	ref, plain := strings.CutPrefix(name, "r-")
	if plain {
		var err error
		ref = regexp.MustCompile(`%[0-9a-f]{2}`).ReplaceAllStringFunc(ref, func(c string) string {
			b, hexErr := hex.DecodeString(c[1:])
			if hexErr != nil {
				err = hexErr
			}
			return string(b)
		})
		if err != nil {
			return err
		}
	}
	note, err := os.ReadFile(full + ".ref")
	if err == nil {
		noted, err := readSidecar(string(note), &p, info.Size())
		if err != nil {
			return err
		}
		if plain && noted != ref {
			return fmt.Errorf("its sidecar is of %q", noted)
		}
		ref = noted
	} else if !os.IsNotExist(err) || !plain {
		return err
	}
	if sum := sha256.Sum256([]byte(ref)); !plain && name != "h-"+hex.EncodeToString(sum[:]) {
		return fmt.Errorf("it is not the file of %q", ref)
	}
	f.partial[ref] = p
	return nil
}

// readSidecar reads the lines of a sidecar.
func readSidecar(text string, p *partial, size int64) (ref string, err error) {
	parts := regexp.MustCompile(`(?s)^(dhow-ingest 1\nref (".*?")\nstarted (\d+)\n(?:state (sha\d+) (\d+) \d+ \d+ \d+ ([0-9a-f]+)\n)?)sum ([0-9a-f]{64})\n$`).FindStringSubmatch(text)
	if parts == nil {
		return "", fmt.Errorf("no sidecar: %q", text)
	}
	if sum := sha256.Sum256([]byte(parts[1])); hex.EncodeToString(sum[:]) != parts[7] {
		return "", fmt.Errorf("the sum of the sidecar is not %x", sum)
	}
	if ref, err = strconv.Unquote(parts[2]); err != nil {
		return "", err
	}
	if p.started, err = strconv.ParseInt(parts[3], 10, 64); err != nil {
		return "", err
	}
	if p.state = parts[4]; p.state != "" && parts[5] != strconv.FormatInt(size, 10) {
		err = fmt.Errorf("the state is of %s bytes, the file has %d", parts[5], size)
	}
	return ref, err
}
