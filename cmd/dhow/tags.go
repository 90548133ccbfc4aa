package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/registry/hosts"
)

// listFlags are the flags of commands that list what a registry has.
type listFlags struct {
	json  bool
	place settings
}

// add defines the flags.
func (f *listFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.json, "json", false, "print JSON")
	f.place.registry.addOne(cmd)
}

// tagsCommand makes the command that lists the tags of a repository.
func (a *app) tagsCommand() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:   "tags REPOSITORY",
		Short: "List the tags of a repository in a registry",
		Long: "List the tags of REPOSITORY, as docker://NAME or NAME, in the order that the registry has\n" +
			"them, each on a line. They are printed as they come, however many they are.",
		Args: args("REPOSITORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.place.registry.check(); err != nil {
				return err
			}
			return a.tags(cmd.Context(), f, args[0])
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) tags(ctx context.Context, f listFlags, arg string) error {
	name, err := repositoryArg(arg)
	if err != nil {
		return err
	}
	f.place.registry.host = name.Domain()
	c, err := a.complete(f.place).client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	repo, err := c.Repository(name, hosts.List)
	if err != nil {
		return err
	}
	return a.writeNames(f, func(yield func(string) bool) error { return repo.Tags(ctx, yield) })
}

// writeNames prints names as they come: a line each, or one JSON array, which has no end if
// the list had none. What could not be printed ends the list.
func (a *app) writeNames(f listFlags, list func(yield func(name string) bool) error) error {
	begin, end := "", ""
	if f.json {
		begin, end = "[", "]\n"
	}
	write := func(text string) error {
		_, err := io.WriteString(a.stdout, text)
		return err
	}
	var failed error
	err := list(func(name string) bool {
		line := name + "\n"
		if f.json {
			if line, failed = jsonText(name); failed != nil {
				return false
			}
			line, begin = begin+line, ",\n "
		}
		failed = write(line)
		return failed == nil
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return err
	case begin == "[": // there was none
		end = begin + end
	}
	return write(end)
}
