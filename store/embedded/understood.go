package embedded

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

// errOnceMore says that something has become visible since, which is to be understood too.
var errOnceMore = fmt.Errorf("what is below it has changed again and again: %w", errdefs.ErrUnavailable)

// maxTries is how often something is tried that fails with errOnceMore.
const maxTries = 100

// onceMore does something until it does not fail with errOnceMore.
func onceMore(do func() error) (err error) {
	for range maxTries {
		if err = do(); !errors.Is(err, errOnceMore) {
			return err
		}
	}
	return err
}

// check fails with errOnceMore if there is something to be understood that was not there when
// it was looked for, or that nobody had called so. It writes nothing.
func (u *understanding) check(tx *catalog.Tx) error {
	state, err := tx.State()
	if err != nil || state.Journal == u.at && tx.Writes() == 0 {
		return err
	}
	for d, w := range u.put {
		f := u.ofBlob(w)
		if f == nil && u.found[d] == nil && !u.not[d] {
			if err := checkCalled(tx, d); err != nil {
				return err
			}
		}
		if err := u.checkBelow(tx, f); err != nil {
			return err
		}
	}
	for _, f := range u.found {
		if err := u.checkBelow(tx, f); err != nil {
			return err
		}
	}
	return nil
}

// checkCalled fails with errOnceMore if a blob that becomes visible is a document or a config
// to a document. Of one that was visible before whoever brought the document has seen to it.
func checkCalled(tx *catalog.Tx, d digest.Digest) error {
	_, err := tx.Blob(d)
	if !errdefs.IsNotFound(err) {
		return err
	}
	as, err := tx.Understood(d)
	if err == nil && len(as) > 0 {
		err = errOnceMore
	}
	return err
}

// checkBelow fails with errOnceMore if something that a document names was not there, or had
// no facts, and now it is there and lacks them.
func (u *understanding) checkBelow(tx *catalog.Tx, f *store.Facts) error {
	if f == nil {
		return nil
	}
	for _, e := range f.Edges {
		k, err := kindOf(e.Role, e.Desc.MediaType)
		d := e.Desc.Digest
		if err != nil || k == opaque || u.put[d] != nil || u.found[d] != nil || u.not[d] {
			continue
		}
		lacking, err := tx.Lacks(d, func(f store.Facts) bool { return !wants(k, &f) })
		if err != nil {
			return err
		}
		if lacking {
			return errOnceMore
		}
	}
	return nil
}

// note notes the facts that were found.
func (u *understanding) note(tx *catalog.Tx) error {
	for d, f := range u.found {
		if err := tx.Do(catalog.PutFacts{Digest: d, Facts: *f}); err != nil {
			return err
		}
	}
	return nil
}
