package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dhowhq/dhow/internal/testregistry"
)

// Each way to log in sends what it says, to the registry that was named.
func TestCredentialFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var last atomic.Value
	sent := func() string { a, _ := last.Load().(string); return a }
	s := newSite(t, func(rw http.ResponseWriter, r *http.Request) {
		a := r.Header.Get("Authorization")
		if a == "" {
			rw.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			if strings.Contains(r.URL.Path, "/bearer/") {
				rw.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token"`)
			}
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		last.Store(a)
		fmt.Fprint(rw, `{"tags":["1"]}`)
	})
	basic := func(userpass string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(userpass))
	}
	for _, name := range []string{"one", "two"} {
		data := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, s.host(), base64.StdEncoding.EncodeToString([]byte(name+":pw")))
		if err := os.WriteFile(filepath.Join(w.dir, name+".json"), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		flags, want string
	}{
		{"--creds me:a:b", basic("me:a:b")},
		{"--username me --password a:b", basic("me:a:b")},
		{"--authfile one.json", basic("one:pw")},
		{"--authfile one.json --creds me:x", basic("me:x")},
		{"--registry-token abc", "Bearer abc"},
	} {
		kind := "basic"
		if strings.Contains(tc.flags, "token") {
			kind = "bearer"
		}
		args := append(strings.Fields(tc.flags), "--tls-verify=false", s.host()+"/"+kind+"/app")
		w.must(t, append([]string{"tags"}, args...)...)
		if got := sent(); got != tc.want {
			t.Errorf("%s sent %q, want %q", tc.flags, got, tc.want)
		}
	}
	// The file of a side goes before that of both.
	for side, want := range map[string]string{"": basic("one:pw"), "--src-authfile=two.json": basic("two:pw")} {
		args := []string{"copy", "-q", "--authfile=one.json", "--src-tls-verify=false", "docker://" + s.host() + "/app:1", "oci:out:x"}
		if side != "" {
			args = append(args, side)
		}
		w.run(t, args...) // what the server has is no image
		if got := sent(); got != want {
			t.Errorf("%q sent %q, want %q", side, got, want)
		}
	}
}

// A request is sent once, and as often again as the flag says.
func TestRetryTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for times, want := range map[string]int{"0": 1, "1": 2} {
		t.Run(times, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
			// Where it is known beforehand that there is no TLS, nobody has to find that out.
			config := t.TempDir()
			dir := filepath.Join(config, "containers", "certs.d", s.host())
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte("server = \"http://"+s.host()+"\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := w.command(t, "tags", "--retry-times", times, s.host()+"/app")
			cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+config)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "503") {
				t.Errorf("%v, %s", err, out)
			}
			s.wantAsked(t, times+" times", slices.Repeat([]string{"GET /v2/app/tags/list"}, want)...)
		})
	}
}

// A download that breaks off goes on, unless nothing is tried again.
func TestRetryTimesOfTransfers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inner := testregistry.GGCR(t)
	var cuts atomic.Int64
	s := newSite(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && cuts.Load() > 0 {
			rw = &cutting{ResponseWriter: rw, left: 1 << 20, cuts: &cuts}
		}
		inner.ServeHTTP(rw, r)
	})
	image := "docker://" + s.host() + "/app:1"
	w.must(t, "copy", "-q", "--digest-tags=false", "--dest-tls-verify=false", "oci:layout:big", image)
	for times, code := range map[string]int{"0": 1, "1": 0} {
		cuts.Store(1)
		r := w.run(t, "copy", "-q", "--digest-tags=false", "--src-tls-verify=false", "--retry-times", times, image, "oci:out"+times+":x")
		if r.code != code {
			t.Errorf("%s retries: %+v", times, r)
		}
	}
}

// cutting ends a connection after so many bytes of an answer.
type cutting struct {
	http.ResponseWriter
	left int
	cuts *atomic.Int64
}

func (c *cutting) Write(p []byte) (int, error) {
	if len(p) > c.left && c.cuts.Add(-1) >= 0 {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= min(len(p), c.left)
	return c.ResponseWriter.Write(p)
}

// What net/http logs on its own is a debug line, and does not tell what a server said.
func TestStrayLogLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go talkative(conn)
		}
	}()
	args := []string{"tags", "--tls-verify=false", "--no-creds", listener.Addr().String() + "/app"}
	if r := w.run(t, args...); r.code != 0 || r.stderr != "" {
		t.Errorf("got %+v", r)
	}
	r := w.run(t, append([]string{"--log-level", "debug"}, args...)...)
	if want := `level=DEBUG msg="Unsolicited response received on idle HTTP channel starting with \"REDACTED\"`; !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, canary) {
		t.Errorf("standard error is %s, want %s", r.stderr, want)
	}
}

// talkative answers requests with pages of a list of tags, and sends more than was asked
// for after each.
func talkative(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for page := 1; ; page++ {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		link := ""
		if !req.URL.Query().Has("last") {
			link = "Link: </v2/app/tags/list?last=1>; rel=\"next\"\r\n"
		}
		const body = `{"tags":["1"]}`
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%sSurprise, %s \"quoted\" \\ \x00", link, len(body), body, canary)
	}
}
