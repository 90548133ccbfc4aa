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

	faults []string // by which it is not an OCI config, found while decoding
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
// lim.ConfigBytes, or more than lim.Descriptors diff IDs or lines of history, and
// ErrNotImplemented for a diff ID of an unknown algorithm.
func DecodeConfig(data []byte, lim Limits) (*Config, error) {
	lim = lim.WithDefaults()
	c := configReader{max: lim.Descriptors}
	err := strictjson.Read(data, strictjson.Limits{Bytes: lim.ConfigBytes, Depth: lim.JSONDepth}, func(r *strictjson.Reader) error {
		return c.object(r, configFields, c.member)
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

// object reads an object and calls member for what is not null. Null is no OCI
// but for the fields that the schema says.
func (c *configReader) object(r *strictjson.Reader, fields *strictjson.Fields, member func(r *strictjson.Reader, name string) error) error {
	return r.Object(fields, func(name string) error {
		if !r.Null() {
			return member(r, name)
		}
		switch name {
		case "Entrypoint", "Cmd", "Volumes", "Labels":
		default:
			if fields.Has(name) {
				c.fault(r, "is null")
			}
		}
		return nil
	})
}

// maxFaults is how many faults are kept: a config with more is no better known by
// the rest.
const maxFaults = 16

// fault notes that the current value is not as OCI wants it.
func (c *configReader) fault(r *strictjson.Reader, what string) {
	if len(c.config.faults) < maxFaults {
		c.config.faults = append(c.config.faults, r.Path()+" "+what)
	}
}

// want notes a fault if the value, which nobody reads, is not of that kind.
func (c *configReader) want(r *strictjson.Reader, kind strictjson.Kind) error {
	if r.Kind() != kind {
		c.fault(r, "is not "+kind.String())
	}
	return nil
}

// member reads a top-level field.
func (c *configReader) member(r *strictjson.Reader, name string) (err error) {
	to := &c.config
	switch name {
	case "created":
		to.Created, err = c.time(r)
	case "author":
		err = c.want(r, strictjson.String)
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
		err = c.object(r, runFields, c.runMember)
	case "rootfs":
		err = c.object(r, rootFSFields, c.rootFSMember)
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
		to.Volumes, err = c.set(r)
	case "ExposedPorts":
		_, err = c.set(r)
	case "StopSignal":
		err = c.want(r, strictjson.String)
	case "ArgsEscaped":
		if r.Kind() != strictjson.False {
			err = c.want(r, strictjson.True)
		}
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
	err := c.object(r, historyFields, func(r *strictjson.Reader, name string) (err error) {
		switch name {
		case "created":
			line.Created, err = c.time(r)
		case "author":
			err = c.want(r, strictjson.String)
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

// time reads a time, which is not parsed but to note a fault.
func (c *configReader) time(r *strictjson.Reader) (string, error) {
	s, err := r.String()
	if err == nil && !isTime(s) {
		c.fault(r, "is no time by RFC 3339")
	}
	return s, err
}

// command reads a list of strings, or one string as a list of one.
func (c *configReader) command(r *strictjson.Reader) ([]string, error) {
	if r.Kind() != strictjson.String {
		return readStrings(r, c.max)
	}
	c.fault(r, "is a string")
	s, err := r.String()
	return []string{s}, err
}

// set reads an object whose names alone matter, the values being empty objects.
func (c *configReader) set(r *strictjson.Reader) (names []string, err error) {
	if r.Kind() != strictjson.Object {
		return nil, c.want(r, strictjson.Object)
	}
	err = r.Map(func(name string) error {
		names = append(names, name)
		return c.want(r, strictjson.Object)
	})
	return names, err
}
