// Package run measures tools in scenarios: on two registries, through the network that a
// scenario asks for, in turns, each run from the same start.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dhowhq/dhow/bench/internal/images"
	"github.com/dhowhq/dhow/bench/internal/measure"
	"github.com/dhowhq/dhow/bench/internal/registryproc"
	"github.com/dhowhq/dhow/bench/internal/requests"
	"github.com/dhowhq/dhow/bench/internal/scenario"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

// Config is what a benchmark needs to know.
type Config struct {
	// Binaries is the folder with what tools.Build has built, Work one for everything else:
	// images and the source's storage are kept there for the next time.
	Binaries, Work string
	// Rounds is how often each tool runs in each scenario; with 0 only requests are counted.
	Rounds int
	// Timeout ends a run of a tool, which then has failed.
	Timeout time.Duration
	// Requests says whether there is one more run of each tool, which counts them.
	Requests bool
	// Say is told what is being done, a line at a time.
	Say func(format string, args ...any)
}

// Sample is one timed run.
type Sample struct {
	measure.Cost
	// Servers is the processor time of the registries meanwhile, in steps of 10 ms.
	Servers time.Duration `json:"servers"`
}

// Requests is what a copy asked the registries; that of a registry which takes no part is nil.
type Requests struct {
	Source      *requests.Count `json:"source,omitempty"`
	Destination *requests.Count `json:"destination,omitempty"`
}

// Cell is one tool in one scenario.
type Cell struct {
	Tool     tools.Tool `json:"-"`
	ID       string     `json:"tool"`
	Samples  []Sample   `json:"samples"`
	Requests *Requests  `json:"requests,omitempty"`
	// Uncounted is why the requests are not known; empty if they are, or were not asked for.
	Uncounted string `json:"uncounted,omitempty"`
	// Failure is why the tool failed, after which it was not run again; else empty.
	Failure string `json:"failure,omitempty"`
}

// Result is a scenario with its cells, in the order of the tools.
type Result struct {
	Scenario scenario.Scenario `json:"scenario"`
	Bytes    int64             `json:"bytes"` // the size of the image
	Cells    []*Cell           `json:"cells"`
}

// Bench is two registries that run. It is for one goroutine.
type Bench struct {
	config              Config
	source, destination *registryproc.Registry
	copies              int // for names that were not used before
}

// Open starts the registries. They end with Close, and also when ctx ends.
func Open(ctx context.Context, config Config) (*Bench, error) {
	b := &Bench{config: config}
	registry := filepath.Join(config.Binaries, "registry")
	var err error
	if b.source, err = registryproc.Start(ctx, registry, filepath.Join(config.Work, "source")); err != nil {
		return nil, fmt.Errorf("the source: %w", err)
	}
	if b.destination, err = registryproc.Start(ctx, registry, filepath.Join(config.Work, "destination")); err != nil {
		return nil, errors.Join(fmt.Errorf("the destination: %w", err), b.source.Stop())
	}
	return b, nil
}

// Close stops the registries and removes what the tools have made.
func (b *Bench) Close() error {
	return errors.Join(
		b.source.Stop(),
		b.destination.Stop(),
		os.RemoveAll(b.destination.Storage()),
		os.RemoveAll(b.mounted()),
		os.RemoveAll(b.layout()),
		os.RemoveAll(b.state()),
	)
}

// Run runs a scenario: first, if they are asked for, one run of each tool to count the
// requests, and then the rounds, in each of which another tool is the first one. A tool that
// fails has that in its cell. An error is one of the benchmark itself, or the end of ctx.
func (b *Bench) Run(ctx context.Context, s scenario.Scenario, participants []tools.Tool) (Result, error) {
	image, err := b.image(ctx, s.Image)
	if err != nil {
		return Result{}, err
	}
	j := job{scenario: s, image: image, expected: image}
	if s.Platform != "" {
		if j.expected, err = image.Instance(s.Platform); err != nil {
			return Result{}, err
		}
	}
	result := Result{Scenario: s, Bytes: j.expected.Bytes()}
	for _, tool := range participants {
		result.Cells = append(result.Cells, &Cell{Tool: tool, ID: tool.ID, Samples: []Sample{}})
	}
	if s.Complete {
		if err := b.complete(ctx, image); err != nil {
			return result, err
		}
	}
	if b.config.Requests {
		for _, cell := range result.Cells {
			if err := b.count(ctx, j, cell); err != nil {
				return result, err
			}
		}
	}
	return result, b.rounds(ctx, j, result.Cells)
}

// count runs a tool once for its requests. A tool that fails here may still be timed: there
// is more between it and the registries now than there will be then.
func (b *Bench) count(ctx context.Context, j job, cell *Cell) (err error) {
	source, err := requests.Start(ctx, b.source.Addr())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	destination, err := requests.Start(ctx, b.destination.Addr())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, destination.Close()) }()
	s := j.scenario
	j.source, j.destination, j.hash = source.Addr(), destination.Addr(), images.HashBlobs
	_, err = b.once(ctx, j, cell.Tool)
	fromSource, sourceErr := source.Count()
	fromDestination, destinationErr := destination.Count()
	if all := errors.Join(err, sourceErr, destinationErr); all != nil {
		b.config.Say("%s, requests, %s: %v", s.Name, cell.ID, all)
		cell.Uncounted = all.Error()
		if err != nil {
			_, err = b.failure(ctx, err)
		}
		return err
	}
	cell.Requests = &Requests{}
	text := "source –"
	if s.Route != tools.FromLayout {
		cell.Requests.Source = &fromSource
		text = "source " + fromSource.String()
	}
	if s.Route == tools.Registries || s.Route == tools.FromLayout {
		cell.Requests.Destination = &fromDestination
		text += ", destination " + fromDestination.String()
	}
	b.config.Say("%s, requests, %s: %s", s.Name, cell.ID, text)
	return nil
}

// rounds runs all tools in turns.
func (b *Bench) rounds(ctx context.Context, j job, cells []*Cell) (err error) {
	s := j.scenario
	network, err := b.network(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.close()) }()
	j.source, j.destination, j.hash = network.source, network.destination, images.SizesOnly
	for round := range b.config.Rounds {
		for i := range cells {
			cell := cells[(i+round)%len(cells)]
			if cell.Failure != "" {
				continue
			}
			what := fmt.Sprintf("%s, round %d of %d, %s", s.Name, round+1, b.config.Rounds, cell.ID)
			sample, err := b.once(ctx, j, cell.Tool)
			if err != nil {
				b.config.Say("%s: %v", what, err)
				if cell.Failure, err = b.failure(ctx, err); err != nil {
					return err
				}
				continue
			}
			b.config.Say("%s: %.3f s, CPU %.3f s, %.1f MB", what, sample.Wall.Seconds(), sample.CPU.Seconds(), float64(sample.MaxRSS)/1e6)
			cell.Samples = append(cell.Samples, sample)
		}
	}
	return nil
}

// failure tells a fault of a tool from one of the benchmark, which is returned as an error,
// as is the end of ctx.
func (b *Bench) failure(ctx context.Context, err error) (string, error) {
	var failed *measure.CommandError
	var damaged *damageError
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &failed), errors.As(err, &damaged):
		return err.Error(), nil
	}
	return "", err
}
