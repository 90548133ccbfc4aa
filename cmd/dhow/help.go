package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// help takes what cobra has to say of commands. Cobra does not tell whether it
// could be written, so the first error is kept.
type help struct {
	to  io.Writer
	err error
}

func (h *help) Write(p []byte) (int, error) {
	if h.err == nil {
		_, h.err = h.to.Write(p)
	}
	return len(p), nil
}

// helpCommand makes the command that explains a command; cobra's own does not
// fail if there is no such command.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		ValidArgsFunction: func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
			cmd, rest, err := root.Find(given)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range cmd.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return fmt.Errorf("unknown command %.64q for %q", rest[0], cmd.CommandPath())
			}
			cmd.InitDefaultHelpFlag()
			cmd.InitDefaultVersionFlag()
			return cmd.Help()
		},
	}
}
