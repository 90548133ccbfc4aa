package main

import (
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
)

// completionCommand makes the command that prints completion scripts.
func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a completion script for bash, zsh, fish or powershell",
		Long: "Print a script that makes a shell complete the words of dhow. SHELL is bash, zsh,\n" +
			"fish or powershell. For the bash that is running:\n\n" +
			"  source <(dhow completion bash)",
		Args:      args("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(_ *cobra.Command, args []string) error {
			return a.write(func(w io.Writer) error {
				switch args[0] {
				case "bash":
					return root.GenBashCompletionV2(w, true)
				case "zsh":
					return root.GenZshCompletion(w)
				case "fish":
					return root.GenFishCompletion(w, true)
				case "powershell":
					return root.GenPowerShellCompletionWithDesc(w)
				default:
					return fmt.Errorf("unknown shell %.64q (there are: bash, zsh, fish, powershell): %w", args[0], errdefs.ErrInvalidArgument)
				}
			})
		},
	}
}
