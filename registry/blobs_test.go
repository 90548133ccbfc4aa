package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/transport"
)

// opener opens data at any offset.
func opener(data []byte) transport.Opener {
	return func(_ context.Context, from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[from:])), nil
	}
}

// fetched returns the bytes of a blob.
func fetched(t *testing.T, r *registry.Repository, desc ocispec.Descriptor) string {
	t.Helper()
	body, err := r.OpenBlob(t.Context(), desc, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestBlobs moves a blob as the first thing that a server is asked for, whose scheme
// is not known then.
func TestBlobs(t *testing.T) {
	t.Parallel()
	content := []byte("the content of a blob")
	desc := descriptor("application/octet-stream", content)
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, k.start(t))
			c := clientOf(t, s)
			if _, err := repository(t, c, s.host()+"/app", hosts.Push).Blobs().Push(t.Context(), desc, opener(content), blob.PushOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := fetched(t, repository(t, clientOf(t, s), s.host()+"/app", hosts.Pull), desc); got != string(content) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestBlobsWithTokens asks for the scopes that the use of a blob needs, for a mount
// those of both repositories.
func TestBlobsWithTokens(t *testing.T) {
	t.Parallel()
	content := []byte("the content of a blob")
	desc := descriptor("application/octet-stream", content)
	g := &guard{}
	s, c, log := tokenWorld(t, g, password())
	from, to := repository(t, c, s.host()+"/team/from", hosts.Push), repository(t, c, s.host()+"/team/to", hosts.Push)
	if _, err := from.Blobs().Push(t.Context(), desc, opener(content), blob.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	name, ok := to.Beside(parse(t, s.host()+"/team/from:v1"))
	if !ok || name != "team/from" {
		t.Fatalf("%q, %t", name, ok)
	}
	out, err := to.Blobs().Push(t.Context(), desc, opener(nil), blob.PushOptions{MountFrom: name})
	if err != nil || out.Action != transport.Mounted {
		t.Fatalf("%v, %v", out, err)
	}
	if got := fetched(t, to, desc); got != string(content) {
		t.Errorf("got %q", got)
	}
	want := []string{"GET repository:team/from:pull,push", "GET repository:team/from:pull repository:team/to:pull,push"}
	if got := g.requests(); !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
	hidden(t, log.String())
}

// TestTokenExpiresBeforeTheContent has a token that was good for the beginning of an
// upload be refused with its content.
func TestTokenExpiresBeforeTheContent(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("content "), 1<<10)
	desc := descriptor("application/octet-stream", content)
	g := &guard{}
	s, c, _ := tokenWorld(t, g, password())
	r := repository(t, c, s.host()+"/app", hosts.Push)
	opened := 0
	open := func(ctx context.Context, from int64) (io.ReadCloser, error) {
		if opened++; opened == 1 {
			g.mu.Lock()
			g.issued = nil
			g.mu.Unlock()
		}
		return opener(content)(ctx, from)
	}
	if _, err := r.Blobs().Push(t.Context(), desc, open, blob.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := fetched(t, r, desc); got != string(content) {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestBeside(t *testing.T) {
	t.Parallel()
	c := newClient(t, registry.Options{Hosts: configure(t, `
[[registry]]
prefix = "moved.example/team"
location = "new.example/place"
[[registry]]
prefix = "blocked.example"
location = "new.example"
blocked = true
`)})
	r := repository(t, c, "new.example/app", hosts.Push)
	for name, want := range map[string]string{
		"new.example/other":      "other true",
		"new.example:443/other":  " false",
		"moved.example/team/a:1": "place/a true",
		"moved.example/other":    " false",
		"blocked.example/a":      " false",
	} {
		path, ok := r.Beside(parse(t, name))
		if got := fmt.Sprint(path, " ", ok); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := r.Endpoint(); got != "https://new.example/v2/app" {
		t.Error(got)
	}
}
