package proxy

import "time"

// burst is how late a limiter may be and still make up for it. On a machine with more to do
// than processors timers are late by several milliseconds, and what cannot be made up for is
// bandwidth that is missing.
const burst = 20 * time.Millisecond

// limiter is a token bucket, told as the time when what was taken of it has all been sent.
// A nil one has no limit. It is for one goroutine.
type limiter struct {
	bytesPerSecond int64
	free           time.Time // when the bucket's tokens are used up
}

func newLimiter(bytesPerSecond int64) *limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &limiter{bytesPerSecond: bytesPerSecond}
}

// reserve takes n bytes out of the bucket and returns when the last of them is sent.
func (l *limiter) reserve(now time.Time, n int) time.Time {
	if l == nil {
		return now
	}
	if oldest := now.Add(-burst); l.free.Before(oldest) {
		l.free = oldest
	}
	l.free = l.free.Add(time.Duration(int64(n) * int64(time.Second) / l.bytesPerSecond))
	if l.free.Before(now) {
		return now
	}
	return l.free
}
