package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry/wire"
)

// registry starts one that sends us to other places, and returns its origin.
func registry() (wire.Origin, func()) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/busybox/manifests/latest":
			fmt.Fprint(w, `{"schemaVersion":2}`)
		case "/v2/busybox/blobs/uploads/":
			w.Header().Set("Location", "https://uploads.example.org/1?signature=x")
			w.WriteHeader(http.StatusAccepted)
		case "/v2/_catalog":
			w.Header().Set("Link", `</v2/_catalog?n=1&last=busybox>; rel="next"`)
			fmt.Fprint(w, `{"repositories":["busybox"]}`)
		case "/v2/busybox/blobs/sha256:1":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}`)
		}
	}))
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err)
	}
	o, err := wire.OriginOf(u)
	if err != nil {
		panic(err)
	}
	return o, s.Close
}

// endpoint returns a client for such a registry.
func endpoint() (*wire.Client, wire.Origin, func()) {
	origin, stop := registry()
	client, err := wire.New(wire.Options{}).Client(wire.Endpoint{Origin: origin})
	if err != nil {
		panic(err)
	}
	return client, origin, stop
}

func request(method string, o wire.Origin, path string) *http.Request {
	req, err := http.NewRequestWithContext(context.Background(), method, o.String()+path, http.NoBody)
	if err != nil {
		panic(err)
	}
	return req
}

func ExampleNew() {
	origin, stop := registry()
	defer stop()

	factory := wire.New(wire.Options{UserAgent: "example/1", Hooks: wire.Hooks{Exchange: func(e wire.Exchange) {
		fmt.Println(e.Method, e.Purpose, e.Traffic, e.Status, "attempts:", e.Attempts)
	}}})
	defer factory.Close()
	client, err := factory.Client(wire.Endpoint{Origin: origin})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(request("GET", origin, "/v2/busybox/manifests/latest"), wire.Registry, wire.Control)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	// Output:
	// GET registry control 200 attempts: 1
	// {"schemaVersion":2} <nil>
}

func ExampleFactory_Client() {
	_, err := wire.New(wire.Options{}).Client(wire.Endpoint{
		Origin: wire.Origin{Scheme: "https", Host: "registry.example.com", Port: 443},
		Policy: wire.Policy{TrustedRealms: []string{"https://sso.example.org"}},
	})
	fmt.Println(err)
	// Output:
	// egress policy for https://registry.example.com: trusted-realms[0] = "https://sso.example.org": "https://sso.example.org" is no host
}

// A library makes its requests, and those to token servers, through HTTP.
func ExampleClient_HTTP() {
	client, origin, stop := endpoint()
	defer stop()
	library := client.HTTP(wire.Registry, wire.Download)
	resp, err := library.Do(request("GET", origin, "/v2/busybox/blobs/sha256:1"))
	if err == nil {
		defer resp.Body.Close()
	}
	if refused, ok := errors.AsType[*wire.RefusedError](err); ok {
		fmt.Println(refused.What, refused.URL)
		fmt.Println(refused.Reason)
		fmt.Println(refused.Key)
	}
	// Output:
	// redirect of registry http://169.254.169.254/latest/meta-data/
	// it is a link-local or metadata address
	// allowed-hosts
}

func ExampleClient_Do() {
	client, _, stop := endpoint()
	defer stop()
	// A layer whose URL a manifest has is not fetched unless that was asked for.
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://layers.example.org/1", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req, wire.Foreign, wire.Download)
	if err == nil {
		defer resp.Body.Close()
	}
	fmt.Println(errdefs.IsPermissionDenied(err), strings.Contains(err.Error(), "see include-foreign"))
	// Output:
	// true true
}

func ExampleClient_Location() {
	origin, stop := registry()
	defer stop()
	client, err := wire.New(wire.Options{}).Client(wire.Endpoint{
		Origin: origin, Policy: wire.Policy{AllowedHosts: []string{"*.example.org"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(request("POST", origin, "/v2/busybox/blobs/uploads/"), wire.Registry, wire.Control)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(client.Location(resp))
	// Output:
	// https://uploads.example.org/1?signature=x <nil>
}

func ExampleClient_NextPage() {
	client, origin, stop := endpoint()
	defer stop()
	resp, err := client.Do(request("GET", origin, "/v2/_catalog"), wire.Registry, wire.Control)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	next, err := client.NextPage(resp)
	fmt.Println(next.RequestURI(), err)
	// Output:
	// /v2/_catalog?n=1&last=busybox <nil>
}

func ExampleCheckResponse() {
	client, origin, stop := endpoint()
	defer stop()
	resp, err := client.Do(request("GET", origin, "/v2/nothing/tags/list"), wire.Registry, wire.Control)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	err = wire.CheckResponse(resp, http.StatusOK)
	if answer, ok := errors.AsType[*wire.ResponseError](err); ok {
		fmt.Println(answer.Status, answer.Codes[0], errdefs.IsNotFound(err), answer.Has("NAME_UNKNOWN"))
	}
	// Output:
	// 404 NAME_UNKNOWN "no such repository" true true
}

func ExampleOriginOf() {
	for _, raw := range []string{"https://Example.com:443/v2/", "http://[::1]:5000", "https://0x7f.1/"} {
		u, err := url.Parse(raw)
		if err != nil {
			fmt.Println(err)
			continue
		}
		o, err := wire.OriginOf(u)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(o)
	}
	// Output:
	// https://example.com
	// http://[::1]:5000
	// the host "0x7f.1" looks like an address, but is not in the usual form of one
}

func ExampleRedact() {
	err := fmt.Errorf("fetching %q: %w", "https://store.example.org/blob?X-Signature=secret&n=5", io.ErrUnexpectedEOF)
	fmt.Println(wire.Redact(err))
	fmt.Println(errors.Is(wire.Redact(err), io.ErrUnexpectedEOF))
	// Output:
	// fetching "https://store.example.org/blob?X-Signature=REDACTED&n=5": unexpected EOF
	// true
}
