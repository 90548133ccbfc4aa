package wire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// BenchmarkExchange compares the chain with net/http alone, on one connection to a
// server on this machine: the difference is what the chain costs.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{2 << 10, 8 << 20} {
		blob := bytes.Repeat([]byte("x"), size)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				_, _ = io.Copy(io.Discard, r.Body)
				return
			}
			_, _ = w.Write(blob)
		}))
		u, err := url.Parse(s.URL)
		if err != nil {
			b.Fatal(err)
		}
		o, err := OriginOf(u)
		if err != nil {
			b.Fatal(err)
		}
		f := New(Options{})
		c, err := f.Client(Endpoint{Origin: o})
		if err != nil {
			b.Fatal(err)
		}
		bare := &http.Transport{DisableCompression: true, ResponseHeaderTimeout: headerTimeout}
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			traffic := Control
			if size > 1<<20 {
				traffic = map[string]Traffic{http.MethodGet: Download, http.MethodPut: Upload}[method]
			}
			for name, h := range map[string]*http.Client{"net-http": {Transport: bare}, "chain": c.HTTP(Registry, traffic)} {
				b.Run(fmt.Sprintf("%s-%dKiB/%s", method, size>>10, name), func(b *testing.B) {
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						var body io.Reader
						if method == http.MethodPut {
							body = bytes.NewReader(blob)
						}
						req, err := http.NewRequestWithContext(b.Context(), method, s.URL+"/v2/a", body)
						if err != nil {
							b.Fatal(err)
						}
						resp, err := h.Do(req)
						if err != nil {
							b.Fatal(err)
						}
						if _, err := io.Copy(io.Discard, resp.Body); err != nil {
							b.Fatal(err)
						}
						_ = resp.Body.Close()
					}
				})
			}
		}
		bare.CloseIdleConnections()
		f.Close()
		s.Close()
	}
}
