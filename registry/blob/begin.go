package blob

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/dhowhq/dhow/transport"
)

// begin has the registry mount the blob, take it at once, or begin an upload. Without a
// session the blob is there.
func (p *push) begin(ctx context.Context) (*session, transport.Outcome, error) {
	mount, there := p.mount()
	if p.mayPost() {
		s, done, err := p.whole(ctx, mount)
		if done || s != nil || err != nil {
			return s, p.copied(), err
		}
	}
	wait := p.ahead()
	s, err := p.session(ctx, mount)
	if s == nil {
		p.cancel() // nobody will read the content
	}
	wait()
	if s == nil && err == nil {
		p.repo.had.Store(true)
	}
	return s, there, err
}

// session asks for one, or a mount if there is a query, and without that again if it may
// be the mount that the registry does not like.
func (p *push) session(ctx context.Context, mount url.Values) (*session, error) {
	s, refused, err := p.post(ctx, mount)
	if !refused {
		return s, err
	}
	s, _, err = p.post(ctx, nil)
	if err == nil && p.opts.MountFrom == "" {
		p.repo.noMount.Store(true)
	}
	return s, err
}

// mount returns the query that asks for a mount, and what a mount means. Without a
// repository that is known to have the blob its own is named: there are registries
// that look nowhere if none is, and others that look everywhere whichever it is.
func (p *push) mount() (url.Values, transport.Outcome) {
	query := url.Values{"mount": {string(p.content.desc.Digest)}, "from": {p.opts.MountFrom}}
	switch {
	case p.opts.MountFrom != "":
		return query, transport.Outcome{Action: transport.Mounted}
	case p.repo.noMount.Load():
		return nil, transport.Outcome{}
	}
	query.Set("from", p.repo.name)
	return query, transport.Outcome{Action: transport.Reused}
}

// post asks for a session, or a mount if there is a query. refused says that it may
// be the mount that the registry does not like.
func (p *push) post(ctx context.Context, mount url.Values) (s *session, refused bool, err error) {
	resp, err := send(ctx, p.repo.clients.Control, http.MethodPost, p.repo.uploads(mount))
	if err != nil {
		return nil, false, err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusCreated && len(mount) > 0 {
		same, known := sameDigest(resp, p.content.desc.Digest)
		return nil, known && !same, nil
	}
	if err := accept(resp, http.StatusAccepted); err != nil {
		return nil, len(mount) > 0 && resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusTooManyRequests, err
	}
	s, err = p.repo.session(resp)
	return s, false, err
}

// uploads returns the URL at which an upload begins.
func (r *Repository) uploads(query url.Values) *url.URL {
	u := r.base.JoinPath("blobs/uploads/")
	u.RawQuery = query.Encode()
	return u
}

// session returns the one that an answer has begun.
func (r *Repository) session(resp *http.Response) (*session, error) {
	s := &session{repo: r, location: r.uploads(nil), minPiece: resp.Header.Get("OCI-Chunk-Min-Length")}
	if resp.Request != nil && resp.Request.URL != nil {
		s.location = resp.Request.URL // a redirect may have led there
	}
	err := s.move(resp)
	return s, err
}

// posts is what is known of whether a registry takes a blob with the request that
// begins its upload. Those that do not begin an upload just the same: it costs one blob
// in vain to find out, and one only.
type posts struct{ state atomic.Int32 }

const (
	postsUnknown int32 = iota
	postsAsked
	postsTaken
	postsNot
)

// mayPost reports whether the blob is to be sent that way. A registry that may have it
// already, in another repository, is asked for that first.
func (p *push) mayPost() bool {
	size, state := p.content.desc.Size, &p.repo.posts.state
	if size == 0 || size > p.repo.opts.PostUpTo || p.opts.MountFrom != "" || p.tries > 0 {
		return false
	}
	return state.Load() == postsTaken || state.CompareAndSwap(postsUnknown, postsAsked)
}

// whole sends the blob with the request that begins its upload. Without a session, and
// not done, it is to be sent in another way.
func (p *push) whole(ctx context.Context, query url.Values) (s *session, done bool, err error) {
	verdict := postsNot
	defer func() { p.repo.posts.state.Store(verdict) }()
	if err := p.content.keep(room{{rest: make([]byte, p.content.desc.Size)}}); err != nil {
		verdict = postsUnknown
		return nil, false, err
	}
	all := url.Values{"digest": {string(p.content.desc.Digest)}}
	maps.Copy(all, query)
	s = &session{repo: p.repo, location: p.repo.uploads(all)}
	resp, err := p.send(ctx, s, http.MethodPost, p.content.desc.Size, "")
	if err != nil {
		verdict = postsUnknown // it need not have been asked at all
		return nil, false, context.Cause(ctx)
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusCreated:
		if same, known := sameDigest(resp, p.content.desc.Digest); same || !known {
			verdict = postsTaken
			return nil, true, nil
		}
	case http.StatusAccepted:
		s, err = p.repo.session(resp)
		return s, false, err
	}
	return nil, false, nil
}
