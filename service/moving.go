package service

import (
	"context"
	"io"

	"github.com/dhowhq/dhow/store"
)

// emitMoved tells that an image was pulled or pushed under a name.
func (s *Service) emitMoved(action Action, name string) {
	familiar := Familiar(store.Record{Name: name})
	s.emit(Event{Action: action, ID: familiar, Name: familiar})
}

// closing closes a place when what was to be done with it is done, or has failed: then
// that it does not close well is worth a warning, and nothing else.
func (s *Service) closing(ctx context.Context, place io.Closer) {
	if err := place.Close(); err != nil {
		s.opts.Logger.WarnContext(ctx, "a place did not close well", "error", err)
	}
}
