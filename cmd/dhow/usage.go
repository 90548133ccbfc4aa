package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupKey is the annotation of a flag with the heading that it stands under.
const groupKey = "group"

// group has the flags of a set stand under a heading in the help of a command, and adds
// them to it.
func group(cmd *cobra.Command, heading string, set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[groupKey] = []string{heading}
	})
	cmd.Flags().AddFlagSet(set)
}

// newFlags returns a set of flags in the order in which they are defined.
func newFlags() *pflag.FlagSet {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SortFlags = false
	return set
}

// usage prints how a command is used: the flags that stand under no heading, those
// under one in the order in which they were defined, and those of all commands.
func usage(cmd *cobra.Command) error {
	const plain = "Flags"
	headings, groups := []string{plain}, map[string]*pflag.FlagSet{plain: newFlags()}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		heading := plain
		if g := f.Annotations[groupKey]; len(g) > 0 {
			heading = g[0]
		}
		if groups[heading] == nil {
			headings, groups[heading] = append(headings, heading), newFlags()
		}
		groups[heading].AddFlag(f)
	})
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	for _, heading := range headings {
		fmt.Fprintf(&b, "\n%s:\n%s", heading, groups[heading].FlagUsages())
	}
	fmt.Fprintf(&b, "\nGlobal flags:\n%s", cmd.InheritedFlags().FlagUsages())
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}
