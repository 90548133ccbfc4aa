package blob

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/internal/verify"
)

const (
	maxMarks  = 1024 // that are kept at once
	markEvery = 4 << 10
)

// marks verifies content in order and can go back: it remembers its state at marks,
// which are 4 KiB apart at first and twice as far whenever there are too many. To hash
// on from any byte, little of what came before it has to be had again: 4 KiB, or a five-hundredth.
type marks struct {
	*verify.Verifier
	every int64
	kept  []*verify.Verifier // in order; the first is the beginning
}

func newMarks(want digest.Digest) (*marks, error) {
	v, err := verify.New(want, verify.Unknown)
	if err != nil {
		return nil, err
	}
	m := &marks{Verifier: v, every: markEvery}
	err = m.keep()
	return m, err
}

// Write implements io.Writer for the next bytes.
func (m *marks) Write(p []byte) (sum int, err error) {
	for len(p) > 0 {
		n := min(int64(len(p)), m.every-m.Seen()%m.every)
		w, err := m.Verifier.Write(p[:n])
		sum += w
		if err != nil {
			return sum, err
		}
		p = p[n:]
		if m.Seen()%m.every == 0 {
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
		m.kept = slices.DeleteFunc(m.kept, func(v *verify.Verifier) bool { return v.Seen()%m.every != 0 })
		if m.Seen()%m.every != 0 {
			return nil
		}
	}
	v, err := m.Clone()
	if err == nil {
		m.kept = append(m.kept, v)
	}
	return err
}

// back goes back to a mark at or before a byte that was hashed, and returns where it is.
func (m *marks) back(to int64) (int64, error) {
	i, found := slices.BinarySearchFunc(m.kept, to, func(v *verify.Verifier, at int64) int { return cmp.Compare(v.Seen(), at) })
	if found {
		i++
	}
	m.kept = m.kept[:i]
	v, err := m.kept[i-1].Clone()
	if err != nil {
		return 0, err
	}
	m.Verifier = v
	return v.Seen(), nil
}
