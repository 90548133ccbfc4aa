package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dhowhq/dhow/internal/userfile"
)

// maxFile is how large a configuration file or certificate may be.
const maxFile = 1 << 20

// readFile returns the bytes of a file of configuration.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, userfile.Kind(err)
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return nil, nil // the usual way to hide a file of a package
	}
	data, _, err := userfile.Read(name, maxFile)
	return data, err
}

// readDir returns the entries of a directory, by name; none if there is none.
func readDir(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, userfile.Kind(err)
	}
	return entries, nil
}

// loadRegistries reads the registries.conf files of the machine and merges them.
func loadRegistries(p places, opts Options) (registriesConf, error) {
	conf := registriesConf{aliases: map[string]string{}}
	add := func(file string) error {
		data, err := readFile(file)
		if err != nil {
			return fmt.Errorf("reading the configuration of registries: %w", err)
		}
		next, err := parseRegistries(file, data, opts.Logger)
		if err != nil {
			return err
		}
		conf.merge(next)
		return nil
	}
	files, err := p.registriesFiles(opts.RegistriesConf)
	if err != nil {
		return conf, err
	}
	for _, file := range files {
		if err := add(file); err != nil {
			return conf, err
		}
	}
	return conf, nil
}

// registriesFiles returns the files in the order in which they are merged. The
// one that was named stands for all but the override.
func (p places) registriesFiles(named string) ([]string, error) {
	const main = "registries.conf"
	var files []string
	if named == "" {
		named = p.env("CONTAINERS_REGISTRIES_CONF")
	}
	if named != "" {
		files = append(files, named)
	} else {
		for _, dir := range p.containers {
			file := filepath.Join(dir, main)
			if _, err := os.Stat(file); err == nil {
				files = append(files, file)
				break
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("reading the configuration of registries: %w", userfile.Kind(err))
			}
		}
		dropIns, err := p.dropIns()
		if err != nil {
			return nil, err
		}
		files = append(files, dropIns...)
	}
	if override := p.env("CONTAINERS_REGISTRIES_CONF_OVERRIDE"); override != "" {
		files = append(files, override)
	}
	return files, nil
}

// dropIns returns the files of the registries.conf.d directories by their base
// names. Of two with one name that of the more specific directory counts.
func (p places) dropIns() ([]string, error) {
	named := map[string]string{}
	for _, dir := range p.dropInDirs() {
		entries, err := readDir(dir)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration of registries: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() && strings.HasSuffix(e.Name(), ".conf") {
				named[e.Name()] = filepath.Join(dir, e.Name())
			}
		}
	}
	files := make([]string, 0, len(named))
	for _, base := range slices.Sorted(maps.Keys(named)) {
		files = append(files, named[base])
	}
	return files, nil
}

// dropInDirs returns the directories of drop-ins, the more specific ones last.
func (p places) dropInDirs() []string {
	const main, root, others = "registries.conf.d", "registries.rootful.conf.d", "registries.rootless.conf.d"
	var dirs []string
	for _, dir := range slices.Backward(p.containers) {
		dirs = append(dirs, filepath.Join(dir, main))
		switch {
		case dir == p.user:
		case p.uid > 0:
			dirs = append(dirs, filepath.Join(dir, others), filepath.Join(dir, others, strconv.Itoa(p.uid)))
		default:
			dirs = append(dirs, filepath.Join(dir, root))
		}
	}
	return dirs
}

// merge puts a later file over what is there: a table replaces the one of the
// same prefix, an alias the one of the same name.
func (c *registriesConf) merge(next registriesConf) {
	if next.search != nil {
		c.search, c.searchFrom = next.search, next.searchFrom
	}
	if next.helpers != nil {
		c.helpers = next.helpers
	}
	if next.mode != "" {
		c.mode = next.mode
	}
	maps.Copy(c.aliases, next.aliases)
	for _, r := range next.registries {
		same := func(other registry) bool { return other.prefix == r.prefix }
		if i := slices.IndexFunc(c.registries, same); i >= 0 {
			c.registries[i] = r
		} else {
			c.registries = append(c.registries, r)
		}
	}
}
