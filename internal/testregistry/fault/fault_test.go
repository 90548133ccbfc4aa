package fault_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
)

const size = 1000

// blob is the content of all blobs of the registry that stands behind.
var blob = bytes.Repeat([]byte("0123456789"), size/10)

// behind answers with the blob, and with how much it got of one.
func behind(t *testing.T) http.Handler {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write(blob)
			return
		}
		got, err := io.ReadAll(r.Body)
		w.Header().Set("Got", string(got))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(s.Close)
	return fault.To(s.Listener.Addr().String())
}

// ask sends a request, with content if there is some, and returns what came of it.
func ask(ctx context.Context, t *testing.T, c *http.Client, url string, content []byte) (status int, header http.Header, body []byte, err error) {
	t.Helper()
	method := http.MethodGet
	if content != nil {
		method = http.MethodPut
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

func TestFaults(t *testing.T) {
	t.Parallel()
	one, other := digest.FromString("one"), digest.FromString("other")
	only := func(d digest.Digest) bool { return d == one }
	const manifest = "manifests/x"
	oneBlob, otherBlob := "blobs/"+string(one), "blobs/"+string(other)
	damaged := append([]byte("1"), blob[1:]...)
	for name, row := range map[string]struct {
		fault fault.Fault
		ask   []string // one after another
		want  []string // what came
		fails []bool   // it broke off
	}{
		"nothing":      {fault.Fault{}, []string{oneBlob}, []string{string(blob)}, []bool{false}},
		"answers":      {fault.Fault{CutAnswer: 10}, []string{oneBlob, manifest}, []string{"0123456789", string(blob)}, []bool{true, false}},
		"of that size": {fault.Fault{CutAnswer: size}, []string{oneBlob}, []string{string(blob)}, []bool{false}},
		"connections": {
			fault.Fault{CutConnection: size + 10}, []string{oneBlob, oneBlob, oneBlob},
			[]string{string(blob), "0123456789", string(blob)}, []bool{false, true, false},
		},
		"damage":    {fault.Fault{Damage: true, Of: only}, []string{oneBlob, otherBlob}, []string{string(damaged), string(blob)}, []bool{false, false}},
		"one stall": {fault.Fault{StallAnswer: 10, Stalls: 1}, []string{oneBlob, oneBlob}, []string{"0123456789", string(blob)}, []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fault.New(behind(t), row.fault)
			host := p.Start(t)
			c := &http.Client{Transport: &http.Transport{}}
			t.Cleanup(c.CloseIdleConnections)
			received := int64(0)
			for i, what := range row.ask {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, _, got, err := ask(ctx, t, c, "http://"+host+"/v2/app/"+what, nil)
				cancel()
				if what != manifest {
					received += int64(len(got))
				}
				if string(got) != row.want[i] || (err != nil) != row.fails[i] {
					t.Errorf("%d: %q, %v", i, got, err)
				}
			}
			if got := p.Counts().Received(); got != received {
				t.Errorf("%d bytes are said to have passed, %d have", got, received)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := fault.New(behind(t), fault.Fault{Every: 3, Status: http.StatusTooManyRequests, RetryAfter: "1"})
	host := p.Start(t)
	for i := 1; i <= 6; i++ {
		status, header, _, err := ask(t.Context(), t, http.DefaultClient, "http://"+host+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if refused := status == http.StatusTooManyRequests && header.Get("Retry-After") == "1"; refused != (i%3 == 0) {
			t.Errorf("request %d: status %d, %v", i, status, header)
		}
	}
	if c := p.Counts(); c.Requests != 6 || c.Faults != 2 {
		t.Errorf("%+v", c)
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	p := fault.New(behind(t), fault.Fault{CutContent: 100})
	url := "http://" + p.Start(t) + "/v2/app/blobs/uploads/1?digest=x"
	pool := &http.Transport{}
	c := &http.Client{Transport: pool}
	defer pool.CloseIdleConnections()
	for _, n := range []int{60, 40} { // over one connection
		if _, header, _, err := ask(t.Context(), t, c, url, blob[:n]); err != nil || header.Get("Got") != string(blob[:n]) {
			t.Errorf("%d bytes that fit: %v, %v", n, header, err)
		}
	}
	for _, n := range []int{1, 101} { // over the same, and over another one
		if status, header, _, err := ask(t.Context(), t, c, url, blob[:n]); err == nil {
			t.Errorf("%d bytes that are too many: status %d, %v", n, status, header)
		}
	}
	if c := p.Counts(); c.Contents["x"] != 200 || c.Sent() != 200 || c.Faults != 2 {
		t.Errorf("%+v", c)
	}
}
