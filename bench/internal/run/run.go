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
	result := Result{Scenario: s, Bytes: image.Bytes()}
	for _, tool := range participants {
		result.Cells = append(result.Cells, &Cell{Tool: tool, ID: tool.ID, Samples: []Sample{}})
	}
	if s.Complete {
		if err := b.complete(ctx, image); err != nil {
			return result, err
		}
	}
	if b.config.Requests {
		if err := b.count(ctx, s, image, result.Cells); err != nil {
			return result, err
		}
	}
	return result, b.rounds(ctx, s, image, result.Cells)
}

func (b *Bench) count(ctx context.Context, s scenario.Scenario, image *images.Image, cells []*Cell) error {
	for _, cell := range cells {
		source, err := requests.Start(b.source.Addr())
		if err != nil {
			return err
		}
		destination, err := requests.Start(b.destination.Addr())
		if err != nil {
			return errors.Join(err, source.Close())
		}
		j := job{scenario: s, image: image, source: source.Addr(), destination: destination.Addr(), hash: images.HashBlobs}
		sample, err := b.once(ctx, j, cell.Tool)
		if err == nil {
			cell.Requests = &Requests{}
			if s.Route != scenario.FromLayout {
				count := source.Count()
				cell.Requests.Source = &count
			}
			if s.Route == scenario.Registries || s.Route == scenario.FromLayout {
				count := destination.Count()
				cell.Requests.Destination = &count
			}
		}
		b.tell(s, "requests", cell, sample, err)
		if err := errors.Join(b.failed(ctx, cell, err), source.Close(), destination.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) rounds(ctx context.Context, s scenario.Scenario, image *images.Image, cells []*Cell) (err error) {
	network, err := b.network(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.close()) }()
	j := job{scenario: s, image: image, source: network.source, destination: network.destination, hash: images.SizesOnly}
	for round := range b.config.Rounds {
		for i := range cells {
			cell := cells[(i+round)%len(cells)]
			if cell.Failure != "" {
				continue
			}
			sample, err := b.once(ctx, j, cell.Tool)
			b.tell(s, fmt.Sprintf("round %d of %d", round+1, b.config.Rounds), cell, sample, err)
			if err := b.failed(ctx, cell, err); err != nil {
				return err
			}
			if err == nil {
				cell.Samples = append(cell.Samples, sample)
			}
		}
	}
	return nil
}

// failed notes a failure of the tool, and returns what is one of the benchmark.
func (b *Bench) failed(ctx context.Context, cell *Cell, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if tool := (*toolError)(nil); errors.As(err, &tool) {
		cell.Failure = tool.Error()
		return nil
	}
	return err
}

func (b *Bench) tell(s scenario.Scenario, what string, cell *Cell, sample Sample, err error) {
	if err != nil {
		b.config.Say("%s, %s, %s: %v", s.Name, what, cell.ID, err)
		return
	}
	if cell.Requests != nil && len(cell.Samples) == 0 && what == "requests" {
		b.config.Say("%s, %s, %s: source %v, destination %v", s.Name, what, cell.ID, cell.Requests.Source, cell.Requests.Destination)
		return
	}
	b.config.Say("%s, %s, %s: %.3f s, CPU %.3f s", s.Name, what, cell.ID, sample.Wall.Seconds(), sample.CPU.Seconds())
}
