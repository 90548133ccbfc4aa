package progress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// plainPause is how long a Status of plain lines waits between two of them.
const plainPause = 10 * time.Second

// Status shows how far something has come that is no copy, in the words of whoever does
// it: as Bars in one line that is drawn anew, as Plain by a line from time to time, so
// that what is quick has none.
type Status struct {
	text  atomic.Pointer[string]
	close func() error
}

// NewStatus returns a Status of that mode, which writes to out: Bars, Plain or None.
func NewStatus(mode Mode, out *Output) *Status {
	s := &Status{}
	switch mode {
	case Bars:
		s.close = s.draw(out)
	case None:
		s.close = func() error { return nil }
	default:
		s.close = s.repeat(out, plainPause)
	}
	return s
}

// Set says how far it has come, in one line of harmless text.
func (s *Status) Set(text string) { s.text.Store(&text) }

// Close ends the showing, and takes the line that was drawn away. It returns the first
// error of writing.
func (s *Status) Close() error { return s.close() }

func (s *Status) shown() string {
	if text := s.text.Load(); text != nil {
		return *text
	}
	return ""
}

// draw begins to draw the line.
func (s *Status) draw(out *Output) (end func() error) {
	var errs bytes.Buffer
	screen := mpb.New(mpb.WithOutput(out.under), mpb.WithDebugOutput(&errs), mpb.WithRefreshRate(refresh), mpb.WithAutoRefresh())
	out.lift(screen)
	line := screen.MustAdd(0, mpb.NopStyle().Build(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return s.shown() })))
	return func() error {
		out.lift(nil)
		line.Abort(true)
		screen.Wait()
		if errs.Len() > 0 {
			return fmt.Errorf("drawing progress: %w", errors.New(errs.String()))
		}
		return nil
	}
}

// repeat begins to write a line after each pause.
func (s *Status) repeat(out io.Writer, pause time.Duration) (end func() error) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if text := s.shown(); text != "" && failed == nil {
				_, failed = fmt.Fprintln(out, text)
			}
		}
	})
	return func() error {
		close(stop)
		wg.Wait()
		if failed != nil {
			return fmt.Errorf("writing progress: %w", failed)
		}
		return nil
	}
}
