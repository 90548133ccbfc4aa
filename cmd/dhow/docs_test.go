package main

import (
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/cmd/dhow/internal/progress"
	"github.com/dhowhq/dhow/copy"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded"
)

// sections returns the text of a page by its headings of the second level; what
// stands before the first has the heading "".
func sections(t *testing.T, page string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for i, part := range strings.Split("\n"+string(data), "\n## ") {
		heading := ""
		if i > 0 {
			heading, part, _ = strings.Cut(part, "\n")
		}
		all[heading] = part
	}
	return all
}

// Each command has a section, each of its flags is in it, and each flag in it is
// one of the command's.
func TestPageHasEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	page := sections(t, "cli.md")
	root := newApp(strings.NewReader(""), io.Discard, os.Stderr, "").command()
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	check := func(name, text string, flags *pflag.FlagSet) {
		var known []string
		flags.VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
		for _, f := range known {
			if !regexp.MustCompile("`" + f + "\\b").MatchString(text) {
				t.Errorf("docs/cli.md does not say what %s of %s does", f, name)
			}
		}
		for _, m := range regexp.MustCompile(`(?m)^\| .*`).FindAllString(text, -1) {
			cell, _, _ := strings.Cut(m[2:], " | ")
			for _, f := range regexp.MustCompile(`--[a-z-]+`).FindAllString(cell, -1) {
				if !slices.Contains(known, f) {
					t.Errorf("docs/cli.md has %s, which %s does not", f, name)
				}
			}
		}
	}
	global := root.PersistentFlags()
	global.AddFlagSet(root.Flags())
	check("dhow", page[""], global)
	for _, c := range leaves(root) {
		heading := strings.TrimPrefix(c.CommandPath(), "dhow ") + strings.TrimPrefix(c.Use, c.Name())
		text, ok := page[heading]
		if !ok {
			t.Errorf("docs/cli.md has no section %q", heading)
			continue
		}
		check(c.CommandPath(), text, c.LocalNonPersistentFlags())
	}
	for _, p := range places() {
		if !strings.Contains(page["References"], "`"+p.name+":") {
			t.Errorf("docs/cli.md has no reference of %s:", p.name)
		}
	}
}

// leaves returns the commands that have no commands, but for help.
func leaves(c *cobra.Command) []*cobra.Command {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.Name() != "help" {
			all = append(all, leaves(sub)...)
		}
	}
	return all
}

func TestPageHasEveryFieldOfJSON(t *testing.T) {
	t.Parallel()
	page := sections(t, "cli.md")
	var check func(text string, of reflect.Type)
	check = func(text string, of reflect.Type) {
		for f := range of.Fields() {
			if f.Anonymous {
				check(text, f.Type)
				continue
			}
			if !f.IsExported() {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/cli.md does not have the field %s of %s", name, of)
			}
		}
	}
	for section, types := range map[string][]reflect.Type{
		"inspect IMAGE":            {reflect.TypeFor[describe.Image](), reflect.TypeFor[describe.Details](), reflect.TypeFor[describe.Local](), reflect.TypeFor[describe.Instance]()},
		"pull SOURCE [NAME]":       {reflect.TypeFor[pulledReport]()},
		"push IMAGE [DESTINATION]": {reflect.TypeFor[pushedReport]()},
		"images [REFERENCE...]":    {reflect.TypeFor[imageReport]()},
		"save IMAGE...":            {reflect.TypeFor[savedReport]()},
		"load":                     {reflect.TypeFor[loadedReport](), reflect.TypeFor[loadedImage]()},
		"import FILE [NAME]":       {reflect.TypeFor[importedReport]()},
		"history IMAGE":            {reflect.TypeFor[historyReport](), reflect.TypeFor[historyStep]()},
		"df":                       {reflect.TypeFor[usageReport](), reflect.TypeFor[store.Amount]()},
		"tag IMAGE NAME...":        {reflect.TypeFor[taggedReport]()},
		"rmi IMAGE...":             {reflect.TypeFor[removedReport](), reflect.TypeFor[removalReport]()},
		"store info":               {reflect.TypeFor[store.Info](), reflect.TypeFor[store.Amount]()},
		"fsck":                     {reflect.TypeFor[checkReport](), reflect.TypeFor[checkFinding](), reflect.TypeFor[lackingName]()},
		"gc":                       {reflect.TypeFor[collectedReport]()},
	} {
		for _, of := range types {
			check(page[section], of)
		}
	}
}

