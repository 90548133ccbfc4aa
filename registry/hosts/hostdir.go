package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/containerd/errdefs"
)

// hostDir is what the certs.d directories have on a host.
type hostDir struct {
	exists bool
	hosts  *hostsFile // nil if there is no hosts.toml
	certs  TLS
}

// defaultHost is the directory of hosts that nothing else speaks of.
const defaultHost = "_default"

// hostsFile returns the hosts.toml for a candidate, or one that says nothing.
func (c *Config) hostsFile(cand candidate) (hostsFile, error) {
	dir, err := c.dir(cand.host)
	if err == nil && !dir.exists && !cand.listed {
		dir, err = c.dir(defaultHost)
	}
	if err != nil || dir.hosts == nil {
		all := rights{pull: true, resolve: true, push: true}
		return hostsFile{server: upstream{prefix: apiPath, rights: all}}, err
	}
	return *dir.hosts, nil
}

// Certificates returns those that are configured for a server, host[:port], that is no
// registry but is asked for one, as a token server. Only its own directory counts: what
// flags and other files say is said of registries.
func (c *Config) Certificates(host string) (TLS, error) {
	d, err := c.dir(host)
	return d.certs, err
}

// dir returns what is known of a host, and reads it the first time.
func (c *Config) dir(host string) (hostDir, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.dirs[host]; ok {
		return d, nil
	}
	d, err := c.readDir(host)
	if err != nil {
		return hostDir{}, err
	}
	c.dirs[host] = d
	return d, nil
}

// readDir reads the first hosts.toml that there is for a host, and the
// certificates of the first of its directories that has any.
func (c *Config) readDir(host string) (hostDir, error) {
	var d hostDir
	for _, root := range c.places.certs {
		for _, base := range dirNames(host, runtime.GOOS) {
			dir := filepath.Join(root, base)
			switch is, err := c.isDir(dir); {
			case err != nil:
				return d, fmt.Errorf("the configuration of %s: %w", host, err)
			case !is:
				continue
			}
			d.exists = true
			if err := c.readHosts(&d, dir); err != nil {
				return d, err
			}
			if len(d.certs.CA)+len(d.certs.Client) > 0 {
				continue
			}
			var err error
			if d.certs, err = readCerts(dir, c.opts.Logger); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

// isDir reports whether there is a directory that may be read.
func (c *Config) isDir(dir string) (bool, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, fs.ErrPermission):
		c.opts.Logger.Warn("a directory of a registry that may not be read is ignored", "directory", dir, "error", err)
		return false, nil
	case err != nil:
		return false, err
	}
	return info.IsDir(), nil
}

// readHosts reads the hosts.toml of a directory, if it has one and none was read
// before.
func (c *Config) readHosts(d *hostDir, dir string) error {
	file := filepath.Join(dir, "hosts.toml")
	if d.hosts != nil {
		return nil
	}
	data, err := readFile(file)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the hosts of a registry: %w", err)
	}
	h, err := parseHosts(file, data, c.opts.Logger)
	if err != nil {
		return err
	}
	d.hosts = &h
	return nil
}

// dirNames returns the names that the directory of a host may have.
func dirNames(host, goos string) []string {
	name, port := splitPort(host)
	if port == "" {
		return []string{host}
	}
	plain := host
	if goos == "windows" {
		plain = name + port[1:] // where a name has no colon
	}
	return []string{name + "_" + port[1:] + "_", plain}
}
