package containerd

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/internal/strictjson"
	"github.com/dhowhq/dhow/store"
)

// The refs of ingests. A caller's ref may hold bytes that containerd's cannot, and is
// used again while what was committed under it is not published yet: so its ingest has
// a number, 0 for most.
const (
	refPut    = "dhow-put/"    // and the digest; but for the first of them a slash and a number
	refWriter = "dhow-writer/" // and the number, a slash, and the caller's ref in base64
)

func putRef(d digest.Digest, number int) string {
	if number == 0 {
		return refPut + d.String()
	}
	return refPut + d.String() + "/" + strconv.Itoa(number)
}

func writerRef(ref string, number int) string {
	return refWriter + strconv.Itoa(number) + "/" + base64.RawURLEncoding.EncodeToString([]byte(ref))
}

// callersRef returns what a caller knows an ingest as: one of Put as its digest.
func callersRef(ingest string) string {
	if rest, put := strings.CutPrefix(ingest, refPut); put {
		d, _, _ := strings.Cut(rest, "/")
		if _, err := image.ParseDigest(d); err == nil {
			return d
		}
	}
	rest, ours := strings.CutPrefix(ingest, refWriter)
	number, encoded, numbered := strings.Cut(rest, "/")
	_, badNumber := strconv.Atoi(number)
	ref, bad := base64.RawURLEncoding.DecodeString(encoded)
	if !ours || !numbered || badNumber != nil || bad != nil {
		return ingest
	}
	return string(ref)
}

// statuses returns the ingests of the namespace.
func (s *Store) statuses(ctx context.Context) ([]*contentapi.Status, error) {
	answer, err := s.content.ListStatuses(ctx, &contentapi.ListStatusesRequest{})
	if err != nil {
		return nil, fmt.Errorf("listing partial content: %w", err)
	}
	return answer.GetStatuses(), nil
}

// Partial lists the ingests of the namespace, whoever writes them. containerd gives up
// those that are a day old.
func (s *Store) Partial(ctx context.Context) ([]store.Partial, error) {
	statuses, err := s.statuses(ctx)
	if err != nil {
		return nil, err
	}
	var all []store.Partial
	for _, status := range statuses {
		if s.ingests.isComplete(status.GetRef()) {
			continue
		}
		all = append(all, store.Partial{
			Ref: callersRef(status.GetRef()), Offset: status.GetOffset(),
			Started: status.GetStartedAt().AsTime(), Updated: status.GetUpdatedAt().AsTime(),
		})
	}
	return all, nil
}

// Abort forgets what was written under a ref, or of a digest by Put.
func (s *Store) Abort(ctx context.Context, ref string) error {
	statuses, err := s.statuses(ctx)
	if err != nil {
		return err
	}
	found, written := false, error(nil)
	for _, status := range statuses {
		ingest := status.GetRef()
		if callersRef(ingest) != ref || s.ingests.isComplete(ingest) {
			continue
		}
		if s.ingests.isOpen(ingest) {
			return fmt.Errorf("partial content %s is being written: %w", strictjson.Quote(ref), errdefs.ErrUnavailable)
		}
		found = true
		err := s.abortUnlessWritten(ctx, ingest)
		if errdefs.IsUnavailable(err) {
			written = err // there can be others of a digest
		} else if err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("partial content %s: %w", strictjson.Quote(ref), errdefs.ErrNotFound)
	}
	return written
}

// abortUnlessWritten removes an ingest. It is opened first, which containerd refuses while
// anybody else, another process too, writes it: to remove it is never refused.
func (s *Store) abortUnlessWritten(ctx context.Context, ingest string) error {
	in, err := s.tryIngest(ctx, ingest, 0, "")
	if err != nil {
		return err
	}
	defer in.close()
	return s.abort(ctx, ingest)
}

// abort removes an ingest.
func (s *Store) abort(ctx context.Context, ingest string) error {
	if _, err := s.content.Abort(ctx, &contentapi.AbortRequest{Ref: ingest}); err != nil {
		return fmt.Errorf("giving up partial content %s: %w", strictjson.Quote(ingest), err)
	}
	return nil
}
