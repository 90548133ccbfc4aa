package embedded

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/image"
	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// The limits of labels, in bytes: of a key and its value together, and of all.
const (
	maxLabel  = 4 << 10
	maxLabels = 64 << 10
)

// move is a store.Move that was checked.
type move struct {
	store.Move
	dangling digest.Digest // of the record, if it is a dangling one
}

// removes reports whether the record is removed.
func (m move) removes() bool { return m.To.Digest == "" }

// checkMoves checks what can be checked without looking at what there is.
func (s *Store) checkMoves(moves []store.Move) ([]move, error) {
	all := make([]move, len(moves))
	seen := make(map[string]bool, len(moves))
	for i, m := range moves {
		all[i].Move = m
		if err := all[i].check(); err != nil {
			return nil, fmt.Errorf("moving the name %.512q: %w", m.Name, err)
		}
		if seen[m.Name] {
			return nil, fmt.Errorf("moving the name %.512q twice: %w", m.Name, errdefs.ErrInvalidArgument)
		}
		seen[m.Name] = true
	}
	return all, nil
}

func (m *move) check() error {
	if err := m.checkName(); err != nil {
		return err
	}
	if d := m.If.Digest; d != "" {
		if _, err := image.ParseDigest(string(d)); err != nil {
			return fmt.Errorf("condition: %w", err)
		}
		if m.If.Absent {
			return fmt.Errorf("it shall be absent and point at %s: %w", d, errdefs.ErrInvalidArgument)
		}
	}
	if err := checkLabels(m.Labels); err != nil {
		return err
	}
	m.Labels = maps.Clone(m.Labels) // the caller's may change before they are written
	if m.removes() {
		if m.To.MediaType != "" || m.To.Size != 0 {
			return fmt.Errorf("its target has no digest: %w", errdefs.ErrInvalidArgument)
		}
		return nil
	}
	if _, err := image.ParseDigest(string(m.To.Digest)); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if m.dangling != "" && m.dangling != m.To.Digest {
		return fmt.Errorf("a dangling record cannot point at %s: %w", m.To.Digest, errdefs.ErrInvalidArgument)
	}
	if !image.IsDocument(m.To.MediaType) {
		return fmt.Errorf("target: media type %.256q is not that of a manifest or list: %w", m.To.MediaType, errdefs.ErrInvalidArgument)
	}
	m.To = ocispec.Descriptor{MediaType: m.To.MediaType, Digest: m.To.Digest, Size: m.To.Size}
	return nil
}

// checkName checks that a name is in its normal form.
func (m *move) checkName() error {
	if text, ok := strings.CutPrefix(m.Name, "@"); ok {
		d, err := image.ParseDigest(text)
		m.dangling = d
		return err
	}
	r, err := ref.Parse(m.Name)
	if err != nil {
		return err
	}
	if r.String() != m.Name || r.IsNameOnly() {
		return fmt.Errorf("it is not in its normal form, which is %.512q: %w", r.Tagged().String(), errdefs.ErrInvalidArgument)
	}
	return nil
}

func checkLabels(labels map[string]string) error {
	total := 0
	for key, value := range labels {
		if key == "" {
			return fmt.Errorf("a label has no key: %w", errdefs.ErrInvalidArgument)
		}
		if len(key)+len(value) > maxLabel {
			return fmt.Errorf("label %.64q has %d bytes, at most %d are allowed: %w", key, len(key)+len(value), maxLabel, errdefs.ErrResourceExhausted)
		}
		total += len(key) + len(value)
	}
	if total > maxLabels {
		return fmt.Errorf("the labels have %d bytes, at most %d are allowed: %w", total, maxLabels, errdefs.ErrResourceExhausted)
	}
	return nil
}

// tryMoves checks moves against what there is, and what a batch has put. It writes
// nothing.
func (s *Store) tryMoves(tx *catalog.Tx, moves []move, put map[digest.Digest]*wanted) error {
	for _, m := range moves {
		if err := s.try(tx, m, put); err != nil {
			return fmt.Errorf("moving the name %.512q: %w", m.Name, err)
		}
	}
	return nil
}

