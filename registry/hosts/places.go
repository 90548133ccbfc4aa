package hosts

import (
	"os"
	"path/filepath"
	"runtime"
)

// places are the directories that are searched, the more specific ones first.
type places struct {
	env        func(string) string
	uid        int
	user       string   // the user's directory among containers, or ""
	containers []string // that hold registries.conf and registries.conf.d
	certs      []string // certs.d directories
}

// placesOf returns the places of the machine, below another root if the options
// name one.
func placesOf(opts Options) places {
	p := places{uid: os.Getuid(), env: func(key string) string {
		if opts.LookupEnv == nil {
			return ""
		}
		value, _ := opts.LookupEnv(key)
		return value
	}}
	if opts.UID != nil {
		p.uid = *opts.UID
	}
	if config := p.userConfig(opts.Home); config != "" {
		p.user = filepath.Join(config, "containers")
		p.containers = append(p.containers, p.user)
		for _, family := range certFamilies {
			p.certs = append(p.certs, filepath.Join(config, family, "certs.d"))
		}
	}
	etc, share := p.system(runtime.GOOS, opts.Root)
	p.containers = append(p.containers, filepath.Join(etc, "containers"))
	if share != "" {
		p.containers = append(p.containers, filepath.Join(share, "containers"))
	}
	for _, family := range certFamilies {
		p.certs = append(p.certs, filepath.Join(etc, family, "certs.d"))
	}
	if opts.CertsDirs != nil {
		p.certs = opts.CertsDirs
	}
	return p
}

// certFamilies are the tools that have a certs.d directory, in the order in which
// they are asked.
var certFamilies = [...]string{
	"containers",
	"containerd",
	"docker",
}

// userConfig returns the directory of the user's configuration, or "".
func (p places) userConfig(home string) string {
	if dir := p.env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if home == "" {
		home = p.env("HOME")
	}
	if home == "" {
		home = p.env("USERPROFILE")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".config")
}

// system returns where the administrator's files are, and those that come with
// packages, if there is such a place.
func (p places) system(goos, root string) (etc, share string) {
	if goos == "windows" && root == "" {
		return p.env("ProgramData"), ""
	}
	if root == "" {
		root = "/"
	}
	return filepath.Join(root, "etc"), filepath.Join(root, "usr/share")
}
