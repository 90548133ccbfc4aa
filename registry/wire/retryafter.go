package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAdvice is how long a server can have us wait at once.
const maxAdvice = time.Minute

// advice is what an answer's Retry-After says (RFC 9110, 10.2.3).
type advice struct {
	value string        // as the server wrote it; empty if it did not
	wait  time.Duration // at most maxAdvice; zero where value says nothing that can be followed
}

// readAdvice reads the Retry-After of an answer that came at now. A date is compared
// with the answer's own Date, if it has one: the server's clock may be wrong.
func readAdvice(h http.Header, now time.Time) advice {
	value := strings.TrimSpace(h.Get("Retry-After"))
	a := advice{value: value}
	if value == "" {
		return a
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxAdvice/time.Second) {
			a.wait = maxAdvice // more digits than there are seconds
			return a
		}
		a.wait = time.Duration(seconds) * time.Second
		return a
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return a
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	a.wait = min(max(0, at.Sub(now)), maxAdvice)
	return a
}
