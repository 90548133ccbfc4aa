// Package imagechange changes the config of an image by instructions, as `docker import
// --change` takes them: those of a Dockerfile that need no file.
package imagechange

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Config is the part of an image's config that instructions change, with its form as JSON.
// What Docker has beyond OCI is there as well.
type Config struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"` // as 80/tcp
	Env          []string            `json:"Env,omitempty"`          // as NAME=VALUE
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Healthcheck  *Healthcheck        `json:"Healthcheck,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	OnBuild      []string            `json:"OnBuild,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
}

// maxBytes bounds the instructions.
const maxBytes = 1 << 20

// Apply changes the config by instructions, one after the other, for images of an operating
// system. Each change may have several lines; an empty one and one that begins with # are
// none, and a backslash at the end of a line has it go on in the next one. They are
//
//	CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR
//
// in upper or lower case, and with the meaning and the forms that a Dockerfile gives them.
// Variables stand for what ENV has set before. After an error, ErrInvalidArgument, some
// may have been applied; what is too long is ErrResourceExhausted.
func (c *Config) Apply(os string, changes ...string) error {
	total := 0
	for _, change := range changes {
		if total += len(change); total > maxBytes {
			return fmt.Errorf("the changes have more than %d bytes: %w", maxBytes, errdefs.ErrResourceExhausted)
		}
	}
	for _, line := range lines(strings.Join(changes, "\n")) {
		if err := c.apply(os, line); err != nil {
			return fmt.Errorf("change %s: %w", strictjson.Quote(line), err)
		}
	}
	return nil
}

// lines returns the instructions.
func lines(text string) []string {
	var all []string
	current, going := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n\t ")
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		rest, on := strings.CutSuffix(line, `\`)
		current, going = current+rest, on
		if !on {
			all, current = append(all, strings.TrimSpace(current)), ""
		}
	}
	if going && strings.TrimSpace(current) != "" {
		all = append(all, strings.TrimSpace(current))
	}
	return all
}

// apply carries out one instruction.
func (c *Config) apply(os, line string) error {
	name, rest := cutWord(line)
	change := changes(strings.ToUpper(name))
	if change == nil {
		return invalid("%.64s is not a valid change command", strictjson.Quote(name))
	}
	if rest == "" {
		return invalid("%s needs an argument", strings.ToUpper(name))
	}
	return change(c, os, rest)
}

// changes returns what carries an instruction out; nil for none.
func changes(name string) func(c *Config, os, rest string) error {
	switch name {
	case "CMD":
		return func(c *Config, os, rest string) (err error) { c.Cmd, err = command(os, rest); return err }
	case "ENTRYPOINT":
		return func(c *Config, os, rest string) (err error) { c.Entrypoint, err = command(os, rest); return err }
	case "ENV":
		return (*Config).env
	case "EXPOSE":
		return (*Config).expose
	case "HEALTHCHECK":
		return (*Config).healthcheck
	case "LABEL":
		return (*Config).label
	case "ONBUILD":
		return (*Config).onBuild
	case "STOPSIGNAL":
		return (*Config).stopSignal
	case "USER":
		return (*Config).user
	case "VOLUME":
		return (*Config).volume
	case "WORKDIR":
		return (*Config).workDir
	}
	return nil
}

// invalid returns an error for what is malformed.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdefs.ErrInvalidArgument)
}

// space is what stands between words.
const space = " \t"

// cutWord returns the first word of a line, and the rest of it.
func cutWord(line string) (word, rest string) {
	line = strings.Trim(line, space)
	if i := strings.IndexAny(line, space); i >= 0 {
		return line[:i], strings.Trim(line[i:], space)
	}
	return line, ""
}

// command returns what is run: a JSON array as it is, or else a line for the shell.
func command(os, rest string) ([]string, error) {
	if all, ok, err := jsonStrings(rest); ok || err != nil {
		return all, err
	}
	if os == "windows" {
		return []string{"cmd", "/S", "/C", rest}, nil
	}
	return []string{"/bin/sh", "-c", rest}, nil
}

// jsonStrings reads a JSON array of strings; ok is false for what is no JSON array. An
// array of anything else is an error.
func jsonStrings(text string) (all []string, ok bool, err error) {
	if !strings.HasPrefix(text, "[") {
		return nil, false, nil
	}
	all, others := []string{}, false
	err = strictjson.Read([]byte(text), strictjson.Limits{}, func(r *strictjson.Reader) error {
		return r.Array(func(int) error {
			if r.Kind() != strictjson.String {
				others = true
				return r.Skip()
			}
			s, err := r.String()
			all = append(all, s)
			return err
		})
	})
	switch {
	case err != nil:
		return nil, false, nil //nolint:nilerr // it is a line that begins with a bracket
	case others:
		return nil, false, invalid("an array of commands may only have strings")
	}
	return all, true, nil
}
