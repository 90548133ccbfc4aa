// Package report writes what was measured as Markdown: a table for each scenario, and one of
// what the project has promised.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dhowhq/dhow/bench/internal/images"
	"github.com/dhowhq/dhow/bench/internal/run"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

const none = "–"

// Scenario writes the table of one scenario.
func Scenario(w io.Writer, r run.Result) error {
	rivals := rivalsOf(r)
	columns := []string{"tool", "wall s", "min … max", "until exit s"}
	for _, rival := range rivals {
		columns = append(columns, "× "+rival.name)
	}
	columns = append(columns, "CPU s", "servers' CPU s", "peak MB", "requests at the source", "at the destination")
	rows := [][]string{columns, separators(len(columns))}
	var failures []string
	for _, cell := range r.Cells {
		row := []string{cell.ID}
		if cell.Failure != "" {
			failures = append(failures, fmt.Sprintf("- %s failed: %s", cell.ID, cell.Failure))
			row[0] += " (failed)"
		}
		if cell.Uncounted != "" && cell.Failure == "" {
			failures = append(failures, fmt.Sprintf("- the requests of %s could not be counted: %s", cell.ID, cell.Uncounted))
		}
		row = append(row, times(cell)...)
		for _, rival := range rivals {
			row = append(row, ratio(cell, rival.wall))
		}
		row = append(row, costs(cell)...)
		rows = append(rows, append(row, requestsOf(cell)...))
	}
	if _, err := fmt.Fprintf(w, "### %s\n\n%s\n\n%s\n", r.Scenario.Name, describe(r), table(rows)); err != nil {
		return err
	}
	if len(failures) > 0 {
		if _, err := fmt.Fprintln(w, strings.Join(failures, "\n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func describe(r run.Result) string {
	s := r.Scenario
	text := fmt.Sprintf("%s, %s, %d MB", s.Route, shape(s.Image), r.Bytes/1e6)
	if s.RTT > 0 {
		text += fmt.Sprintf(", %v round trip", s.RTT)
	}
	if s.BytesPerSecond > 0 {
		text += fmt.Sprintf(", %d MB/s for each connection to the source", s.BytesPerSecond/1e6)
	}
	if s.Platform != "" {
		text += ", only " + s.Platform
	}
	if s.Complete {
		text += ", the destination is complete"
	}
	text += "."
	if s.Image.Tags > 0 {
		text += " A tool without a command for all tags runs once for each."
	}
	return text
}

func shape(s images.Spec) string {
	text := fmt.Sprintf("%d platform(s) × %d layer(s)", max(1, s.Platforms), s.Layers)
	if s.Tags > 0 {
		text = fmt.Sprintf("%d tags × %s", s.Tags, text)
	}
	return text
}

// rival is what others are compared with: the fastest tool of a kind.
type rival struct {
	name string
	wall time.Duration
}

// rivalsOf returns those of a result that have been measured. One that is the same tool as
// an earlier one is left in: the columns stay the same then.
func rivalsOf(r run.Result) []rival {
	var rivals []rival
	add := func(what string, wanted func(tools.Tool) bool) {
		if cell := Best(r, wanted); cell != nil {
			rivals = append(rivals, rival{name: fmt.Sprintf("%s (%s)", what, cell.ID), wall: Wall(cell)})
		}
	}
	add("best peer", AsItComes)
	add("best that hashes", Hashing(r.Scenario.Route))
	if cell := Best(r, Named("oras")); cell != nil {
		rivals = append(rivals, rival{name: "oras", wall: Wall(cell)})
	}
	add("best at 16", AtSixteen)
	return rivals
}

// AsItComes are the peers that were not tuned.
func AsItComes(t tools.Tool) bool { return t.Kind == tools.Peer }

// Hashing are those of them that check themselves what they copy on a route.
func Hashing(route tools.Route) func(tools.Tool) bool {
	return func(t tools.Tool) bool { return t.Kind == tools.Peer && !slices.Contains(t.Trusts, route) }
}

// AtSixteen are the peers that do more at once.
func AtSixteen(t tools.Tool) bool { return t.Kind == tools.Tuned }

// Named is the tool with an ID.
func Named(id string) func(tools.Tool) bool {
	return func(t tools.Tool) bool { return t.ID == id }
}

// Best returns the cell with the least median wall time of the tools that are wanted, nil
// if none of them has been measured. Those that have failed do not count.
func Best(r run.Result, wanted func(tools.Tool) bool) *run.Cell {
	var best *run.Cell
	for _, cell := range r.Cells {
		if !wanted(cell.Tool) || untold(cell) {
			continue
		}
		if best == nil || Wall(cell) < Wall(best) {
			best = cell
		}
	}
	return best
}

// Wall returns the median of the wall time, 0 without samples.
func Wall(c *run.Cell) time.Duration {
	return median(c, func(s run.Sample) time.Duration { return s.Wall })
}

// Peak returns the highest peak of the memory in all samples, in MB of 10^6 bytes.
func Peak(c *run.Cell) float64 {
	var peak int64
	for _, s := range c.Samples {
		peak = max(peak, s.MaxRSS)
	}
	return float64(peak) / 1e6
}

func median(c *run.Cell, of func(run.Sample) time.Duration) time.Duration {
	if len(c.Samples) == 0 {
		return 0
	}
	values := make([]time.Duration, 0, len(c.Samples))
	for _, s := range c.Samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// untold says that there is nothing to tell of a tool, or nothing that means anything.
func untold(c *run.Cell) bool { return len(c.Samples) == 0 || c.Failure != "" }

func times(c *run.Cell) []string {
	if untold(c) {
		return []string{none, none, none}
	}
	low, high := c.Samples[0].Wall, c.Samples[0].Wall
	for _, s := range c.Samples {
		low, high = min(low, s.Wall), max(high, s.Wall)
	}
	ran := median(c, func(s run.Sample) time.Duration { return s.Ran })
	return []string{seconds(Wall(c)), seconds(low) + " … " + seconds(high), seconds(ran)}
}

func costs(c *run.Cell) []string {
	if untold(c) {
		return []string{none, none, none}
	}
	return []string{
		seconds(median(c, func(s run.Sample) time.Duration { return s.CPU })),
		fmt.Sprintf("%.2f", median(c, func(s run.Sample) time.Duration { return s.Servers }).Seconds()),
		fmt.Sprintf("%.1f", Peak(c)),
	}
}

func requestsOf(c *run.Cell) []string {
	if c.Requests == nil {
		return []string{none, none}
	}
	cells := []string{none, none}
	if c.Requests.Source != nil {
		cells[0] = c.Requests.Source.String()
	}
	if c.Requests.Destination != nil {
		cells[1] = c.Requests.Destination.String()
	}
	return cells
}

func ratio(c *run.Cell, wall time.Duration) string {
	if untold(c) {
		return none
	}
	return fmt.Sprintf("%.2f", float64(Wall(c))/float64(wall))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// table writes rows of Markdown; the second one has the separators.
func table(rows [][]string) string {
	var b strings.Builder
	for _, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return b.String()
}

func separators(n int) []string { return slices.Repeat([]string{"---"}, n) }
