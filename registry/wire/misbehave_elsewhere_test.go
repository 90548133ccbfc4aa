package wire_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	client "github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
)

// TestB82RetryAfterIsWaitedForAlike has a registry be busy three times, whatever it is
// asked: five seconds are five seconds each time.
func TestB82RetryAfterIsWaitedForAlike(t *testing.T) {
	t.Parallel()
	busy := say(429, "", "Retry-After: 5")
	inOne := client.Options{Blobs: blob.Options{PostUpTo: -1}}
	inPieces := client.Options{Blobs: blob.Options{PostUpTo: -1, PutUpTo: -1}}
	three := func(method string) http.HandlerFunc {
		return uploads(map[string]http.HandlerFunc{method + " 1": busy, method + " 2": busy, method + " 3": busy})
	}
	const fifteen = 15 * time.Second
	runMisbehaviours(t, []misbehaviour{
		{name: "B82 GET of a manifest", registry: times(3, busy, good), do: get("v1"), requests: 4, elapsed: fifteen},
		{name: "B82 GET of a layer", registry: times(3, busy, all), do: pull, requests: 4, elapsed: fifteen},
		{name: "B82 HEAD", registry: times(3, busy, good), do: head, requests: 4, elapsed: fifteen},
		{name: "B82 PUT of a manifest", registry: times(3, busy, say(201, "")), do: put, requests: 4, elapsed: fifteen},
		{name: "B82 POST", registry: three("POST"), opts: inOne, do: push, requests: 5, elapsed: fifteen},
		{name: "B82 PUT of a layer", registry: three("PUT"), opts: inOne, do: push, requests: 8, elapsed: fifteen},        // after each the registry is
		{name: "B82 PATCH of a layer", registry: three("PATCH"), opts: inPieces, do: push, requests: 9, elapsed: fifteen}, // asked how far it has got
	})
}

