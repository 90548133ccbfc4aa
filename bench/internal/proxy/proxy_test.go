package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// world is a client and a server with a network between them, on a clock that only moves
// while all wait.
type world struct {
	client, server net.Conn
	done           chan struct{}
}

func newWorld(t *testing.T, options Options) *world {
	t.Helper()
	client, nearClient := net.Pipe()
	nearServer, server := net.Pipe()
	w := &world{client: client, server: server, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(w.done)
		join(ctx, nearClient, nearServer, time.Now().Add(options.RTT), options)
	}()
	t.Cleanup(func() {
		cancel()
		_ = client.Close()
		_ = server.Close()
		<-w.done
	})
	return w
}

func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{RTT: 40 * time.Millisecond})
		go func() { // answers each byte at once
			buf := make([]byte, 1)
			for {
				if _, err := io.ReadFull(w.server, buf); err != nil {
					return
				}
				if _, err := w.server.Write(buf); err != nil {
					return
				}
			}
		}()
		for i, want := range []time.Duration{80 * time.Millisecond, 40 * time.Millisecond, 40 * time.Millisecond} { // the first one waits for the connection
			start := time.Now()
			if _, err := w.client.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(w.client, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("round trip %d took %v, want %v", i, took, want)
			}
		}
	})
}

func TestDelayKeepsBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{RTT: 40 * time.Millisecond})
		sent := random(20 << 20)
		start := time.Now()
		go func() {
			if _, err := w.server.Write(sent); err != nil {
				t.Error(err)
			}
			_ = w.server.Close()
		}()
		received, err := io.ReadAll(w.client)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sent, received) {
			t.Error("other bytes arrived than were sent")
		}
		// On this clock a copy takes no time, so that only the delay is left, once.
		if took := time.Since(start); took != 20*time.Millisecond {
			t.Errorf("it took %v, want 20ms", took)
		}
	})
}

func TestLimit(t *testing.T) {
	for name, bytesPerSecond := range map[string]int64{"40 MB/s": 40_000_000, "1 MB/s": 1_000_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Options{BytesPerSecond: bytesPerSecond})
				size := bytesPerSecond / 2
				go func() {
					if _, err := w.server.Write(random(int(size))); err != nil {
						t.Error(err)
					}
					_ = w.server.Close()
				}()
				start := time.Now()
				buf := make([]byte, chunkSize)
				for got := int64(0); got < size; {
					n, err := w.client.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					got += int64(n)
					// Smooth: at no time is it ahead by more than the burst and one chunk.
					allowed := float64(bytesPerSecond)*(time.Since(start)+burst).Seconds() + chunkSize
					if float64(got) > allowed {
						t.Fatalf("%d bytes after %v, allowed are %.0f", got, time.Since(start), allowed)
					}
				}
				if took := time.Since(start); took < 500*time.Millisecond-burst || took > 510*time.Millisecond {
					t.Errorf("half a second's bytes took %v", took)
				}
			})
		})
	}
}

// A limit slows the sender down, and does not fill a buffer at full speed.
func TestLimitHoldsTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{BytesPerSecond: 1_000_000})
		go io.Copy(io.Discard, w.client) //nolint:errcheck // ends with the connection
		start := time.Now()
		if _, err := w.server.Write(make([]byte, 1_000_000)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 900*time.Millisecond {
			t.Errorf("a second's bytes were taken in %v", took)
		}
	})
}

func TestEndOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, nearClient := net.Pipe()
		nearServer, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			join(ctx, nearClient, nearServer, time.Now(), Options{RTT: time.Hour})
		}()
		if _, err := client.Write([]byte("on its way for half an hour")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		cancel()
		<-done
		if took := time.Since(start); took != 0 {
			t.Errorf("it ended after %v", took)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v, want EOF", err)
		}
	})
}

// The same on real sockets, where an end of the input is not the end of the connection.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		data, err := io.ReadAll(conn)
		if err != nil {
			t.Error(err)
		}
		if _, err := conn.Write(data); err != nil {
			t.Error(err)
		}
	}()
	p, err := Start(t.Context(), listener.Addr().String(), Options{RTT: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	start := time.Now()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := random(1 << 20)
	go func() {
		if _, err := conn.Write(sent); err != nil {
			t.Error(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
	}()
	received, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent, received) {
		t.Error("other bytes arrived than were sent")
	}
	if took := time.Since(start); took < 40*time.Millisecond {
		t.Errorf("connecting and a round trip took %v, want at least 40ms", took)
	}
}

// random returns n bytes, always the same.
func random(n int) []byte {
	buf := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(buf) //nolint:errcheck // it never fails
	return buf
}
