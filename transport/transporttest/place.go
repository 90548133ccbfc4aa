package transporttest

import (
	"context"

	"github.com/dhowhq/dhow/transport"
)

// Sources returns what opens sources for a Place by the details of their references: with Parse
// and OpenSource of a transport's package, and with its options.
func Sources[R, O any, S transport.Source](
	parse func(details string) (R, error), open func(context.Context, R, O) (S, error), opts O,
) func(details string) func(context.Context) (transport.Source, error) {
	return opens(parse, open, opts, func(s S) transport.Source { return s })
}

// Destinations is Sources for destinations.
func Destinations[R, O any, D transport.Destination](
	parse func(details string) (R, error), open func(context.Context, R, O) (D, error), opts O,
) func(details string) func(context.Context) (transport.Destination, error) {
	return opens(parse, open, opts, func(d D) transport.Destination { return d })
}

func opens[R, O, T, I any](
	parse func(string) (R, error), open func(context.Context, R, O) (T, error), opts O, as func(T) I,
) func(details string) func(context.Context) (I, error) {
	return func(details string) func(context.Context) (I, error) {
		return func(ctx context.Context) (none I, err error) {
			ref, err := parse(details)
			if err != nil {
				return none, err
			}
			t, err := open(ctx, ref, opts)
			if err != nil {
				return none, err // not a nil T in the interface
			}
			return as(t), nil
		}
	}
}