// TestB80toB86 has registries that lie about digests, challenge without an end, are
// busy, and send us elsewhere.
func TestB80toB86(t *testing.T) {
	t.Parallel()
	lies := say(200, string(manifest), "Content-Type: "+document.MediaType, "Docker-Content-Digest: "+string(layer.Digest))
	realm := func(url string) string { return `Bearer realm="` + url + `",service="x"` }
	refused := func(challenge string) http.HandlerFunc { return say(401, "", "WWW-Authenticate: "+challenge) }
	token := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				say(200, text)(w, r)
				return
			}
			refused(realm("http://registry.example/token"))(w, r)
		}
	}
	to := func(location string) http.HandlerFunc { return say(307, "", "Location: "+location) }
	busy := func(after string) http.HandlerFunc { return say(429, "", "Retry-After: "+after) }
	runMisbehaviours(t, []misbehaviour{
		{name: "B80 the digest lies, by tag", registry: lies, do: get("v1"), requests: 1},
		{name: "B80 the digest lies, by digest", registry: lies, do: get(string(document.Digest)), requests: 1},
		{name: "B80 a manifest is kept by another", registry: say(201, "", "Docker-Content-Digest: "+string(layer.Digest)), do: put, kind: damaged, requests: 1},

		{name: "B81 401 without a challenge", registry: say(401, ""), do: get("v1"), kind: denied, requests: 1},
		{name: "B81 401 again and again, Basic", registry: refused(`Basic realm="x"`), do: get("v1"), kind: denied, requests: 2},
		{name: "B81 401 again and again, Bearer", registry: token(`{"token":"nogood"}`), do: get("v1"), kind: denied, requests: 3},
		{name: "B81 two challenges", registry: authorized(`Negotiate abc, `+realm("http://registry.example/token"), good), do: get("v1"), requests: 3},
		{name: "B81 a scheme that nobody knows", registry: refused("Negotiate abc"), do: get("v1"), kind: denied, says: []string{"negotiate"}, requests: 1},
		{name: "B81 a realm of a file", registry: refused(realm("file:///etc/passwd")), do: get("v1"), kind: unavailable, says: []string{"realm"}, requests: 1},
		{name: "B81 a realm without a host", registry: refused(realm("/token")), do: get("v1"), kind: unavailable, says: []string{"realm"}, requests: 1},
		{name: "B81 a token with a line break", registry: token(`{"token":"a\nb"}`), do: get("v1"), kind: unavailable, says: []string{"character"}, requests: 2},
		{name: "B81 a token for ever", registry: authorized(realm("http://registry.example/token"), good), do: get("v1"), requests: 3},
		{name: "B81 no token", registry: token(`{"expires_in":-1}`), do: get("v1"), kind: unavailable, requests: 2},

		{name: "B82 999999999 seconds", registry: busy("999999999"), do: get("v1"), kind: unavailable, says: []string{`Retry-After "999999999"`}, requests: 5, elapsed: 4 * time.Minute},
		{name: "B82 negative", registry: busy("-5"), do: get("v1"), kind: unavailable, says: []string{`Retry-After "-5"`}, requests: 5, elapsed: allAttempts},
		{name: "B82 no number", registry: busy("abc"), do: get("v1"), kind: unavailable, says: []string{`Retry-After "abc"`}, requests: 5, elapsed: allAttempts},
		{name: "B82 a date in 2099", registry: inTurn(busy("Thu, 01 Jan 2099 00:00:00 GMT"), good), do: get("v1"), requests: 2, elapsed: time.Minute},

		{name: "B83 in a circle", registry: to("/v2/app/manifests/v1"), do: get("v1"), kind: denied, says: []string{"redirect 6, and 5 are allowed"}, requests: 6},
		{name: "B83 without a Location", registry: say(307, ""), do: get("v1"), kind: unavailable, says: []string{"without a Location"}, requests: 1},
		{name: "B83 javascript", registry: to("javascript:alert(1)"), do: get("v1"), kind: unavailable, requests: 1},
		{name: "B83 a password", registry: to("http://user:" + canary + "@store.example/"), do: get("v1"), kind: unavailable, says: []string{"user name"}, requests: 1},
		{name: "B83 a fragment", registry: to("http://store.example/#x"), do: get("v1"), kind: unavailable, requests: 1},

		{name: "B84 another host gets no credential", secure: true, registry: authorized(`Basic realm="x"`, to("https://store.example/1?sig=x")), other: http.HandlerFunc(all), do: pull, requests: 2, others: 1},
		{name: "B84 from https to http", secure: true, registry: to("http://store.example/1"), other: good, do: get("v1"), kind: denied, says: []string{"https to http"}, requests: 1},
		{name: "B84 another port", secure: true, registry: to("https://registry.example:8443/1"), do: get("v1"), kind: unavailable, says: []string{"connection refused"}, requests: 1, elapsed: allAttempts},

		{name: "B85 link-local", registry: to("http://169.254.169.254/latest"), do: get("v1"), kind: denied, says: []string{"link-local", "allowed-hosts"}, requests: 1},
		{name: "B85 loopback", registry: to("http://127.0.0.1/"), do: get("v1"), kind: denied, says: []string{"loopback"}, requests: 1},
		{name: "B85 mapped", registry: to("http://[::ffff:169.254.169.254]/"), do: get("v1"), kind: denied, requests: 1},
		{name: "B85 in decimal", registry: to("http://2852039166/"), do: get("v1"), kind: unavailable, says: []string{"usual form"}, requests: 1},
		{name: "B85 a name of a private address", registry: to("http://store.example/1"), other: good, names: map[string]string{"store.example": "10.0.0.7"}, do: get("v1"), kind: denied, says: []string{"10.0.0.7", "private"}, requests: 1},

		{name: "B86 a token server by http", secure: true, registry: refused(realm("http://store.example/token")), do: get("v1"), kind: denied, says: []string{"https to http"}, requests: 1},
		{name: "B86 one of another domain is asked anonymously", secure: true, registry: authorized(realm("https://store.example/token"), good), other: say(200, `{"token":"good"}`), do: get("v1"), requests: 2, others: 1},
		{name: "B86 and if that is not enough, named", secure: true, registry: refused(realm("https://store.example/token")), other: say(401, ""), do: get("v1"), kind: denied, says: []string{"trusted-realms", "store.example"}, requests: 1, others: 1},
		{name: "B86 the metadata service", secure: true, registry: refused(realm("https://169.254.169.254/token")), do: get("v1"), kind: denied, says: []string{"trusted-realms"}, requests: 1},
	})
}

