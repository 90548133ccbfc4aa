package describe

import (
	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/platform"
)

// Details are what the config of an image says of it. They are shown, never acted
// on, and can be wrong.
type Details struct {
	Platform string `json:"platform,omitempty"`
	// Created is as stored, and may be no time at all.
	Created    string            `json:"created,omitempty"`
	User       string            `json:"user,omitempty"`
	WorkingDir string            `json:"workingDir,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        []string          `json:"env,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Warnings tell what is odd about the config, one sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// detailsOf reads the config of an image with that many layers; negative: that is not
// known. One that cannot be read is a warning: the image can be described without it.
func detailsOf(config []byte, layers int, limits image.Limits) *Details {
	c, err := image.DecodeConfig(config, limits)
	if err != nil {
		return &Details{Warnings: []string{"the config cannot be read: " + err.Error()}}
	}
	if layers < 0 {
		layers = len(c.DiffIDs)
	}
	d := &Details{
		Created: c.Created, User: c.User, WorkingDir: c.WorkingDir,
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, Labels: c.Labels,
		Warnings: c.Warnings(layers),
	}
	if c.Platform.OS != "" || c.Platform.Architecture != "" {
		d.Platform = platform.Format(c.Platform)
	}
	return d
}
