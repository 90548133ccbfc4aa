package main

import (
	"context"
	"io"
	"log/slog"
	"regexp"
)

// newLog returns the program's logger, and has the lines of the standard library's
// global one go there too.
func newLog(to io.Writer, level slog.Level) *slog.Logger {
	h := slog.NewTextHandler(to, &slog.HandlerOptions{Level: level})
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(slog.New(stray{h}))
	return slog.New(h)
}

// stray is for lines that were logged past the program's logger. That is net/http
// telling of bytes on a connection that nobody asked for: what servers say may repeat
// a secret, so everything in quotes is blanked.
type stray struct{ slog.Handler }

// Handle implements slog.Handler.
func (s stray) Handle(ctx context.Context, r slog.Record) error {
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)
	blanked := slog.NewRecord(r.Time, r.Level, quoted.ReplaceAllString(r.Message, `"REDACTED"`), r.PC)
	return s.Handler.Handle(ctx, blanked)
}
