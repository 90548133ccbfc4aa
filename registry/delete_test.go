package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/registry/hosts"
)

func TestDeletionThatIsRefused(t *testing.T) {
	t.Parallel()
	one, data := emptyIndex("one")
	there := served(one, data)
	byDigest := "manifests/" + one.Digest.String()
	unsupported := `{"errors":[{"code":"UNSUPPORTED"}]}`
	for _, row := range []struct {
		name   string
		server script
		tag    bool
		kind   error
		text   string
	}{
		{name: "a tag, 405", tag: true, server: script{"HEAD": there, "DELETE": say(405, unsupported)}, kind: errdefs.ErrNotImplemented, text: "UNSUPPORTED"},
		{name: "a tag, 400", tag: true, server: script{"HEAD": there, "DELETE": say(400, unsupported)}, kind: errdefs.ErrNotImplemented, text: "UNSUPPORTED"},
		{name: "a tag that is there is not found", tag: true, server: script{"HEAD": there, "DELETE": say(404, "")}, kind: errdefs.ErrNotImplemented, text: "404"},
		{name: "a tag, forbidden", tag: true, server: script{"HEAD": there, "DELETE": say(403, "")}, kind: errdefs.ErrPermissionDenied, text: "403"},
		{name: "the manifest goes with the tag", tag: true, server: script{"HEAD manifests/v1": there, "DELETE": say(202, "")}, kind: errdefs.ErrNotImplemented, text: "has deleted the manifest " + one.Digest.String()},
		{name: "after it the registry fails", tag: true, server: script{"HEAD manifests/v1": there, "DELETE": say(202, ""), "HEAD " + byDigest: say(500, "")}, kind: errdefs.ErrUnavailable, text: "the tag is deleted"},
		{name: "a tag that is not there", tag: true, server: script{}, kind: errdefs.ErrNotFound, text: ":v1"},
		{name: "a manifest, 405", server: script{"DELETE": say(405, "")}, kind: errdefs.ErrNotImplemented, text: "405"},
		{name: "a manifest, 400", server: script{"DELETE": say(400, unsupported)}, kind: errdefs.ErrNotImplemented, text: "UNSUPPORTED"},
		{name: "a manifest that is not there", server: script{"DELETE": http.NotFound}, kind: errdefs.ErrNotFound, text: one.Digest.String()},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, row.server)
			r := repository(t, clientOnce(t, s), s.host()+"/app", hosts.Delete)
			var err error
			if row.tag {
				err = r.DeleteTag(t.Context(), "v1")
			} else {
				err = r.DeleteManifest(t.Context(), one.Digest)
			}
			wantKind(t, err, row.kind, s.host()+"/app", row.text)
			if !errdefs.IsNotFound(row.kind) && errdefs.IsNotFound(err) {
				t.Errorf("taken for what is not there: %v", err)
			}
			for _, request := range s.asked() {
				if row.tag && strings.HasPrefix(request, "DELETE") && !strings.HasSuffix(request, "/v1") {
					t.Errorf("more than the tag was to be deleted: %s", request)
				}
			}
		})
	}
}
