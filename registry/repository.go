package registry

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/blob"
	"github.com/dhowhq/dhow/registry/hosts"
)

// Repository is a repository of a registry, for one use. It is safe for use by
// several goroutines at once.
//
// Where there are mirrors, each request goes to the first of them, and on to the
// next and at last to the registry when one fails or does not have what is asked
// for. The endpoint that answered a Get or Head first is kept: from then on requests
// begin with it, until it fails. Tags are always those of the registry.
type Repository struct {
	client    *Client
	name      ref.Reference
	use       hosts.Use
	endpoints []*endpoint
	blobs     []blobs      // of each endpoint
	chosen    atomic.Int32 // the endpoint that is kept, or none

	mu       sync.Mutex
	mirrored map[digest.Digest]trust // blobs that mirrors have given out
}

const none = -1

// String returns the repository's name, without tag and digest.
func (r *Repository) String() string { return r.name.Name() }

// Endpoint returns the URL of the endpoint that is asked first, and the repository
// there, for a message.
func (r *Repository) Endpoint() string { return r.first().String() }

// Blobs returns the blobs of the repository at the endpoint that is asked first: the
// one that answered for the manifest, if one has. Requests for them are authorised
// as those of the Repository are. To read a blob from wherever it is, see OpenBlob.
func (r *Repository) Blobs() *blob.Repository { return r.blobs[max(0, r.chosen.Load())].full }

// Beside returns what another name's repository is called at the endpoint that is
// asked first, and whether that server has it: only then can a blob be mounted from
// there.
func (r *Repository) Beside(name ref.Reference) (repository string, ok bool) {
	if name == (ref.Reference{}) {
		return "", false
	}
	others, err := r.client.endpoints(name, r.use)
	if err != nil {
		return "", false // it is blocked, say: then nothing is taken from it either
	}
	e := r.first()
	for _, o := range others {
		if o.server == e.server && !o.Mirror {
			return o.Path, true
		}
	}
	return "", false
}

func (r *Repository) first() *endpoint { return r.endpoints[max(0, r.chosen.Load())] }

// opened returns an error unless the repository was opened for that use. Another one
// may have endpoints that are not for it, such as mirrors for a push.
func (r *Repository) opened(use hosts.Use) error {
	if r.use != use {
		return fmt.Errorf("the repository was opened to %s and not to %s: %w", r.use, use, errdefs.ErrInvalidArgument)
	}
	return nil
}

// object returns the name of a tag, digest or the repository in an error.
func (r *Repository) object(reference string) string {
	switch {
	case reference == "":
		return r.String()
	case strings.Contains(reference, ":"):
		return r.String() + "@" + reference
	}
	return r.String() + ":" + reference
}

// at returns what a reference is called at an endpoint: the configuration may have
// another tag for that of the name.
func (r *Repository) at(e *endpoint, reference string) string {
	if e.Tag != "" && reference == r.name.Tagged().Tag() {
		return e.Tag
	}
	return reference
}

// scopes are the rights that the use of a repository needs.
func (e *endpoint) scopes(use hosts.Use) []string {
	var actions []string
	switch use {
	case hosts.Push:
		actions = []string{auth.ActionPull, auth.ActionPush}
	case hosts.Delete:
		// What is deleted is looked at before and after.
		actions = []string{auth.ActionPull, auth.ActionDelete}
	default:
		actions = []string{auth.ActionPull}
	}
	return []string{auth.ScopeRepository(e.Path, actions...)}
}
