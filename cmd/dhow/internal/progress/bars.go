package progress

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/dhowhq/dhow/cmd/dhow/internal/text"
	"github.com/dhowhq/dhow/copy"
)

const (
	// maxNodes is how many nodes have a bar at once, beside the overall one.
	maxNodes = 7
	// minSize is the size in bytes of the smallest node that gets a bar.
	minSize = 1 << 20
	// maxPlatform is how many characters of a platform are shown.
	maxPlatform = 20
	// belowAll is the priority of the overall bar.
	belowAll = 1 << 30
	// refresh is how often the bars are drawn.
	refresh = 100 * time.Millisecond
)

// bars draws one bar for the whole copy and, above it, one for each big node that
// is on its way.
type bars struct {
	out     *Output
	screen  *mpb.Progress
	errs    bytes.Buffer // what the screen could not write; read after its end
	overall *mpb.Bar
	nodes   map[digest.Digest]*mpb.Bar
	// finished and count are read while drawing.
	finished, count atomic.Int64
}

func newBars(out *Output) *bars {
	b := &bars{out: out, nodes: map[digest.Digest]*mpb.Bar{}}
	b.screen = mpb.New(
		mpb.WithOutput(out.under),
		mpb.WithDebugOutput(&b.errs),
		mpb.WithRefreshRate(refresh),
		mpb.WithAutoRefresh(), // bars that were asked for are drawn, terminal or not
	)
	out.lift(b.screen)
	return b
}

func (b *bars) Event(e copy.Event) {
	b.finished.Store(int64(e.Finished))
	b.count.Store(int64(e.Count))
	switch e.Kind {
	case copy.EventPlanned:
		b.overall = b.add(belowAll, decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf("%d/%d", b.finished.Load(), b.count.Load())
		}, decor.WCSyncSpaceR))
	case copy.EventStarted:
		b.node(e)
	case copy.EventAdvanced:
		if bar := b.node(e); bar != nil {
			bar.SetCurrent(e.Moved)
		}
	case copy.EventFinished:
		if bar := b.nodes[e.Digest]; bar != nil {
			bar.SetCurrent(e.Size)
			bar.Abort(true)
			delete(b.nodes, e.Digest)
		}
	case copy.EventGrown, copy.EventCommitted:
	}
	if b.overall == nil {
		return
	}
	b.overall.SetTotal(e.Total, false)
	b.overall.SetCurrent(e.Done)
	if e.Kind == copy.EventCommitted {
		b.overall.SetTotal(-1, true) // complete at what it is
	}
}

// node returns the bar of a node, which is made if the node is worth one and
// there is room, or nil.
func (b *bars) node(e copy.Event) *mpb.Bar {
	bar := b.nodes[e.Digest]
	if bar != nil || e.Size < minSize || len(b.nodes) >= maxNodes {
		return bar
	}
	platform := []rune(text.Escape(e.Platform))
	name := fmt.Sprintf("%s %s %s", e.Role, text.Short(e.Digest), string(platform[:min(len(platform), maxPlatform)]))
	bar = b.add(0, decor.Name(name, decor.WCSyncSpaceR))
	bar.SetTotal(e.Size, false)
	b.nodes[e.Digest] = bar
	return bar
}

// add puts a bar on the screen. It has no end of its own: a node of which all
// bytes were read is not finished before they are verified and written.
func (b *bars) add(priority int, name decor.Decorator) *mpb.Bar {
	return b.screen.AddBar(0,
		mpb.BarPriority(priority),
		mpb.PrependDecorators(name),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			return text.Size(s.Current) + " / " + text.Size(s.Total)
		}, decor.WCSyncSpace)),
	)
}

// Close leaves the overall bar on the screen as it is and takes the others off.
func (b *bars) Close() error {
	b.out.lift(nil)
	for _, bar := range b.nodes {
		bar.Abort(true)
	}
	if b.overall != nil {
		b.overall.Abort(false)
	}
	b.screen.Wait()
	if b.errs.Len() > 0 {
		return fmt.Errorf("drawing progress: %w", errors.New(b.errs.String()))
	}
	return nil
}
