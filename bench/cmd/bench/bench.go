package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dhowhq/dhow/bench/internal/report"
	"github.com/dhowhq/dhow/bench/internal/run"
	"github.com/dhowhq/dhow/bench/internal/scenario"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

// bench builds what is missing, runs the scenarios, and writes the report to out and, with
// all samples, into the work folder. It fails if a tool did.
func (o options) bench(ctx context.Context, out, errOut io.Writer) error {
	if o.scenarios == "list" {
		return list(out)
	}
	scenarios, err := o.choose()
	if err != nil {
		return err
	}
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(errOut, format+"\n", args...) // progress that nobody reads is no failure
	}
	if err := tools.Build(ctx, o.goes, o.dir, o.binaries, func(line string) { say("%s", line) }); err != nil {
		return err
	}
	reports := filepath.Join(o.work, "reports")
	if err := os.MkdirAll(reports, 0o755); err != nil {
		return err
	}
	name := filepath.Join(reports, time.Now().UTC().Format("20060102-150405"))
	markdown, err := os.Create(name + ".md")
	if err != nil {
		return err
	}
	results, err := o.measure(ctx, scenarios, io.MultiWriter(out, markdown), say)
	data, jsonErr := json.MarshalIndent(results, "", "  ")
	if jsonErr == nil {
		jsonErr = os.WriteFile(name+".json", append(data, '\n'), 0o644)
	}
	say("the report is in %s.md, all samples in %s.json", name, name)
	return errors.Join(err, jsonErr, markdown.Close(), failures(results))
}

func (o options) measure(ctx context.Context, scenarios []scenario.Scenario, out io.Writer, say func(string, ...any)) (results []run.Result, err error) {
	b, err := run.Open(ctx, run.Config{
		Binaries: o.binaries, Work: o.work,
		Rounds: o.rounds, Requests: o.requests, Timeout: o.timeout, Say: say,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := report.Head(ctx, out, o.dhow, o.rounds); err != nil {
		return nil, err
	}
	for _, s := range scenarios {
		participants, err := o.participants(s)
		if err != nil {
			return results, err
		}
		result, err := b.Run(ctx, s, participants)
		if err != nil {
			return results, err
		}
		results = append(results, result)
		if err := report.Scenario(out, result); err != nil {
			return results, err
		}
	}
	return results, report.Targets(out, results)
}

// failures is an error if a tool has failed anywhere, or its requests are not known.
func failures(results []run.Result) error {
	var errs []error
	for _, result := range results {
		for _, cell := range result.Cells {
			if failure := cmp.Or(cell.Failure, cell.Uncounted); failure != "" {
				errs = append(errs, fmt.Errorf("%s, %s: %s", result.Scenario.Name, cell.ID, failure))
			}
		}
	}
	return errors.Join(errs...)
}

func list(out io.Writer) error {
	for _, s := range scenario.All() {
		if _, err := fmt.Fprintf(out, "%-14s %v\n", s.Name, s.Tools); err != nil {
			return err
		}
	}
	return nil
}