// TestB87toB89 has registries that lose uploads.
func TestB87toB89(t *testing.T) {
	t.Parallel()
	inOne := client.Options{Blobs: blob.Options{PostUpTo: -1}}
	inPieces := client.Options{Blobs: blob.Options{PostUpTo: -1, PutUpTo: -1, PieceSize: 512 << 10}} // two of them
	upload := func(name string, opts client.Options, requests int, instead map[string]http.HandlerFunc) misbehaviour {
		return misbehaviour{name: name, registry: uploads(instead), opts: opts, do: push, requests: requests}
	}
	fails := func(row misbehaviour, kind error, says ...string) misbehaviour {
		row.kind, row.says = kind, says
		return row
	}
	type h = map[string]http.HandlerFunc
	rows := []misbehaviour{
		upload("B87 the query is kept", inOne, 2, nil),
		fails(upload("B87 another host", inOne, 1, h{"POST 1": session("http://store.example/1")}), denied, "allowed-hosts"),
		fails(upload("B87 another port", inOne, 1, h{"POST 1": session("http://registry.example:8080/1")}), denied, "allowed-hosts"),
		fails(upload("B87 none", inOne, 1, h{"POST 1": say(202, "")}), unavailable, "missing or empty"),
		fails(upload("B87 of no host", inOne, 1, h{"POST 1": session("javascript:alert(1)")}), unavailable),
		fails(upload("B88 202 instead of 201, and it is not there", inOne, 3, h{"PUT 1": say(202, "")}), unavailable),
		upload("B88 202 instead of 201, and it is there", inOne, 3, h{"PUT 1": say(202, ""), "HEAD 1": say(200, "")}),
		fails(upload("B88 201 with another digest", inOne, 3, h{"PUT 1": say(201, "", "Docker-Content-Digest: "+string(document.Digest))}), damaged),
		upload("B88 416", inPieces, 9, h{"PATCH 2": say(416, "")}),
		upload("B88 the session is lost", inPieces, 7, h{"PATCH 2": say(404, "")}),
		upload("B88 500 to a piece", inPieces, 9, h{"PATCH 2": say(500, "")}),
		upload("B88 an offset ahead", inPieces, 6, h{"PATCH 1": say(202, "", "Location: /v2/app/blobs/uploads/1?state=a%2Fb", "Range: 0-700000")}),
		fails(upload("B88 a smallest piece of an exabyte", inPieces, 1, h{"POST 1": say(202, "", "Location: /v2/app/blobs/uploads/1?state=a%2Fb", "OCI-Chunk-Min-Length: 1152921504606846976")}), unavailable),
		upload("B89 a mount is an upload", inOne, 2, nil),
		upload("B89 a mount of something else", inOne, 3, h{"POST 1": say(201, "", "Docker-Content-Digest: "+string(document.Digest))}),
		upload("B89 a mount is not allowed", inOne, 3, h{"POST 1": say(403, "")}),
	}
	for i := range rows {
		if strings.HasPrefix(rows[i].name, "B89") {
			rows[i].do = pushFrom("base")
		}
	}
	https := fails(upload("B87 from https to http", inOne, 1, h{"POST 1": session("http://registry.example/1")}), denied, "https to http")
	https.secure = true
	runMisbehaviours(t, append(rows, https))
}
