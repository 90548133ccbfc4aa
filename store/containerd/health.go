package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// labelDamaged is on content that was read and is not what its digest says: to all
// processes it is not there any more, and the next Put writes it anew.
const labelDamaged = spaceOurs + "damaged"

// errDamaged is errAbsent for what is in the way of the right bytes.
var errDamaged = fmt.Errorf("it is damaged: %w", errAbsent)

// health is what this process knows of the bytes of a blob.
type health int

const (
	unknown health = iota
	good
	damaged // and containerd could not be told
)

func (d *documents) mark(of digest.Digest, h health) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health[of] = h
}

func (d *documents) verified(of digest.Digest) bool { return d.healthOf(of) == good }

func (d *documents) healthOf(of digest.Digest) health {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.health[of]
}

// isDamaged reports whether content is known not to be what its digest says.
func (s *Store) isDamaged(info *contentapi.Info) bool {
	return info.GetLabels()[labelDamaged] != "" || s.docs.healthOf(digest.Digest(info.GetDigest())) == damaged
}

// noteDamage notes that what was opened at that time is damaged, unless something else has
// taken its place since. Who reads is not troubled with what comes of it.
func (s *Store) noteDamage(ctx context.Context, d digest.Digest, opened time.Time) {
	s.docs.mark(d, unknown)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	info, err := s.rawInfo(ctx, d)
	if err == nil && info.GetCreatedAt().AsTime().After(opened) {
		return
	}
	if err == nil {
		_, err = s.content.Update(ctx, &contentapi.UpdateRequest{
			Info:       &contentapi.Info{Digest: d.String(), Labels: map[string]string{labelDamaged: "true"}},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"labels." + labelDamaged}},
		})
	}
	if err != nil && !errdefs.IsNotFound(err) {
		s.docs.mark(d, damaged)
		s.log.Warn("that a blob in containerd is damaged is not noted there", "digest", d, "error", err)
	}
}

// verify reads a blob to its end.
func (s *Store) verify(ctx context.Context, d digest.Digest, size int64) error {
	r, err := s.newReader(ctx, d, size, func() error { return nil })
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// discard removes a damaged blob, so that the right one can take its place, and returns
// the labels for that, also with an error. Meanwhile the lease holds what these have kept.
func (s *Store) discard(ctx context.Context, lease string, d digest.Digest) (labels map[string]string, err error) {
	labels = map[string]string{}
	info, err := s.rawInfo(ctx, d)
	if err == nil {
		maps.Copy(labels, info.GetLabels())
		delete(labels, labelDamaged)
		err = s.holdKept(ctx, lease, d, labels)
	}
	if err == nil {
		_, err = s.content.Delete(ctx, &contentapi.DeleteContentRequest{Digest: d.String()})
		s.docs.mark(d, unknown)
	}
	if err == nil || errdefs.IsNotFound(err) { // without a record there can be a file
		err = s.collect(ctx)
	}
	if err != nil {
		return labels, fmt.Errorf("removing what is damaged: %w", err)
	}
	return labels, nil
}

// labelSnapshot begins the labels by which containerd keeps snapshots; the snapshotter
// follows, and what comes after a slash is a name like any other.
const labelSnapshot = "containerd.io/gc.ref.snapshot."

// holdKept has a lease hold what content keeps by its labels, whoever has made them, and
// what is kept because it refers to it.
func (s *Store) holdKept(ctx context.Context, lease string, d digest.Digest, labels map[string]string) error {
	release, err := s.leasing.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	for name, value := range labels {
		kind := ""
		if snapshotter, ok := strings.CutPrefix(name, labelSnapshot); ok {
			snapshotter, _, _ = strings.Cut(snapshotter, "/")
			kind = "snapshots/" + snapshotter
		} else if strings.HasPrefix(name, strings.TrimSuffix(labelReference, ".")) {
			kind = resourceContent
		}
		if kind == "" {
			continue
		}
		if err := lost(s.addResource(ctx, lease, kind, value)); err != nil {
			return err
		}
	}
	referrers, err := s.referrers(ctx, d)
	for _, r := range referrers {
		err = errors.Join(err, lost(s.addResource(ctx, lease, resourceContent, r.String())))
	}
	return err
}
