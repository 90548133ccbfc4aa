// Package proxy is the network that a benchmark pretends: a TCP proxy before a server, with
// a round trip that every byte takes half of, and a bandwidth for each connection.
//
// What it models: a byte that is sent arrives half a round trip later, however many are on
// the way, so that a stream keeps its bandwidth; and a connection costs a round trip before
// the first byte is sent. What it does not model: loss, slow start, a bandwidth that
// connections share, and the round trip of a connection's end.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options say what the network is like. The zero value is that of the machine itself.
type Options struct {
	// RTT is the time from a request to the first byte of an answer that needs no time.
	RTT time.Duration
	// BytesPerSecond limits each direction of each connection; 0 is no limit.
	BytesPerSecond int64
}

// Proxy is a proxy that runs. Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string
	options  Options
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// Start listens on a free port of the loopback interface and passes what comes on to
// target, a host and port, until Close is called or ctx ends.
func Start(ctx context.Context, target string, options Options) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the proxy before %s: %w", target, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &Proxy{listener: listener, target: target, options: options, cancel: cancel}
	context.AfterFunc(ctx, func() { _ = listener.Close() }) // ends accept; it is closed already where Close has called this
	p.wg.Go(func() { p.accept(ctx) })
	return p, nil
}

// Addr returns the host and port where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends all connections and returns when nothing of the proxy runs any more.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.cancel()
	p.wg.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing the proxy before %s: %w", p.target, err)
	}
	return nil
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		switch {
		case err == nil:
			p.wg.Go(func() { p.serve(ctx, client) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // no file descriptors left, or a connection that was gone already
			time.Sleep(time.Millisecond)
		}
	}
}

// serve ends when both directions have, or ctx. A server that cannot be reached looks to
// the client like one that hangs up.
func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	established := time.Now().Add(p.options.RTT)
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	join(ctx, client, server, established, p.options)
}

// join passes on bytes in both directions until both have ended, one is broken, or ctx
// ends; then both connections are closed. The client's bytes count as sent at established
// if they were there earlier.
func join(ctx context.Context, client, server net.Conn, established time.Time, options Options) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close() // what is left to read or write fails, that is the purpose
		_ = server.Close()
	})
	defer stop()
	var wg sync.WaitGroup
	direction := func(from, to net.Conn, earliest time.Time) {
		pipe := pipe{delay: options.RTT / 2, earliest: earliest, limit: newLimiter(options.BytesPerSecond)}
		if err := pipe.run(ctx, from, to); err != nil {
			cancel()
		}
	}
	wg.Go(func() { direction(client, server, established) })
	wg.Go(func() { direction(server, client, time.Time{}) })
	wg.Wait()
}
