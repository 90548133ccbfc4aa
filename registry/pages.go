package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/registry/wire"
)

const (
	pageSize  = 1000     // names that are asked for at a time
	pageBytes = 16 << 20 // of one page: registries may send more than they are asked for
	maxPages  = 20_000   // of one list
)

// errStop ends a list before its end, because enough is known.
var errStop = errors.New("no more is wanted")

// pages gets a list page by page, as far as the registry says that it goes on, and
// gives each to page. A list that goes in a circle, or on and on, is an error.
func (c *Client) pages(ctx context.Context, e *endpoint, path string, query url.Values, h how, page func(*http.Response) error) error {
	req, err := e.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	seen := map[[sha256.Size]byte]bool{}
	for n := 1; ; n++ {
		next, err := c.page(e, req, h, page)
		switch {
		case errors.Is(err, errStop):
			return nil
		case err != nil:
			return fmt.Errorf("page %d: %w", n, err)
		case next == nil:
			return nil
		}
		key := sha256.Sum256([]byte(next.String()))
		if seen[key] {
			return fmt.Errorf("page %d at %s leads back to an earlier one: %w", n, e, errdefs.ErrUnavailable)
		}
		if n == c.maxPages {
			return fmt.Errorf("%s has more than %d pages: %w", e, c.maxPages, errdefs.ErrResourceExhausted)
		}
		seen[key] = true
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), http.NoBody); err != nil {
			return fmt.Errorf("page %d at %s: %w: %w", n+1, e, err, errdefs.ErrUnavailable)
		}
		h.purpose = wire.Link
	}
}

// page gets one page and returns where the list goes on, if it does.
func (c *Client) page(e *endpoint, req *http.Request, h how, page func(*http.Response) error) (next *url.URL, err error) {
	req.Header.Set("Accept", "application/json, "+indexType)
	resp, err := c.exchange(e, req, h, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := page(resp); err != nil {
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	return e.server.route().full.NextPage(resp)
}

// names takes the names out of the pages of a list.
type names struct {
	field string             // of the page
	valid func(string) error // the grammar
	yield func(string) bool

	last    string
	skipped int
	example string // of what was skipped
}

var nameFields = strictjson.NewFields("name", "tags", "repositories")

// page reads one page and yields its names, but for what breaks the grammar and what
// is the same as the one before. It returns errStop when yield wants no more.
func (l *names) page(data []byte) error {
	err := strictjson.Read(data, strictjson.Limits{Bytes: pageBytes}, func(r *strictjson.Reader) error {
		return r.Record(nameFields, func(member string) error {
			if member != l.field {
				return nil
			}
			return r.Array(func(int) error { return l.element(r) })
		})
	})
	if err != nil && !errors.Is(err, errStop) {
		// It is the registry that is wrong, and not who asked.
		return &plainError{text: fmt.Sprintf("not a list of %s: %v; it begins %s", l.field, err, begin(data)), kind: errdefs.ErrUnavailable}
	}
	return err
}

func (l *names) element(r *strictjson.Reader) error {
	if r.Kind() != strictjson.String { // null, for one registry
		l.skip("")
		return r.Skip()
	}
	name, err := r.String()
	if err != nil {
		return err
	}
	switch {
	case l.valid(name) != nil:
		l.skip(name)
	case name == l.last:
	default:
		l.last = name
		if !l.yield(name) {
			return errStop
		}
	}
	return nil
}

func (l *names) skip(name string) {
	if l.skipped++; l.skipped == 1 {
		l.example = name
	}
}

// list yields the names of a list, and logs what it left out once.
func (c *Client) list(ctx context.Context, e *endpoint, path string, h how, l *names) error {
	defer func() {
		if l.skipped > 0 {
			c.log.Warn("names that no client could use were left out", "list", l.field, "registry", e.String(),
				"count", l.skipped, "first", quote(l.example))
		}
	}()
	query := url.Values{"n": {fmt.Sprint(pageSize)}}
	return c.pages(ctx, e, path, query, h, func(resp *http.Response) error {
		data, err := read(resp, pageBytes)
		if err != nil {
			return err
		}
		return l.page(data)
	})
}
