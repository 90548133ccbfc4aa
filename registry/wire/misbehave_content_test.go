package wire_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/registry/wire"
)

// TestB19B31B37B46 has documents that are none, or not there.
func TestB19B31B37B46(t *testing.T) {
	t.Parallel()
	encrypted := layer
	encrypted.MediaType = ocispec.MediaTypeImageLayer + "+encrypted"
	runMisbehaviours(t, []misbehaviour{
		{name: "B19 tags that break the grammar", registry: say(200, `{"tags":["a","../x","",null,"b\u0000","b"]}`), do: tags("a", "b"), requests: 1},
		{name: "B19 a tag twice", registry: say(200, `{"tags":["a","a","b"]}`), do: tags("a", "b"), requests: 1},
		{name: "B19 a list that is none", registry: say(200, `{"tags":"a"}`), do: tags(), kind: unavailable, says: []string{"not a list of tags"}, requests: 1},
		{name: "B31 a login with status 200", registry: page, do: get("v1"), kind: wire.ErrNotRegistry, says: []string{`<!DOCTYPE html><p>Log in\x1b[31m`}, requests: 1},
		{name: "B31 a login as a list of tags", registry: page, do: tags(), kind: wire.ErrNotRegistry, requests: 1},
		{name: "B31 a login as a layer", registry: page, do: pull, kind: damaged, says: []string{`"text/html"`}, requests: 1},
		{name: "B31 a page about what passes", registry: inTurn(say(502, "<html>", "Content-Type: text/html"), good), do: get("v1"), requests: 2, elapsed: 500 * time.Millisecond},
		{name: "B37 a manifest that is not there", registry: http.NotFoundHandler(), do: get(string(document.Digest)), kind: missing, says: []string{string(document.Digest)}, requests: 1},
		{name: "B37 a layer that is not there", registry: http.NotFoundHandler(), do: pull, kind: missing, says: []string{string(layer.Digest)}, requests: 1},
		{name: "B46 an encrypted layer is a layer", registry: http.HandlerFunc(all), do: pullAs(encrypted), requests: 1},
	})
}

// TestB75toB79 has bytes that do not come as they were asked for.
func TestB75toB79(t *testing.T) {
	t.Parallel()
	const half = 512 << 10
	whole := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }
	partial := func(contentRange string) http.HandlerFunc {
		return say(206, "x", "Content-Range: "+contentRange)
	}
	const start = "HTTP/1.1 200 OK\nContent-Type: " + ocispec.MediaTypeImageIndex + "\n"
	framing := func(name, answer string) misbehaviour {
		return misbehaviour{name: name, registry: raw(answer), do: get("v1"), kind: unavailable, says: []string{"gave up after attempt 5"}, requests: 5, elapsed: allAttempts}
	}
	resumed := func(name string, requests int, answers ...http.HandlerFunc) misbehaviour {
		return misbehaviour{name: name, registry: inTurn(append([]http.HandlerFunc{breaksOff(half, all)}, answers...)...), do: pull, requests: requests}
	}
	runMisbehaviours(t, []misbehaviour{
		resumed("B75 200 where a range was asked for", 2, whole),
		resumed("B76 another start", 3, partial("bytes 1-1/1048576"), all),
		resumed("B76 no Content-Range", 3, say(206, "x"), all),
		resumed("B76 overlapping", 3, partial("bytes 524287-1048575/1048576"), all),
		resumed("B76 multipart", 3, say(206, "--x", "Content-Type: multipart/byteranges; boundary=x", "Content-Range: bytes 524288-1048575/1048576"), all),
		resumed("B76 416", 3, say(416, ""), whole),
		{name: "B76 another size", registry: inTurn(breaksOff(half, all), partial("bytes 524288-1048575/1048577")), do: pull, kind: damaged, says: []string{"1048577 bytes, want 1048576"}, requests: 2},
		framing("B77 two lengths", start+"Content-Length: 4\nContent-Length: 5\n\nfine"),
		framing("B77 a negative length", start+"Content-Length: -4\n\nfine"),
		framing("B77 shorter than its length", start+"Content-Length: 400\n\nfine"),
		framing("B77 chunks that break off", start+"Transfer-Encoding: chunked\n\n4\nfine\n"),
		{name: "B77 a layer of another length", registry: say(200, "short"), do: pull, kind: damaged, says: []string{"5 bytes", "want 1048576"}, requests: 1},
		{name: "B77 no length", registry: raw(start + "\n" + string(manifest)), do: get("v1"), requests: 1},
		{name: "B78 by digest the bytes are another's", registry: say(200, strings.Replace(string(manifest), "[]", "[ ]", 1), "Content-Type: "+document.MediaType), do: get(string(document.Digest)), kind: damaged, requests: 1},
		{name: "B78 HEAD tells another digest than GET", registry: byMethod(map[string]http.HandlerFunc{"HEAD": say(200, "", "Docker-Content-Digest: "+string(layer.Digest), "Content-Type: "+document.MediaType), "GET": good}), do: get("v1"), requests: 1},
		{name: "B79 no HEAD", registry: byMethod(map[string]http.HandlerFunc{"GET": good}), do: head, requests: 2},
		{name: "B79 HEAD is forbidden", registry: byMethod(map[string]http.HandlerFunc{"HEAD": say(403, ""), "GET": good}), do: head, requests: 2},
		{name: "B79 HEAD does not find it", registry: byMethod(map[string]http.HandlerFunc{"HEAD": say(404, ""), "GET": good}), do: head, requests: 2},
		{name: "B79 HEAD without a digest", registry: byMethod(map[string]http.HandlerFunc{"HEAD": say(200, "", "Content-Type: "+document.MediaType), "GET": good}), do: head, requests: 2},
	})
}
