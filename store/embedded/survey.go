package embedded

import (
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/embedded/internal/catalog"
)

var _ store.Surveyor = (*nameReader)(nil)

// Survey is that of store.Surveyor.
func (r *nameReader) Survey() (store.Survey, error) {
	found, err := r.Tx.Survey()
	if err != nil {
		return nil, err
	}
	return &survey{found, r.s}, nil
}

// survey is a store.Survey.
type survey struct {
	*catalog.Survey
	s *Store
}

// Size is that of store.Survey.
func (v *survey) Size(d digest.Digest) (int64, error) {
	size, file, err := v.Blob(d)
	if err == nil && file {
		err = v.s.checkFile(d, size)
	}
	if err != nil {
		return 0, err
	}
	return size, nil
}
