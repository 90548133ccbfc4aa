package registry_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/registry/hosts"
)

// TestPutByAnotherAlgorithm has a tag be given to what is known by its sha512: B12.
func TestPutByAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	desc, data := emptyIndex("one")
	sum256 := desc.Digest
	desc.Digest = digest.SHA512.FromBytes(data)
	byDigest, byTag := "PUT manifests/"+desc.Digest.String(), "PUT manifests/v1"
	first, second := "PUT /v2/app/manifests/"+desc.Digest.String()+"?tag=v1", "PUT /v2/app/manifests/v1"
	named := say(201, "", "Docker-Content-Digest", string(sum256))
	for _, row := range []struct {
		name   string
		server script
		asked  []string
		kind   error
		logged bool
	}{
		{name: "B12 the registry gives it the tag", server: script{byDigest: say(201, "", "OCI-Tag", "v1")}, asked: []string{first}},
		{name: "B12 it does not say so", server: script{byDigest: say(201, ""), byTag: say(201, "")}, asked: []string{first, second}},
		{name: "B12 it gives it another tag", server: script{byDigest: say(201, "", "OCI-Tag", "v2"), byTag: named}, asked: []string{first, second}, logged: true},
		{name: "B12 it does not know the algorithm", server: script{byDigest: say(400, `{"errors":[{"code":"DIGEST_INVALID"}]}`), byTag: named}, asked: []string{first, second}, logged: true},
		{name: "B12 it does not find what is meant", server: script{byTag: named}, asked: []string{first, second}, logged: true},
		{name: "B12 it refuses", server: script{byDigest: say(403, ""), byTag: named}, asked: []string{first}, kind: errdefs.ErrPermissionDenied},
		{name: "B12 it refuses the tag as well", server: script{byDigest: say(400, ""), byTag: say(400, "")}, asked: []string{first, second}, kind: errdefs.ErrInvalidArgument},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, row.server)
			var log logged
			c := newClient(t, onceOptions(t, s, &log))
			err := repository(t, c, s.host()+"/app", hosts.Push).Put(t.Context(), desc, data, "v1")
			if row.kind != nil {
				wantKind(t, err, row.kind, s.host()+"/app:v1")
			} else if err != nil {
				t.Error(err)
			}
			want(t, s, row.asked...)
			if got := strings.Contains(log.String(), "another digest"); got != row.logged {
				t.Errorf("logged %s", log.String())
			}
		})
	}
}

// TestSHA512 gives tags to what is known by its sha512, and asks what they point at.
func TestSHA512(t *testing.T) {
	t.Parallel()
	desc, data := emptyIndex("one")
	sum256 := desc.Digest
	desc.Digest = digest.SHA512.FromBytes(data)
	for _, k := range kinds() {
		t.Run("B12 "+k.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, k.start(t))
			r := repository(t, clientOf(t, s), s.host()+"/app", hosts.Push)
			if err := r.Put(t.Context(), desc, data, "v1"); err != nil {
				t.Fatal(err)
			}
			got, _, err := r.Get(t.Context(), "v1")
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]digest.Digest{true: desc.Digest, false: sum256}[k.name == "olareg"]; got.Digest != want {
				t.Errorf("the tag points at %s, want %s", got.Digest, want)
			}
		})
	}
}
