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
	"github.com/dhowhq/dhow/bench/internal/proxy"
	"github.com/dhowhq/dhow/bench/internal/scenario"
	"github.com/dhowhq/dhow/bench/internal/tools"
)

// job is a copy, the same for all tools.
type job struct {
	scenario            scenario.Scenario
	image, expected     *images.Image // what is there, and what of it has to arrive
	source, destination string        // the hosts, as the tools see them
	hash                images.Hash
}

// damageError is a copy that is not what was to be copied.
type damageError struct{ err error }

func (d *damageError) Error() string { return "what arrived is not what was sent: " + d.err.Error() }
func (d *damageError) Unwrap() error { return d.err }

// once empties the destination, runs a tool, and looks whether everything has arrived.
func (b *Bench) once(ctx context.Context, j job, tool tools.Tool) (Sample, error) {
	from, to, err := b.places(ctx, j)
	if err != nil {
		return Sample{}, err
	}
	what := tools.Copy{From: from, To: to, Platform: j.scenario.Platform, Tags: j.image.Names()}
	run, err := tool.Prepare(b.config.Binaries, b.state(), what)
	if err != nil {
		return Sample{}, err
	}
	before, err := b.serversCPU()
	if err != nil {
		return Sample{}, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, b.config.Timeout, fmt.Errorf("it took more than %v", b.config.Timeout))
	defer cancel()
	cost, err := measure.Run(limited, b.launcher(), b.command(run))
	if err != nil {
		return Sample{}, err
	}
	after, err := b.serversCPU()
	if err != nil {
		return Sample{}, err
	}
	if err := b.export(ctx, tool, what); err != nil {
		return Sample{}, err
	}
	if to.Host == "" {
		err = j.expected.CheckLayout(to.Layout, j.hash)
	} else {
		err = j.expected.CheckRegistry(ctx, b.direct(j), to.Repository)
	}
	if err != nil {
		return Sample{}, &damageError{err}
	}
	return Sample{Cost: cost, Servers: after - before}, nil
}

// export brings an image that went to a local store into the layout, to be looked at.
func (b *Bench) export(ctx context.Context, tool tools.Tool, what tools.Copy) error {
	run, stored, err := tool.PrepareExport(b.config.Binaries, b.state(), what)
	if err != nil || !stored {
		return err
	}
	_, err = measure.Run(ctx, b.launcher(), b.command(run))
	return err
}

// places returns where a copy goes from and to, with nothing there but what should be.
func (b *Bench) places(ctx context.Context, j job) (from, to tools.Place, err error) {
	repository := repositoryOf(j.image)
	from = tools.Place{Host: j.source, Repository: repository, Tag: images.Tag}
	to = tools.Place{Host: j.destination, Repository: repository, Tag: images.Tag}
	switch j.scenario.Route {
	case tools.ToLayout:
		to = tools.Place{Layout: b.layout(), Tag: images.Tag}
		return from, to, errors.Join(os.RemoveAll(b.layout()), os.RemoveAll(b.layout()+tools.StoreSuffix))
	case tools.SameRegistry:
		b.copies++
		to.Host, to.Repository = j.source, fmt.Sprintf("%s/%d", mountedRepositories, b.copies)
		return from, to, nil
	case tools.FromLayout:
		from = tools.Place{Layout: j.image.Layout, Tag: images.Tag}
	case tools.Registries:
	}
	if j.scenario.Complete {
		return from, to, nil
	}
	return from, to, b.destination.Reset(ctx)
}

// direct is the host of the registry where a copy has gone, without what is before it.
func (b *Bench) direct(j job) string {
	if j.scenario.Route == tools.SameRegistry {
		return b.source.Addr()
	}
	return b.destination.Addr()
}

func (b *Bench) serversCPU() (time.Duration, error) {
	source, err := b.source.CPU()
	if err != nil {
		return 0, err
	}
	destination, err := b.destination.CPU()
	return source + destination, err
}

// image returns an image that is in its layout and at the source.
func (b *Bench) image(ctx context.Context, spec images.Spec) (*images.Image, error) {
	image, err := images.Make(ctx, filepath.Join(b.config.Work, "images"), spec)
	if err != nil {
		return nil, err
	}
	if image.CheckRegistry(ctx, b.source.Addr(), repositoryOf(image)) == nil {
		return image, nil
	}
	b.config.Say("pushing %s to the source", spec.Name)
	return image, b.fill(ctx, image, b.source.Addr())
}

// complete brings the image to an empty destination.
func (b *Bench) complete(ctx context.Context, image *images.Image) error {
	if err := b.destination.Reset(ctx); err != nil {
		return err
	}
	return b.fill(ctx, image, b.destination.Addr())
}

// fill pushes an image with one of the peers, whichever tools are measured.
func (b *Bench) fill(ctx context.Context, image *images.Image, host string) error {
	repository := repositoryOf(image)
	run, err := tools.Oras().Prepare(b.config.Binaries, b.state(), tools.Copy{
		From: tools.Place{Layout: image.Layout, Tag: images.Tag},
		To:   tools.Place{Host: host, Repository: repository, Tag: images.Tag},
		Tags: image.Names(),
	})
	if err != nil {
		return err
	}
	if _, err := measure.Run(ctx, b.launcher(), b.command(run)); err != nil {
		return err
	}
	return image.CheckRegistry(ctx, host, repository)
}

func (b *Bench) launcher() string { return filepath.Join(b.config.Binaries, "measure") }

func (b *Bench) command(run tools.Run) measure.Command {
	return measure.Command{Argv: run.Argv, Env: run.Env, Dir: b.state(), SyncDir: b.config.Work}
}

const mountedRepositories = "mounted"

func repositoryOf(image *images.Image) string { return "bench/" + image.Spec.Name }

// layout is where tools write one, state where they have their home directory.
func (b *Bench) layout() string { return filepath.Join(b.config.Work, "layout") }
func (b *Bench) state() string  { return filepath.Join(b.config.Work, "state") }

// mounted is where the source stores the repositories that were copied from its own.
func (b *Bench) mounted() string {
	return filepath.Join(b.source.Storage(), "docker/registry/v2/repositories", mountedRepositories)
}

// network is what is between the tools and the registries in the timed runs.
type network struct {
	source, destination string
	proxies             []*proxy.Proxy
}

// network starts a proxy before each registry if the scenario wants one: without, a tool
// talks to the registry itself.
func (b *Bench) network(ctx context.Context, s scenario.Scenario) (*network, error) {
	n := &network{source: b.source.Addr(), destination: b.destination.Addr()}
	start := func(host *string, options proxy.Options) error {
		if options == (proxy.Options{}) {
			return nil
		}
		p, err := proxy.Start(ctx, *host, options)
		if err != nil {
			return err
		}
		n.proxies = append(n.proxies, p)
		*host = p.Addr()
		return nil
	}
	err := start(&n.source, proxy.Options{RTT: s.RTT, BytesPerSecond: s.BytesPerSecond})
	if err == nil {
		err = start(&n.destination, proxy.Options{RTT: s.RTT})
	}
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *network) close() error {
	var errs []error
	for _, p := range n.proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
