package blob

import (
	"cmp"
	_ "crypto/sha256" // for digest.SHA256
	_ "crypto/sha512" // for digest.SHA384 and digest.SHA512
	"fmt"
	"hash"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

const (
	maxMarks  = 1024 // that are kept at once
	markEvery = 4 << 10
)

// marks hashes content in order and can go back: it remembers its state at marks,
// which are 4 KiB apart at first and twice as far whenever there are too many. To hash
// on from any byte, little of what came before it has to be had again: 4 KiB, or a five-hundredth.
type marks struct {
	want  digest.Digest
	state hash.Cloner
	at    int64
	every int64
	kept  []mark // in order; the first is the beginning
}

type mark struct {
	at    int64
	state hash.Cloner
}

func newMarks(want digest.Digest) (*marks, error) {
	state, ok := want.Algorithm().Hash().(hash.Cloner)
	if !ok {
		return nil, fmt.Errorf("hashing by %s cannot go back: %w", want.Algorithm(), errdefs.ErrNotImplemented)
	}
	m := &marks{want: want, state: state, every: markEvery}
	err := m.keep()
	return m, err
}

// Write implements io.Writer for the next bytes.
func (m *marks) Write(p []byte) (sum int, err error) {
	for len(p) > 0 {
		n := min(int64(len(p)), m.every-m.at%m.every)
		w, err := m.state.Write(p[:n])
		sum += w
		if err != nil {
			return sum, err
		}
		m.at += n
		p = p[n:]
		if m.at%m.every == 0 {
			if err := m.keep(); err != nil {
				return sum, err
			}
		}
	}
	return sum, nil
}

// keep makes a mark here.
func (m *marks) keep() error {
	if len(m.kept) == maxMarks {
		m.every *= 2
		m.kept = slices.DeleteFunc(m.kept, func(k mark) bool { return k.at%m.every != 0 })
		if m.at%m.every != 0 {
			return nil
		}
	}
	state, err := m.state.Clone()
	if err != nil {
		return fmt.Errorf("the state of the hash after %d bytes: %w", m.at, err)
	}
	m.kept = append(m.kept, mark{m.at, state})
	return nil
}

// back goes back to a mark at or before a byte that was hashed, and returns where it is.
func (m *marks) back(to int64) (int64, error) {
	i, found := slices.BinarySearchFunc(m.kept, to, func(k mark, at int64) int { return cmp.Compare(k.at, at) })
	if found {
		i++
	}
	m.kept = m.kept[:i]
	last := m.kept[i-1]
	state, err := last.state.Clone()
	if err != nil {
		return 0, fmt.Errorf("the state of the hash after %d bytes: %w", last.at, err)
	}
	m.state, m.at = state, last.at
	return m.at, nil
}

// check returns errdefs.ErrDataLoss if what was hashed is not what was wanted.
func (m *marks) check() error {
	if got := m.digest(); got != m.want {
		return fmt.Errorf("digest is %s: %w", got, errdefs.ErrDataLoss)
	}
	return nil
}

// digest returns that of what was hashed.
func (m *marks) digest() digest.Digest { return digest.NewDigest(m.want.Algorithm(), m.state) }
