package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in builds from a clone.
var version = ""

// buildInfo says what this program was built from. It is the JSON form of version.
type buildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildVersion returns what is known: the linker's version, or else that of the
// module; and the commit where the Go tool recorded one.
func buildVersion() buildInfo {
	b := buildInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b buildInfo) String() string {
	s := "dhow " + b.Version
	if b.Commit != "" {
		s += ", commit " + b.Commit
	}
	if b.Modified {
		s += " (modified)"
	}
	return fmt.Sprintf("%s, %s, %s", s, b.Go, b.Platform)
}

// versionCommand makes the command that prints the version.
func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of dhow",
		Args:  args(),
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.writeJSON(buildVersion())
			}
			return a.write(func(w io.Writer) error {
				_, err := fmt.Fprintln(w, buildVersion())
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
