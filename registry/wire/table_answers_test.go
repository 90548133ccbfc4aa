package wire_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/internal/testregistry/fault"
	"github.com/dhowhq/dhow/registry/hosts"
)

// say answers with a status, a body and header fields as in "Retry-After: 5".
func say(status int, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// good is the manifest as registries give it out.
var good = say(200, string(manifest), "Content-Type: "+document.MediaType, "Docker-Content-Digest: "+string(document.Digest))

// all is the layer as they give it out, by ranges too.
func all(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// inTurn answers requests one after the other, the last one again and again.
func inTurn(answers ...http.HandlerFunc) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		a := answers[min(n, len(answers)-1)]
		n++
		a(w, r)
	}
}

// times is an answer n times.
func times(n int, a http.HandlerFunc, then ...http.HandlerFunc) http.HandlerFunc {
	var answers []http.HandlerFunc
	for range n {
		answers = append(answers, a)
	}
	return inTurn(append(answers, then...)...)
}

// byMethod answers each method in its own way, and others not at all.
func byMethod(answers map[string]http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := answers[r.Method]
		if a == nil {
			a = say(405, "")
		}
		a(w, r)
	}
}

// raw writes an answer as it is, \n for the end of a line, and ends the connection.
func raw(text string) http.HandlerFunc { return rawThen(text, func() {}) }

// rawThen is raw, with something before the end.
func rawThen(text string, last func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
		last()
	}
}

// breaksOff ends the connection after n bytes of the body of an answer.
func breaksOff(n int64, next http.HandlerFunc) http.HandlerFunc {
	return fault.New(next, fault.Fault{CutAnswer: n}).ServeHTTP
}

// page is what a login shows.
var page = say(200, "<!DOCTYPE html><p>Log in\x1b[31m", "Content-Type: text/html")

func tags(want ...string) func(context.Context, *parties) error {
	return func(ctx context.Context, p *parties) error {
		var got []string
		err := p.repository(hosts.List).Tags(ctx, func(tag string) bool { got = append(got, tag); return true })
		if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("got the tags %q", got)
		}
		return err
	}
}

func referrers(n int) func(context.Context, *parties) error {
	return func(ctx context.Context, p *parties) error {
		got, err := p.repository(hosts.Pull).Referrers(ctx, document.Digest)
		if err == nil && len(got) != n {
			return fmt.Errorf("got %d referrers", len(got))
		}
		return err
	}
}

// index is a list of the layer, as what it refers to something by.
func index(fields ...string) http.HandlerFunc {
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":9}]}`,
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, layer.Digest)
	return say(200, text, append(fields, "Content-Type: "+ocispec.MediaTypeImageIndex)...)
}

var (
	unavailable = errdefs.ErrUnavailable
	denied      = errdefs.ErrPermissionDenied
	damaged     = errdefs.ErrDataLoss
	missing     = errdefs.ErrNotFound
	untrusted   = errdefs.ErrFailedPrecondition
)

// foreignAt is the layer, at a URL of its own.
func foreignAt(url string) ocispec.Descriptor {
	d := layer
	d.URLs = []string{url}
	return d
}
