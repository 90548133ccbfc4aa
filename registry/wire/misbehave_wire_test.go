package wire_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/wire"
)

// TestB90toB92 has lists that are none, or that do not end.
func TestB90toB92(t *testing.T) {
	t.Parallel()
	page2 := func(target string) http.HandlerFunc {
		return say(200, `{"tags":["a"]}`, `Link: <`+target+`>; rel="next"`)
	}
	api := func(answer http.HandlerFunc, tag http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/referrers/") {
				answer(w, r)
				return
			}
			tag(w, r)
		}
	}
	runMisbehaviours(t, []misbehaviour{
		{name: "B90 something else is kept", registry: say(201, "", "Docker-Content-Digest: "+string(digest.FromString("x"))), do: put, kind: damaged, says: []string{string(digest.FromString("x"))}, requests: 1},
		{name: "B91 a page leads to itself", registry: page2("/v2/app/tags/list?last=a"), do: tags(), kind: unavailable, says: []string{"back"}, requests: 2},
		{name: "B91 a page elsewhere", registry: page2("http://store.example/v2/app/tags/list"), do: tags(), kind: denied, says: []string{"allowed-hosts"}, requests: 1},
		{name: "B91 a page on another port", registry: page2("http://registry.example:8080/v2/app/tags/list"), do: tags(), kind: denied, requests: 1},
		{name: "B91 a link that is none", registry: say(200, `{"tags":["a"]}`, `Link: </x>; rel="next"; title="`), do: tags(), kind: unavailable, says: []string{"next page"}, requests: 1},
		{name: "B92 a login instead of the API", registry: api(page, index()), do: referrers(1), requests: 2},
		{name: "B92 neither API nor tag", registry: http.NotFoundHandler(), do: referrers(0), requests: 2},
		{name: "B92 nothing for an unknown subject", registry: api(say(200, string(manifest), "Content-Type: "+document.MediaType), http.NotFound), do: referrers(0), requests: 1},
		{name: "B92 a filter that nobody asked for", registry: api(index("OCI-Filters-Applied: artifactType"), http.NotFound), do: referrers(1), requests: 1},
		{name: "B92 the tag is the image itself", registry: api(http.NotFound, good), do: referrers(0), requests: 2},
		{name: "B92 an index that is none", registry: api(say(200, `{"manifests":[{"digest":"sha256:../x"}]}`, "Content-Type: "+document.MediaType), http.NotFound), do: referrers(0), kind: unavailable, requests: 1},
	})
}

