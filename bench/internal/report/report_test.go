package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dhowhq/dhow/bench/internal/measure"
	"github.com/dhowhq/dhow/bench/internal/requests"
	"github.com/dhowhq/dhow/bench/internal/run"
	"github.com/dhowhq/dhow/bench/internal/scenario"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestReport(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	results := results(t)
	for _, result := range results {
		if err := Scenario(&out, result); err != nil {
			t.Fatal(err)
		}
	}
	if err := Targets(&out, results); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.md")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("the report (-want +got):\n%s", diff)
	}
}

func TestTargetsOfNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Targets(&out, nil); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("there are targets without results: %s", out.String())
	}
}

func TestTargetsAreOfScenarios(t *testing.T) {
	t.Parallel()
	participants := map[string][]string{}
	for _, s := range scenario.All() {
		participants[s.Name] = s.Tools
	}
	for _, target := range targets() {
		found := false
		for _, id := range participants[target.scenario] {
			found = found || id == target.tool
		}
		if !found {
			t.Errorf("%s does not take part in %s", target.tool, target.scenario)
		}
	}
}

// results are of two scenarios: one with all that a table can have, and one with little.
func results(t *testing.T) []run.Result {
	t.Helper()
	byName := map[string]scenario.Scenario{}
	for _, s := range scenario.All() {
		byName[s.Name] = s
	}
	own := tools.Dhow("dhow", "/dhow")
	byID := map[string]tools.Tool{"dhow": own, "dhow-bare": own, "dhow-dest": own}
	for _, tool := range tools.Peers() {
		byID[tool.ID] = tool
	}
	cell := func(id string, walls ...int) *run.Cell {
		c := &run.Cell{Tool: byID[id], ID: id}
		c.Tool.ID = id
		for i, wall := range walls {
			c.Samples = append(c.Samples, run.Sample{
				Cost: measure.Cost{
					Wall: time.Duration(wall) * time.Millisecond, Ran: time.Duration(wall-50) * time.Millisecond,
					CPU: 50 * time.Millisecond, MaxRSS: int64(20+i) * 1e6,
				},
				Servers: 100 * time.Millisecond,
			})
		}
		return c
	}
	counted := func(c *run.Cell, source, destination int) *run.Cell {
		c.Requests = &run.Requests{}
		if source > 0 {
			c.Requests.Source = &requests.Count{Total: source, ByMethod: map[string]int{"GET": source}, Ranged: source - 34}
		}
		if destination > 0 {
			c.Requests.Destination = &requests.Count{Total: destination, ByMethod: map[string]int{"PUT": destination}}
		}
		return c
	}
	failed := cell("skopeo", 100)
	failed.Failure = "skopeo ended with code 1"
	uncounted := cell("oras-16", 300, 310)
	uncounted.Uncounted = "a reason"
	return []run.Result{
		{Scenario: byName["busybox"], Bytes: 12e6, Cells: []*run.Cell{
			counted(cell("dhow", 300, 200, 250), 55, 57),
			counted(cell("dhow-bare", 200), 34, 59),
			counted(cell("crane", 260, 220), 35, 113),
			cell("regctl"),
			counted(cell("oras", 230), 34, 102),
			failed, uncounted,
		}},
		{Scenario: byName["push-medium"], Bytes: 550e6, Cells: []*run.Cell{
			counted(cell("dhow-dest", 1000), 0, 38),
			counted(cell("crane", 800), 0, 75),
			counted(cell("regctl", 900), 0, 75),
			counted(cell("oras", 900), 0, 63),
		}},
	}
}
