package registry_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
	"github.com/dhowhq/dhow/registry/wire"
)

// TestForeignLayers reads a blob that the registry does not have from where its
// descriptor says, if the policy allows that, and without the registry's credential.
func TestForeignLayers(t *testing.T) {
	t.Parallel()
	data, desc := someBlob()
	for _, row := range []struct {
		name   string
		policy func(elsewhere string) wire.Policy
		want   error
		asked  int
	}{
		{name: "by default", want: errdefs.ErrNotFound},
		{name: "hosts alone", policy: func(h string) wire.Policy { return wire.Policy{AllowedHosts: []string{h}} }, want: errdefs.ErrNotFound},
		{
			// The registry is at such an address as well, but did not choose this one.
			name: "at an address that is not public", want: errdefs.ErrPermissionDenied,
			policy: func(string) wire.Policy { return wire.Policy{ForeignLayers: true} },
		},
		{
			name: "allowed", asked: 1,
			policy: func(h string) wire.Policy { return wire.Policy{ForeignLayers: true, AllowedHosts: []string{h}} },
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			home := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.WriteHeader(http.StatusNotFound)
			}))
			elsewhere := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, name := range []string{"Authorization", "Cookie", "Referer"} {
					if v := r.Header.Get(name); v != "" {
						t.Errorf("%s: %s was sent", name, v)
					}
				}
				gives(data)(w, r)
			}))
			store, err := credentials.Static(home.host(), credentials.Credential{Username: "user", Password: credentials.NewSecret("secret")})
			if err != nil {
				t.Fatal(err)
			}
			opts := registry.Options{Hosts: configure(t, insecure(home.host())), Credentials: store}
			if row.policy != nil {
				opts.Policy = func(wire.Origin) wire.Policy { return row.policy(elsewhere.host()) }
			}
			there := desc
			there.URLs = []string{elsewhere.URL + "/layer"}
			in, err := repository(t, newClient(t, opts), home.host()+"/app", hosts.Pull).OpenBlob(t.Context(), there, 0)
			if err == nil {
				defer in.Close()
				got, readErr := io.ReadAll(in)
				if readErr != nil || len(got) != len(data) {
					t.Errorf("%d bytes of %d, %v", len(got), len(data), readErr)
				}
			}
			wantKind(t, err, row.want)
			if asked := elsewhere.asked(); len(asked) != row.asked {
				t.Errorf("asked elsewhere: %q", asked)
			}
		})
	}
}