// TestB93toB96 has connections that break, stop, and say what is not HTTP.
func TestB93toB96(t *testing.T) {
	t.Parallel()
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	stops := fault.New(http.HandlerFunc(all), fault.Fault{StallAnswer: 1000}).ServeHTTP
	nothing := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	drips := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		for at := 0; r.Context().Err() == nil; at++ {
			_, _ = w.Write(content[at : at+1])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Second)
		}
	}
	soon := func(ctx context.Context, p *parties) error {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(10*time.Second, cancel)
		return pull(ctx, p)
	}
	const start = "HTTP/1.1 200 OK\nContent-Type: application/json\n"
	framing := func(name, answer string) misbehaviour {
		return misbehaviour{name: name, registry: raw(answer), do: get("v1"), kind: unavailable, says: []string{"gave up after attempt 5"}, requests: 5, elapsed: allAttempts}
	}
	inPieces := client.Options{Blobs: blob.Options{PostUpTo: -1, PutUpTo: -1, PieceSize: 512 << 10}}
	half := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 64<<10)
		panic(http.ErrAbortHandler)
	}
	runMisbehaviours(t, []misbehaviour{
		{name: "B93 no header", registry: http.HandlerFunc(hangs), do: get("v1"), kind: context.DeadlineExceeded, says: []string{"gave up after attempt 5"}, requests: 5, elapsed: 5*30*time.Second + allAttempts},
		{name: "B93 a body that stops, and goes on when it is asked for again", registry: inTurn(stops, all), do: pull, requests: 2, elapsed: time.Minute},
		{name: "B93 a body that stops for good", registry: inTurn(stops, hangs), do: pull, kind: context.DeadlineExceeded, requests: 6, elapsed: time.Minute + 5*30*time.Second + allAttempts},
		{name: "B93 a byte a second", registry: inTurn(drips, all), do: pull, requests: 2, elapsed: time.Minute},
		{name: "B93 the caller wants no more", registry: http.HandlerFunc(stops), do: soon, kind: context.Canceled, requests: 1, elapsed: 10 * time.Second},
		{name: "B94 a break every 64 KiB", registry: breaksOff(64<<10, all), do: pull, requests: 16},
		{name: "B94 nothing but breaks", registry: http.HandlerFunc(nothing), do: pull, kind: unavailable, says: []string{"5 tries in a row"}, requests: 6, elapsed: 1500 * time.Millisecond},
		{name: "B94 a piece of an upload breaks", registry: uploads(map[string]http.HandlerFunc{"PATCH 1": half}), opts: inPieces, do: push, requests: 20},
		{name: "B95 a manifest that is encoded", registry: say(200, "\x1f\x8b", "Content-Encoding: gzip"), do: get("v1"), kind: unavailable, says: []string{"identity"}, requests: 1},
		{name: "B95 a layer that is encoded", registry: say(200, "\x1f\x8b", "Content-Encoding: gzip"), do: pull, kind: unavailable, says: []string{"identity"}, requests: 1},
		framing("B95 Transfer-Encoding: gzip", start+"Transfer-Encoding: gzip\n\nfine"),
		framing("B96 a header of 1 MiB", start+"X: "+strings.Repeat("x", 1<<20)+"\n\n"),
		framing("B96 a byte that no header has", start+"X\x00Y: z\n\n"),
		framing("B96 HTTP/0.9", "<html>fine</html>"),
		framing("B96 a flood of 1xx", strings.Repeat("HTTP/1.1 103 Early Hints\n\n", 20000)+start+"\n"),
	})
}

// TestB97B98 has certificates that are not good, and layers that are elsewhere.
func TestB97B98(t *testing.T) {
	t.Parallel()
	certificate := func(host string, valid time.Duration) func(*testing.T, wire.Authority) tls.Certificate {
		return func(t *testing.T, a wire.Authority) tls.Certificate {
			t.Helper()
			return a.Issue(t, host, time.Now().Add(valid))
		}
	}
	nobody := func(t *testing.T, _ wire.Authority) tls.Certificate {
		t.Helper()
		return wire.NewAuthority(t).Issue(t, "registry.example", time.Now().Add(time.Hour))
	}
	foreign := foreignAt("https://store.example/layer")
	allowed := client.Options{Policy: func(wire.Origin) wire.Policy { return wire.Policy{ForeignLayers: true} }}
	runMisbehaviours(t, []misbehaviour{
		{name: "B97 signed by nobody", secure: true, cert: nobody, registry: good, do: get("v1"), kind: untrusted, says: []string{"signed by nobody who is trusted here", "ca.crt"}},
		{name: "B97 expired", secure: true, cert: certificate("registry.example", -time.Hour), registry: good, do: get("v1"), kind: untrusted, says: []string{"expired"}},
		{name: "B97 another host", secure: true, cert: certificate("store.example", time.Hour), registry: good, do: get("v1"), kind: untrusted, says: []string{"for another host"}},
		{name: "B98 a foreign layer is not fetched", secure: true, registry: http.NotFoundHandler(), other: http.HandlerFunc(all), do: pullAs(foreign), kind: missing, requests: 1},
		{name: "B98 where that is allowed it is, by nobody", secure: true, opts: allowed, registry: authorized(`Basic realm="x"`, http.NotFound), other: http.HandlerFunc(all), do: pullAs(foreign), requests: 2, others: 1},
		{name: "B98 not from https to http", secure: true, opts: allowed, registry: http.NotFoundHandler(), other: http.HandlerFunc(all), do: pullAs(foreignAt("http://store.example/layer")), kind: denied, requests: 1},
		{name: "B98 not from a private address", secure: true, opts: allowed, names: map[string]string{"store.example": "10.0.0.7"}, registry: http.NotFoundHandler(), other: http.HandlerFunc(all), do: pullAs(foreign), kind: denied, says: []string{"10.0.0.7"}, requests: 1},
	})
}
