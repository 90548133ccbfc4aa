package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dhowhq/dhow/cmd/dhow/internal/progress"
	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/image"
)

// app is what the commands share.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr *os.File
	// errOut is stderr for lines, which stand above progress bars.
	errOut *progress.Output
	term   string // the value of TERM
	places []place

	// These are set from the global flags before a command runs.
	log    *slog.Logger
	limits image.Limits
	store  storeSettings

	shared sharedStore
}

func newApp(stdin io.Reader, stdout io.Writer, stderr *os.File, term string) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, errOut: progress.NewOutput(stderr), term: term, places: places()}
}

// execute runs the command of the tree that the arguments name.
func (a *app) execute(ctx context.Context, root *cobra.Command) error {
	out := &help{to: a.stdout}
	root.SetOut(out)
	return errors.Join(root.ExecuteContext(ctx), out.err)
}

// command returns the tree of commands.
func (a *app) command() *cobra.Command {
	var level string
	var manifest, config byteSize
	root := &cobra.Command{
		Use:   "dhow",
		Short: "Move container images between the places where they live",
		Long: "Move container images, for all of their platforms or some, between the places where\n" +
			"they live, byte for byte, and show what they are made of.\n\n" +
			"An image is named TRANSPORT:DETAILS. The transports are:\n\n" + a.placesHelp(),
		Version:            buildVersion().Version,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true, // they take lines, and an error has one
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := refuseEmpty(cmd); err != nil {
				return err
			}
			if err := a.store.check(cmd); err != nil {
				return err
			}
			return a.configure(level, manifest, config)
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.stdin)
	root.SetErr(a.errOut)
	flags := root.PersistentFlags()
	flags.StringVar(&level, "log-level", "warn", "write log lines of this `LEVEL` and above to standard error: debug, info, warn or error")
	choices(root, "log-level", "debug", "info", "warn", "error")
	flags.Var(&manifest, "max-manifest-size", "the largest manifest or list to accept, as 6000000 or 8MiB; all of one image may have 16 times as much (default 4MiB)")
	flags.Var(&config, "max-config-size", "the largest image config to accept (default 8MiB)")
	a.store.add(root)
	root.SetHelpCommand(helpCommand(root))
	for _, c := range []*cobra.Command{
		a.imagesCommand(), a.pullCommand(), a.pushCommand(), a.tagCommand(), a.rmiCommand(), a.pruneCommand(),
		a.saveCommand(), a.loadCommand(), a.importCommand(), a.historyCommand(), a.dfCommand(),
		a.copyCommand(), a.inspectCommand(), a.tagsCommand(), a.reposCommand(), a.referrersCommand(), a.deleteCommand(),
		a.loginCommand(), a.logoutCommand(), a.digestCommand(),
		a.storeCommand(), a.fsckCommand(), a.gcCommand(),
		a.versionCommand(), a.completionCommand(root),
	} {
		root.AddCommand(c)
		if !c.HasSubCommands() {
			c.SetUsageFunc(usage)
		}
		for _, sub := range c.Commands() {
			sub.SetUsageFunc(usage)
		}
	}
	return root
}

// configure takes the global flags over.
func (a *app) configure(level string, manifest, config byteSize) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("unknown log level %q (there are: debug, info, warn, error): %w", level, errdefs.ErrInvalidArgument)
	}
	a.log = newLog(a.errOut, l)
	a.limits = image.Limits{DocumentBytes: int64(manifest), ConfigBytes: int64(config), GraphBytes: 16 * int64(manifest)}
	return nil
}

// write calls fill with a buffered standard output.
func (a *app) write(fill func(w io.Writer) error) error {
	w := bufio.NewWriter(a.stdout)
	if err := fill(w); err != nil {
		return err
	}
	return w.Flush()
}

// writeLine writes a line to standard output.
func (a *app) writeLine(line string) error {
	_, err := io.WriteString(a.stdout, line+"\n")
	return err
}

// writeJSON writes a value as JSON to standard output.
func (a *app) writeJSON(v any) error {
	return a.write(func(w io.Writer) error { return text.JSON(w, v) })
}

// args returns a check for that many arguments, named for the error.
func args(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, got []string) error {
		if len(got) == len(names) {
			return nil
		}
		takes := "no arguments"
		if len(names) > 0 {
			takes = text.Plural(len(names), "argument") + ", " + strings.Join(names, " ") + ","
		}
		return fmt.Errorf("%s takes %s but was given %d: %w", cmd.Name(), takes, len(got), errdefs.ErrInvalidArgument)
	}
}

// choices makes a shell complete a flag, which the command has, with these words.
func choices(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// refuseEmpty fails if a flag was given an empty text, which for none of them is
// a choice: it would be as if the flag had not been given.
func refuseEmpty(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) { // those that were given
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if slices.Contains(values, "") && err == nil {
			err = fmt.Errorf("--%s is empty: %w", f.Name, errdefs.ErrInvalidArgument)
		}
	})
	return err
}

// contradict fails if two of the flags were given.
func contradict(cmd *cobra.Command, flags ...string) error {
	first := ""
	for _, name := range flags {
		switch {
		case !cmd.Flags().Changed(name):
		case first == "":
			first = name
		default:
			return fmt.Errorf("--%s and --%s contradict one another: %w", first, name, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}
