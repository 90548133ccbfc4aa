package blob

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/transport"
)

// each runs a test against each of the real registries.
func each(t *testing.T, f func(t *testing.T, name string, s *host)) {
	t.Helper()
	for name, handler := range registries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, name, serve(t, handler(t)))
		})
	}
}

func TestPushAndPull(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ string, s *host) {
		t.Helper()
		r := s.repo(t, "team/app", Options{})
		for _, size := range []int{0, 1, 2, 4095, 1 << 20} {
			data, desc := random(1, size)
			out, err := r.Push(t.Context(), desc, opener(data), PushOptions{})
			if err != nil || out.Action != transport.Copied {
				t.Fatalf("size %d: %+v, %v", size, out, err)
			}
			s.wantAsked(t, "POST", "PUT")
			got, err := pull(t.Context(), r, desc, 0)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("size %d: pulled %d bytes, %v", size, len(got), err)
			}
			s.wantAsked(t, "GET")
			if size > 1 {
				got, err = pull(t.Context(), r, desc, int64(size/2))
				if err != nil || !bytes.Equal(got, data[size/2:]) {
					t.Fatalf("size %d from the middle: pulled %d bytes, %v", size, len(got), err)
				}
				s.wantAsked(t, "GET")
			}
		}
	})
}

func TestOtherAlgorithms(t *testing.T) {
	t.Parallel()
	s := serve(t, registries["olareg"](t)) // the one that takes them
	r := s.repo(t, "team/app", Options{RangesAbove: 1 << 10, RangeSize: 1 << 10})
	for _, algorithm := range []digest.Algorithm{digest.SHA384, digest.SHA512} {
		data, desc := random(2, 10_000)
		desc.Digest = algorithm.FromBytes(data)
		if algorithm == digest.SHA384 {
			if _, err := newMarks(desc.Digest); err != nil {
				t.Error(err)
			}
			continue // no registry here takes it
		}
		if _, err := r.Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
			t.Fatal(err)
		}
		if got, err := pull(t.Context(), r, desc, 0); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("pulled %d bytes, %v", len(got), err)
		}
	}
}

func TestPushInPieces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ string, s *host) {
		t.Helper()
		r := s.repo(t, "team/app", Options{PutUpTo: -1, PieceSize: 300_000})
		data, desc := random(3, 1_000_000)
		if _, err := r.Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
			t.Fatal(err)
		}
		s.wantAsked(t, "POST", "PATCH", "PATCH", "PATCH", "PATCH", "PUT")
		s.wantBlob(t, "team/app", desc)
	})
}

func TestMount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, name string, s *host) {
		t.Helper()
		data, desc := random(4, 10_000)
		if _, err := s.repo(t, "team/source", Options{}).Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
			t.Fatal(err)
		}
		s.asked()
		src := &opened{data: data}
		out, err := s.repo(t, "team/copy", Options{}).Push(t.Context(), desc, src.open, PushOptions{MountFrom: "team/source"})
		if err != nil {
			t.Fatal(err)
		}
		if name == "ggcr" { // does not mount
			s.wantAsked(t, "POST", "PUT")
			return
		}
		s.wantAsked(t, "POST")
		if out.Action != transport.Mounted || src.opens.Load() > 0 {
			t.Errorf("%+v, opened %d times", out, src.opens.Load())
		}
		s.wantBlob(t, "team/copy", desc)
		s.asked()

		out, err = s.repo(t, "team/other", Options{}).Push(t.Context(), desc, src.open, PushOptions{MountFrom: "team/nothing"})
		if err != nil || out.Action != transport.Copied {
			t.Errorf("from a repository that does not have it: %+v, %v", out, err)
		}
		s.wantAsked(t, "POST", "PUT")
	})
}

func TestPullWhatIsNotThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ string, s *host) {
		t.Helper()
		_, desc := random(5, 100)
		_, err := s.repo(t, "team/app", Options{}).Open(t.Context(), desc, 0)
		if !errdefs.IsNotFound(err) {
			t.Errorf("%v", err)
		}
		s.wantAsked(t, "GET")
	})
}

func TestPushDamaged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ string, s *host) {
		t.Helper()
		for what, damage := range map[string]func([]byte) []byte{
			"other bytes": func(b []byte) []byte { b[len(b)-1]++; return b },
			"too few":     func(b []byte) []byte { return b[:len(b)-1] },
			"too many":    func(b []byte) []byte { return append(b, 0) },
		} {
			data, desc := random(6, 200_000)
			r := s.repo(t, "team/app", Options{})
			_, err := r.Push(t.Context(), desc, opener(damage(slices.Clone(data))), PushOptions{})
			if !errdefs.IsDataLoss(err) {
				t.Errorf("%s: %v", what, err)
			}
			if there, err := r.exists(t.Context(), desc.Digest, desc.Size); there || err != nil {
				t.Errorf("%s: the registry has it: %v, %v", what, there, err)
			}
			if asked := s.asked(); !slices.Contains(asked, http.MethodDelete) {
				t.Errorf("%s: the session was not ended: %v", what, asked)
			}
			if what != "too few" && what != "too many" {
				_, err = r.Push(t.Context(), desc, opener(damage(slices.Clone(data))), PushOptions{Verify: VerifyAtDestination})
				if !errdefs.IsDataLoss(err) {
					t.Errorf("%s, verified by the registry: %v", what, err)
				}
				s.asked()
			}
		}
	})
}