func (s *Store) try(tx *catalog.Tx, m move, put map[digest.Digest]*wanted) error {
	before, err := tx.Get(m.Name)
	switch {
	case err != nil && !errdefs.IsNotFound(err):
		return err
	case m.If.Absent && err == nil:
		return fmt.Errorf("it is there, and points at %s: %w", before.Target.Digest, errdefs.ErrFailedPrecondition)
	case m.If.Digest != "" && err != nil:
		return fmt.Errorf("it is not there, and should point at %s: %w", m.If.Digest, errdefs.ErrFailedPrecondition)
	case m.If.Digest != "" && before.Target.Digest != m.If.Digest:
		return fmt.Errorf("it points at %s, and should at %s: %w", before.Target.Digest, m.If.Digest, errdefs.ErrFailedPrecondition)
	case m.removes():
		return nil
	}
	size, err := targetSize(tx, m, put)
	if err != nil {
		return fmt.Errorf("its target is not there: %w", err)
	}
	if size != m.To.Size {
		return fmt.Errorf("its target %s has %d bytes, not %d: %w", m.To.Digest, size, m.To.Size, errdefs.ErrInvalidArgument)
	}
	return nil
}

// targetSize returns the size of the target of a move.
func targetSize(tx *catalog.Tx, m move, put map[digest.Digest]*wanted) (int64, error) {
	if w := put[m.To.Digest]; w != nil {
		return w.size, nil
	}
	blob, err := tx.Blob(m.To.Digest)
	return blob.Size, err
}

// makeMoves moves names, for which tryMoves was called in the same transaction.
func (s *Store) makeMoves(tx *catalog.Tx, moves []move, now time.Time) ([]store.Moved, error) {
	moved := make([]store.Moved, len(moves))
	for i, m := range moves {
		before, err := tx.Get(m.Name)
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
		moved[i].Before = before
		if err := makeMove(tx, m, before, now); err != nil {
			return nil, err
		}
	}
	for i, m := range moves {
		if err := leaveDangling(tx, m, moved[i].Before, now); err != nil {
			return nil, err
		}
	}
	for i := range moves {
		before := moved[i].Before
		if before.Name == "" {
			continue
		}
		_, err := tx.Get("@" + string(before.Target.Digest))
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
		moved[i].Dangling = err == nil
	}
	return moved, nil
}

// makeMove writes one record, of which before is what there was.
func makeMove(tx *catalog.Tx, m move, before store.Record, now time.Time) error {
	there := before.Target.Digest != ""
	if m.removes() {
		if !there {
			return nil
		}
		return tx.Do(catalog.DropName{Key: m.Name})
	}
	r := store.Record{Name: m.Name, Target: m.To, Labels: m.Labels, Created: now, Updated: now}
	if m.dangling != "" {
		r.Name = ""
	}
	if there {
		r.Created = before.Created
		if m.Labels == nil {
			r.Labels = before.Labels
		}
	}
	return tx.Do(catalog.PutName{Record: r})
}

// leaveDangling keeps what a name pointed at before, and ends that what it points at now
// is dangling. It is called when all names have moved.
func leaveDangling(tx *catalog.Tx, m move, before store.Record, now time.Time) error {
	if !m.removes() {
		if err := endDangling(tx, m); err != nil {
			return err
		}
	}
	old := before.Target.Digest
	if old == "" || old == m.To.Digest || m.Forget || m.dangling != "" {
		return nil
	}
	if named, err := tx.Named(old); err != nil || named {
		return err
	}
	if _, err := tx.Get("@" + string(old)); !errdefs.IsNotFound(err) {
		return err // another name of this call has left it
	}
	return tx.Do(catalog.PutName{Record: store.Record{Target: before.Target, Labels: before.Labels, Created: now, Updated: now}})
}

// endDangling removes the dangling record of what a name points at now.
func endDangling(tx *catalog.Tx, m move) error {
	named, err := tx.Named(m.To.Digest)
	if err != nil || !named {
		return err
	}
	if m.dangling != "" {
		return fmt.Errorf("a name points at %s, which cannot be dangling: %w", m.To.Digest, errdefs.ErrFailedPrecondition)
	}
	key := "@" + string(m.To.Digest)
	if _, err := tx.Get(key); err != nil {
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
	return tx.Do(catalog.DropName{Key: key})
}
