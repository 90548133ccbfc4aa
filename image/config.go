package image

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Config is what is read from an image config, OCI or Docker. Its bytes are kept
// by the caller. All of it is data from the image: stored and shown, never acted
// on. What the config does not have, or has as null, is the zero value.
type Config struct {
	Platform   ocispec.Platform // as stored
	Created    string           // as stored, not parsed
	RootFSType string
	DiffIDs    []digest.Digest // the base first; each is valid by ParseDigest
	History    []History       // the base first
	Labels     map[string]string
	Env        []string
	Entrypoint []string
	Cmd        []string
	User       string
	WorkingDir string
	Volumes    []string // the paths, in the order of the config
}

// History is one line of a config's history.
type History struct {
	Created    string // as stored, not parsed
	CreatedBy  string
	Comment    string
	EmptyLayer bool // the line has no layer
}

var (
	configFields = strictjson.NewFields("created", "author", "architecture", "variant", "os", "os.version",
		"os.features", "config", "rootfs", "history")
	runFields = strictjson.NewFields("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir",
		"Labels", "StopSignal", "ArgsEscaped")
	rootFSFields  = strictjson.NewFields("type", "diff_ids")
	historyFields = strictjson.NewFields("created", "author", "created_by", "comment", "empty_layer")
)

// DecodeConfig decodes an image config, OCI or Docker, as strictly as Decode does a
// manifest. {} is the zero Config. Entrypoint and Cmd may be strings, as early
// Docker wrote them.
//
// Errors are ErrInvalidArgument for what is not such JSON, or has a field of
// another type than it should be, ErrResourceExhausted for a config of more than
// lim.ConfigBytes or a list of more than lim.Descriptors elements, and
// ErrNotImplemented for a diff ID of an unknown algorithm.
func DecodeConfig(data []byte, lim Limits) (*Config, error) {
	lim = lim.WithDefaults()
	c := configReader{max: lim.Descriptors}
	err := strictjson.Read(data, strictjson.Limits{Bytes: lim.ConfigBytes, Depth: lim.JSONDepth}, func(r *strictjson.Reader) error {
		return r.Record(configFields, func(name string) error { return c.member(r, name) })
	})
	if err != nil {
		return nil, fmt.Errorf("decode image config: %w", err)
	}
	return &c.config, nil
}

// configReader reads a config.
type configReader struct {
	config Config
	max    int // elements of a list
}

// member reads a top-level field.
func (c *configReader) member(r *strictjson.Reader, name string) (err error) {
	to := &c.config
	switch name {
	case "created":
		to.Created, err = r.String()
	case "architecture":
		to.Platform.Architecture, err = r.String()
	case "variant":
		to.Platform.Variant, err = r.String()
	case "os":
		to.Platform.OS, err = r.String()
	case "os.version":
		to.Platform.OSVersion, err = r.String()
	case "os.features":
		to.Platform.OSFeatures, err = readStrings(r, c.max)
	case "config":
		err = r.Record(runFields, func(name string) error { return c.runMember(r, name) })
	case "rootfs":
		err = r.Record(rootFSFields, func(name string) error { return c.rootFSMember(r, name) })
	case "history":
		to.History = []History{}
		err = boundedArray(r, c.max, func(int) error { return c.line(r) })
	}
	return err
}

// runMember reads a field of the object config.
func (c *configReader) runMember(r *strictjson.Reader, name string) (err error) {
	to := &c.config
	switch name {
	case "User":
		to.User, err = r.String()
	case "Env":
		to.Env, err = readStrings(r, c.max)
	case "Entrypoint":
		to.Entrypoint, err = c.command(r)
	case "Cmd":
		to.Cmd, err = c.command(r)
	case "WorkingDir":
		to.WorkingDir, err = r.String()
	case "Labels":
		to.Labels, err = r.StringMap()
	case "Volumes":
		err = r.Map(func(path string) error {
			if len(to.Volumes) == c.max {
				return beyond(r, c.max)
			}
			to.Volumes = append(to.Volumes, path)
			return nil
		})
	}
	return err
}

// rootFSMember reads a field of the object rootfs.
func (c *configReader) rootFSMember(r *strictjson.Reader, name string) (err error) {
	switch name {
	case "type":
		c.config.RootFSType, err = r.String()
	case "diff_ids":
		c.config.DiffIDs = []digest.Digest{}
		err = boundedArray(r, c.max, func(int) error {
			id, err := readDigest(r)
			c.config.DiffIDs = append(c.config.DiffIDs, id)
			return err
		})
	}
	return err
}

// line reads a line of history.
func (c *configReader) line(r *strictjson.Reader) error {
	var line History
	err := r.Record(historyFields, func(name string) (err error) {
		switch name {
		case "created":
			line.Created, err = r.String()
		case "created_by":
			line.CreatedBy, err = r.String()
		case "comment":
			line.Comment, err = r.String()
		case "empty_layer":
			line.EmptyLayer, err = r.Bool()
		}
		return err
	})
	c.config.History = append(c.config.History, line)
	return err
}

// command reads a list of strings, or one string as a list of one.
func (c *configReader) command(r *strictjson.Reader) ([]string, error) {
	if r.Kind() != strictjson.String {
		return readStrings(r, c.max)
	}
	s, err := r.String()
	return []string{s}, err
}
