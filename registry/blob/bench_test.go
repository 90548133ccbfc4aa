package blob

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/dhowhq/dhow/internal/verify"
)

// limited gives each request 40 MB a second, as storage behind a registry may.
type limited struct {
	http.ResponseWriter
	began time.Time
	sent  int64
}

func (l *limited) Write(p []byte) (sum int, err error) {
	for len(p) > 0 && err == nil {
		var n int
		n, err = l.ResponseWriter.Write(p[:min(len(p), 256<<10)])
		p = p[n:]
		sum += n
		l.sent += int64(n)
		time.Sleep(time.Until(l.began.Add(time.Duration(l.sent) * time.Second / 40e6)))
	}
	return sum, err
}

func serveLimited(b *testing.B, p pattern) *host {
	b.Helper()
	return serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(&limited{ResponseWriter: w, began: time.Now()}, r, "", time.Time{}, io.NewSectionReader(p, 0, p.size))
	}))
}

// BenchmarkOpen reads a blob from a server that limits each connection, by one stream
// and by several ranges.
func BenchmarkOpen(b *testing.B) {
	p := pattern{64 << 20}
	desc := p.describe(b)
	for _, ranges := range []int{1, 6} {
		b.Run("ranges="+strconv.Itoa(ranges), func(b *testing.B) {
			s := serveLimited(b, p)
			r := s.repo(b, "team/app", Options{Ranges: ranges, RangesAbove: 16 << 20})
			b.SetBytes(p.size)
			for b.Loop() {
				in, err := r.Open(b.Context(), desc, 0)
				if err != nil {
					b.Fatal(err)
				}
				if err := verify.Stream(b.Context(), in, desc.Digest, desc.Size); err != nil {
					b.Fatal(err)
				}
				if err := in.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.connections.Load()), "connections")
		})
	}
}

// BenchmarkPush sends a blob to a registry that throws it away.
func BenchmarkPush(b *testing.B) {
	data, desc := random(70, 64<<20)
	s := serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/session")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.WriteHeader(http.StatusCreated)
		}
	}))
	for name, verify := range map[string]Verify{"hashed": VerifyHere, "verified by the registry": VerifyAtDestination} {
		b.Run(name, func(b *testing.B) {
			r := s.repo(b, "team/app", Options{})
			b.SetBytes(desc.Size)
			for b.Loop() {
				if _, err := r.Push(b.Context(), desc, opener(data), PushOptions{Verify: verify}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