// Each field that a template is given is on the page, and is called as in JSON by the rule
// that stands there.
func TestPageHasEveryFieldOfTemplates(t *testing.T) {
	t.Parallel()
	page := sections(t, "cli.md")
	rule := page["Templates"]
	for section, types := range map[string][]reflect.Type{
		"images [REFERENCE...]": {reflect.TypeFor[imageRow](), reflect.TypeFor[imageReport]()},
		"inspect IMAGE":         {reflect.TypeFor[describe.Image](), reflect.TypeFor[describe.Local]()},
		"history IMAGE":         {reflect.TypeFor[historyStep]()},
	} {
		for _, of := range types {
			for _, f := range reflect.VisibleFields(of) {
				if f.IsExported() && !f.Anonymous && !strings.Contains(page[section], "`."+f.Name+"`") {
					t.Errorf("docs/cli.md does not have the template field %s of %s", f.Name, of)
				}
			}
		}
	}
	for _, of := range []reflect.Type{
		reflect.TypeFor[imageReport](), reflect.TypeFor[historyStep](), reflect.TypeFor[describe.Image](), reflect.TypeFor[describe.Local](),
		reflect.TypeFor[describe.Instance](), reflect.TypeFor[describe.Details](), reflect.TypeFor[ocispec.Descriptor](), reflect.TypeFor[ocispec.Platform](),
	} {
		for _, f := range reflect.VisibleFields(of) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || f.Name == strings.ToUpper(name[:1])+name[1:] {
				continue
			}
			if !strings.Contains(rule, "`."+f.Name+"`") {
				t.Errorf("docs/cli.md does not say that %s of %s is called .%s in templates", name, of, f.Name)
			}
		}
	}
}

func TestPageHasEveryProblemAndState(t *testing.T) {
	t.Parallel()
	page := sections(t, "cli.md")
	for _, p := range []embedded.Problem{
		embedded.BadFormat, embedded.BadDatabase, embedded.BadJournal, embedded.BadRecord, embedded.BadBlob, embedded.BadFacts,
		embedded.BadName, embedded.BadMode, embedded.Leaked, embedded.Stray,
	} {
		if !strings.Contains(page["fsck"], "| `"+string(p)+"` |") {
			t.Errorf("docs/cli.md does not say what is wrong with %s", p)
		}
	}
	for _, s := range []store.State{store.Clean, store.Degraded, store.ReadOnly} {
		if !strings.Contains(page["store info"], "`"+string(s)+"`: ") {
			t.Errorf("docs/cli.md does not say what %s means", s)
		}
	}
}

func TestPagesHaveEveryActionAndEvent(t *testing.T) {
	t.Parallel()
	receipt := sections(t, "receipt.md")[""]
	for _, a := range []copy.Action{copy.Copied, copy.Reused, copy.Mounted, copy.Converted, copy.Edited, copy.Skipped, copy.Missing} {
		if !strings.Contains(receipt, "| `"+string(a)+"` |") {
			t.Errorf("docs/receipt.md does not say what %s means", a)
		}
	}
	events := sections(t, "progress.md")["JSON lines"]
	for _, k := range []copy.EventKind{copy.EventPlanned, copy.EventGrown, copy.EventStarted, copy.EventAdvanced, copy.EventFinished, copy.EventCommitted} {
		if !strings.Contains(events, "| `"+string(k)+"` |") {
			t.Errorf("docs/progress.md does not say what %s means", k)
		}
	}
	for f := range reflect.TypeFor[copy.Event]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !strings.Contains(events, "`"+name+"`") {
			t.Errorf("docs/progress.md does not have the field %s", name)
		}
	}
	for _, m := range progress.Modes() {
		if !strings.Contains(sections(t, "cli.md")["copy SOURCE DESTINATION"], "`"+m+"`") {
			t.Errorf("docs/cli.md does not have the progress mode %s", m)
		}
	}
}
