package report

import (
	"fmt"
	"io"

	"github.com/dhowhq/dhow/bench/internal/run"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

// target is a promise: a tool is at most so many times as slow as the fastest of the others.
type target struct {
	scenario, tool string
	atMost         float64
	rivals         func(tools.Tool) bool
	what           string
}

func targets() []target {
	const best, hashing, oras, sixteen = "best peer", "best peer that hashes", "oras", "best peer at 16"
	all := []target{
		{"busybox", "dhow", 1.0, AsItComes, best},
		{"busybox", "dhow", 1.0, AtSixteen, sixteen},
		{"busybox-40ms", "dhow", 0.40, AsItComes, best},
		{"busybox-40ms", "dhow", 0.75, AtSixteen, sixteen},
		{"medium", "dhow", 1.05, Hashing(tools.Registries), hashing},
		{"medium-40ms", "dhow", 1.05, Hashing(tools.Registries), hashing},
		{"large", "dhow", 1.05, Hashing(tools.Registries), hashing},
	}
	for _, name := range []string{"medium", "large", "push-busybox", "push-medium", "push-large"} {
		all = append(all, target{name, "dhow-dest", 1.05, Named(oras), oras})
	}
	for _, name := range []string{"pull-busybox", "pull-medium", "pull-large"} {
		all = append(all, target{name, "dhow", 1.0, AsItComes, best})
	}
	all = append(all, target{"pull-large", "dhow-store", 1.15, Named("dhow"), "dhow into a layout"})
	return append(all,
		target{"blob-layout", "dhow", 0.25, AsItComes, best},
		target{"blob-registry", "dhow", 0.25, AsItComes, best},
	)
}

const (
	peakMB       = 32 // in every run
	peakRangesMB = 48 // where parts of blobs are asked for
)

// Targets writes what was promised beside what was measured, as far as it was.
func Targets(w io.Writer, results []run.Result) error {
	rows := [][]string{{"target", "at most", "measured", "met"}, separators(4)}
	for _, t := range targets() {
		rows = append(rows, t.rows(results)...)
	}
	for _, result := range results {
		for _, cell := range result.Cells {
			if cell.Tool.Kind == tools.Own && cell.Failure == "" {
				rows = append(rows, peak(result, cell)...)
				rows = append(rows, asked(result, cell)...)
			}
		}
	}
	if len(rows) == 2 {
		return nil
	}
	_, err := fmt.Fprintf(w, "### Targets\n\n%s\n", table(rows))
	return err
}

func (t target) rows(results []run.Result) [][]string {
	for _, result := range results {
		if result.Scenario.Name != t.scenario {
			continue
		}
		rival := Best(result, t.rivals)
		own := Best(result, Named(t.tool))
		if rival == nil || own == nil {
			continue
		}
		measured := float64(Wall(own)) / float64(Wall(rival))
		what := fmt.Sprintf("%s: wall time of %s ÷ %s", t.scenario, t.tool, t.what)
		if t.what != rival.ID {
			what += " (" + rival.ID + ")"
		}
		return [][]string{{what, fmt.Sprintf("%.2f", t.atMost), fmt.Sprintf("%.2f", measured), met(measured, t.atMost)}}
	}
	return nil
}

// peak is about memory.
func peak(result run.Result, cell *run.Cell) [][]string {
	if len(cell.Samples) == 0 {
		return nil
	}
	limit, what := float64(peakMB), ""
	if cell.Requests != nil && cell.Requests.Source != nil && cell.Requests.Source.Ranged > 0 {
		limit, what = peakRangesMB, ", with ranges"
	}
	return [][]string{{
		fmt.Sprintf("%s: peak memory of %s in MB%s", result.Scenario.Name, cell.ID, what),
		fmt.Sprintf("%.0f", limit), fmt.Sprintf("%.1f", Peak(cell)), met(Peak(cell), limit),
	}}
}

// asked is about the number of requests, without referrers and digest tags.
func asked(result run.Result, cell *run.Cell) [][]string {
	limits := map[string][2]int{"busybox": {34, 58}, "nothing": {1, 1}}
	limit, ok := limits[result.Scenario.Name]
	if !ok || cell.ID != "dhow-bare" || cell.Requests == nil {
		return nil
	}
	var rows [][]string
	add := func(side string, limit, measured int) {
		what := fmt.Sprintf("%s: requests of %s at the %s", result.Scenario.Name, cell.ID, side)
		rows = append(rows, []string{what, fmt.Sprint(limit), fmt.Sprint(measured), met(measured, limit)})
	}
	add("source", limit[0], cell.Requests.Source.Total)
	add("destination", limit[1], cell.Requests.Destination.Total)
	return rows
}

func met[N int | float64](measured, atMost N) string {
	if measured <= atMost {
		return "yes"
	}
	return "**no**"
}
