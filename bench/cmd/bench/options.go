package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dhowhq/dhow/bench/internal/scenario"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

// errUsage has been told already.
var errUsage = errors.New("wrong usage")

type options struct {
	scenarios, tools          string
	rounds                    int
	requests                  bool
	timeout                   time.Duration
	dhow                      string
	also                      []tools.Tool
	dir, binaries, work, goes string
}

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.scenarios, "scenario", "", "only these `NAMES`, with commas; patterns as busybox* too; -scenario list lists them")
	flags.StringVar(&o.tools, "tools", "", "only these `IDS`, with commas; patterns as crane* too")
	flags.IntVar(&o.rounds, "rounds", 5, "run each tool `N` times in each scenario; 0 only counts requests")
	flags.BoolVar(&o.requests, "requests", true, "run each tool once more to count its requests")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "a run that takes `LONGER` has failed")
	flags.StringVar(&o.dhow, "dhow", "../bin/dhow", "the `BINARY` that is measured as dhow")
	flags.Func("also", "measure another dhow as well, or one with flags of copy, `NAME=BINARY [FLAG...]`; may be repeated", o.addDhow)
	flags.StringVar(&o.dir, "dir", ".", "the `DIR` of the benchmarks' module")
	flags.StringVar(&o.binaries, "bin", "bin", "the `DIR` for what is built")
	flags.StringVar(&o.work, "work", "work", "the `DIR` for images, registries and reports")
	flags.StringVar(&o.goes, "go", "go", "the go `COMMAND`")
	if err := flags.Parse(args); err != nil {
		return o, errUsage // flag has told it
	}
	if flags.NArg() > 0 || o.rounds < 0 {
		flags.Usage()
		return o, errUsage
	}
	for _, dir := range []*string{&o.dhow, &o.dir, &o.binaries, &o.work} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return o, err
		}
		*dir = abs
	}
	return o, nil
}

func (o *options) addDhow(value string) error {
	name, command, ok := strings.Cut(value, "=")
	words := strings.Fields(command)
	if !ok || len(words) == 0 {
		return errors.New("want NAME=BINARY [FLAG...]")
	}
	binary, err := filepath.Abs(words[0])
	o.also = append(o.also, tools.Dhow(name, binary, words[1:]...))
	return err
}

// choose returns the scenarios that were asked for.
func (o options) choose() ([]scenario.Scenario, error) {
	var chosen []scenario.Scenario
	for _, s := range scenario.All() {
		if ok, err := matches(o.scenarios, s.Name); err != nil {
			return nil, err
		} else if ok && (o.scenarios != "" || !s.Extra) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no scenario is named %q", o.scenarios)
	}
	return chosen, nil
}

// participants returns the tools of a scenario that were asked for, and with each dhow the others.
func (o options) participants(s scenario.Scenario) ([]tools.Tool, error) {
	all := append([]tools.Tool{
		tools.Dhow("dhow", o.dhow),
		tools.Dhow("dhow-dest", o.dhow, "--verify=destination"),
		tools.Dhow("dhow-bare", o.dhow, "--referrers=false", "--digest-tags=false"),
		tools.DhowStore("dhow-store", o.dhow),
	}, tools.Peers()...)
	var chosen []tools.Tool
	for _, tool := range all {
		ok, err := matches(o.tools, tool.ID)
		if err != nil {
			return nil, err
		}
		if ok && slices.Contains(s.Tools, tool.ID) {
			chosen = append(chosen, tool)
		}
	}
	return append(chosen, o.also...), nil
}

// matches says whether a name is one of a list of patterns; an empty list has all.
func matches(patterns, name string) (bool, error) {
	if patterns == "" {
		return true, nil
	}
	for pattern := range strings.SplitSeq(patterns, ",") {
		ok, err := path.Match(strings.TrimSpace(pattern), name)
		if err != nil {
			return false, fmt.Errorf("the pattern %q: %w", pattern, err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}
