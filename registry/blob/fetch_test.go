package blob

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
)

// memory is a file.
type memory struct {
	mu   sync.Mutex
	data []byte
	fail error // of a write after the first half MiB
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if m.fail != nil && at > 512<<10 {
		return 0, m.fail
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if grow := int(at) + len(p) - len(m.data); grow > 0 {
		m.data = append(m.data, make([]byte, grow)...)
	}
	return copy(m.data[at:], p), nil
}

func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at >= int64(len(m.data)) {
		return 0, io.EOF
	}
	n := copy(p, m.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestFetchTo(t *testing.T) {
	t.Parallel()
	data, desc := random(50, 1<<20)
	byRanges := Options{RangesAbove: 1000, RangeSize: 50_000, Ranges: 3}
	damaged := bytes.Clone(data)
	damaged[900_000]++
	full := errors.New("no space left")
	for name, tc := range map[string]struct {
		opts   Options
		served []byte
		have   []byte
		fail   error // of writing
		want   error
	}{
		"one stream":                {served: data},
		"ranges":                    {opts: byRanges, served: data},
		"the rest of a file":        {served: data, have: data[:123_456]},
		"ranges of the rest":        {opts: byRanges, served: data, have: data[:123_456]},
		"all is there":              {opts: byRanges, served: data, have: data},
		"all is there, and damaged": {opts: byRanges, served: data, have: damaged, want: errdefs.ErrDataLoss},
		"other bytes":               {served: damaged, want: errdefs.ErrDataLoss},
		"other bytes by ranges":     {opts: byRanges, served: damaged, want: errdefs.ErrDataLoss},
		"another beginning":         {opts: byRanges, served: data, have: damaged[800_000:], want: errdefs.ErrDataLoss},
		"larger":                    {opts: byRanges, served: append(bytes.Clone(data), 0), want: errdefs.ErrDataLoss},
		"smaller":                   {opts: byRanges, served: data[1:], want: errdefs.ErrDataLoss},
		"no space":                  {served: data, fail: full, want: full},
		"no space for ranges":       {opts: byRanges, served: data, fail: full, want: full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveBlob(t, bytes.NewReader(tc.served), int64(len(tc.served)))
			file := &memory{data: bytes.Clone(tc.have), fail: tc.fail}
			err := s.repo(t, "team/app", tc.opts).FetchTo(t.Context(), desc, file, int64(len(tc.have)))
			if !errors.Is(err, tc.want) || tc.want == nil && !bytes.Equal(file.data, data) {
				t.Errorf("%d bytes, %v; want %v", len(file.data), err, tc.want)
			}
		})
	}
	s := serve(t, http.NotFoundHandler())
	if err := s.repo(t, "team/app", byRanges).FetchTo(t.Context(), desc, &memory{}, 0); !errdefs.IsNotFound(err) {
		t.Errorf("what is not there: %v", err)
	}
	if err := s.repo(t, "team/app", byRanges).FetchTo(t.Context(), desc, &memory{}, 9); !errors.Is(err, io.EOF) {
		t.Errorf("a file that is shorter than it was said to be: %v", err)
	}
}
