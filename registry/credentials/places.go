package credentials

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// place is a file that may hold credentials.
type place struct {
	path  string
	named bool // by a flag or the environment: it has to be there
	old   bool // it is a .dockercfg
}

// environment is where things are on a machine.
type environment struct {
	lookup func(string) (string, bool)
	home   string
	root   string
	uid    int
	goos   string
}

func environmentOf(opts Options) environment {
	e := environment{lookup: opts.LookupEnv, home: opts.Home, root: opts.Root, uid: os.Getuid(), goos: runtime.GOOS}
	if e.lookup == nil {
		e.lookup = func(string) (string, bool) { return "", false }
	}
	if opts.UID != nil {
		e.uid = *opts.UID
	}
	for _, key := range []string{"HOME", "USERPROFILE"} {
		if e.home == "" {
			e.home = e.get(key)
		}
	}
	if e.root == "" {
		e.root = "/"
	}
	return e
}

func (e environment) get(key string) string {
	value, _ := e.lookup(key)
	return value
}

// places returns the files to search, in order. The first one is where new
// credentials go.
func (e environment) places(named string) []place {
	if named == "" {
		named = e.get("REGISTRY_AUTH_FILE")
	}
	if named != "" {
		return []place{{path: named, named: true}}
	}
	var all []place
	add := func(dir string, below ...string) {
		if dir != "" {
			all = append(all, place{path: filepath.Join(append([]string{dir}, below...)...)})
		}
	}
	if e.goos == "linux" {
		if dir := e.get("XDG_RUNTIME_DIR"); dir != "" {
			add(dir, "containers", "auth.json")
		} else {
			add(e.root, "run", "containers", strconv.Itoa(e.uid), "auth.json")
		}
	}
	if dir := e.get("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		add(dir, "containers", "auth.json")
	} else {
		add(e.home, ".config", "containers", "auth.json")
	}
	if dir := e.get("DOCKER_CONFIG"); dir != "" {
		add(dir, dockerFile)
	} else {
		add(e.home, ".docker", dockerFile)
	}
	if e.home != "" {
		all = append(all, place{path: filepath.Join(e.home, ".dockercfg"), old: true})
	}
	return all
}

// dockerFile is the name of Docker's file, in which Docker Hub has another key
// than in the one of containers.
const dockerFile = "config.json"

// inEnvironment are the variables that may hold what a file of credentials does;
// the first one that is set counts.
var inEnvironment = [...]string{
	"DHOW_AUTH_CONFIG",
	"DOCKER_AUTH_CONFIG",
}
