package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
)

const scripted = 100_000 // bytes of the blob

// answer is one answer of a scripted registry to a GET.
type answer func(w http.ResponseWriter, r *http.Request, data []byte)

// asked returns the range of a request, all if it has none.
func asked(r *http.Request, data []byte) (start, end int) {
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &start, &end); n == 2 {
		return start, end + 1
	}
	return 0, len(data)
}

// ranges is the right answer to a range, with its Content-Range changed.
func ranges(contentRange string) answer {
	return func(w http.ResponseWriter, r *http.Request, data []byte) {
		start, end := asked(r, data)
		h := fmt.Sprintf("bytes %d-%d/%d", start, end-1, len(data))
		if contentRange != "" {
			h = contentRange
		}
		w.Header().Set("Content-Range", h)
		w.Header().Set("Content-Length", strconv.Itoa(end-start))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[start:end])
	}
}

var right = func(w http.ResponseWriter, r *http.Request, data []byte) {
	if r.Header.Get("Range") != "" {
		ranges("")(w, r, data)
		return
	}
	whole(w, r, data)
}

func whole(w http.ResponseWriter, _ *http.Request, data []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}

// breaks answers rightly and cuts the connection after n bytes.
func breaks(n int) answer { return breaksOff(right, n) }

func breaksOff(next answer, n int) answer {
	return func(w http.ResponseWriter, r *http.Request, data []byte) {
		next(&breaking{w, n}, r, data)
	}
}

// breaking is an answer of which so many bytes come.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; err == nil && n < len(p) {
		_ = http.NewResponseController(b.ResponseWriter).Flush() // what cannot be flushed is cut as well
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// answers has a status and a body.
func answers(code int, body string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// header is right with another header.
func header(name, value string, next answer) answer {
	return func(w http.ResponseWriter, r *http.Request, data []byte) {
		w.Header().Set(name, value)
		next(w, r, data)
	}
}

// chunked sends bytes of all of the data without a length.
func chunked(status int, f func(data []byte) []byte) answer {
	return func(w http.ResponseWriter, r *http.Request, data []byte) {
		start, end := asked(r, data)
		if status == http.StatusPartialContent {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, len(data)))
		} else {
			start, end = 0, len(data)
		}
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(f(data[start:end]))
	}
}

func longer(b []byte) []byte  { return append(bytes.Clone(b), "and more"...) }
func shorter(b []byte) []byte { return b[:min(50, len(b))] }

func TestDownloadMisbehaviour(t *testing.T) {
	t.Parallel()
	inRanges := Options{RangesAbove: 1000, RangeSize: 40_000, Ranges: 2}
	half := breaks(scripted / 2)
	multipart := header("Content-Type", "multipart/byteranges; boundary=x", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "--x\r\nContent-Range: bytes 0-1/100000\r\n\r\nab\r\n--x--")
	})
	page := header("Content-Type", "text/html", answers(200, "<html>Log in</html>"))
	for name, tc := range map[string]struct {
		script   []answer // the last one answers all further requests
		opts     Options
		want     error
		requests int
		says     string
	}{
		"right":                               {script: []answer{right}, requests: 1},
		"B75 200 on resume":                   {script: []answer{half, whole}, requests: 2},
		"B75 200 on resume, broken too":       {script: []answer{half, breaksOff(whole, scripted*3/4), whole}, requests: 3},
		"B76 wrong start":                     {script: []answer{half, ranges("bytes 50001-99999/100000"), whole}, requests: 3},
		"B76 no Content-Range":                {script: []answer{half, answers(206, "x"), whole}, requests: 3},
		"B76 overlapping":                     {script: []answer{half, ranges("bytes 49000-99999/100000"), whole}, requests: 3},
		"B76 multipart/byteranges":            {script: []answer{half, multipart, whole}, requests: 3},
		"B76 multipart with a Content-Range":  {script: []answer{half, header("Content-Type", "multipart/byteranges; boundary=x", ranges("")), whole}, requests: 3},
		"B76 416 on resume":                   {script: []answer{half, answers(416, ""), whole}, requests: 3},
		"B76 end beyond what was asked":       {script: []answer{ranges("bytes 0-99999/100000"), whole}, opts: inRanges, requests: 2},
		"Content-Range that is none":          {script: []answer{half, ranges("bytes x-y/z"), whole}, requests: 3},
		"another total":                       {script: []answer{half, ranges("bytes 50000-99999/100001")}, requests: 2, want: errdefs.ErrDataLoss, says: "100001 bytes, want 100000"},
		"total not said":                      {script: []answer{half, ranges("bytes 50000-99999/*")}, requests: 2},
		"never a range":                       {script: []answer{half, ranges("bytes 1-1/100000")}, requests: 3, want: errdefs.ErrUnavailable},
		"B77 too small a Content-Length":      {script: []answer{func(w http.ResponseWriter, r *http.Request, d []byte) { whole(w, r, d[:99]) }}, requests: 1, want: errdefs.ErrDataLoss, says: "99 bytes"},
		"B77 too large a Content-Length":      {script: []answer{func(w http.ResponseWriter, r *http.Request, d []byte) { whole(w, r, longer(d)) }}, requests: 1, want: errdefs.ErrDataLoss, says: "100008 bytes"},
		"B77 nothing":                         {script: []answer{header("Content-Length", "0", answers(200, ""))}, requests: 1, want: errdefs.ErrDataLoss},
		"B02 longer without a length":         {script: []answer{chunked(200, longer)}, requests: 1, want: errdefs.ErrDataLoss, says: "goes on after byte 100000"},
		"a range longer than itself":          {script: []answer{half, chunked(206, longer)}, requests: 2, want: errdefs.ErrDataLoss},
		"B01 shorter without a length":        {script: []answer{chunked(200, shorter)}, requests: 6, want: errdefs.ErrDataLoss, says: "at byte 50 of 100000"},
		"ranges shorter than they say":        {script: []answer{chunked(206, func(b []byte) []byte { return b[:(len(b)+1)/2] })}, requests: 17},
		"B94 nothing but breaks":              {script: []answer{breaks(0)}, requests: 6, want: errdefs.ErrUnavailable, says: "5 tries in a row ended at byte 0"},
		"B94 four breaks without progress":    {script: []answer{half, breaks(0), breaks(0), breaks(0), breaks(0), right}, requests: 6},
		"B94 progress counts anew":            {script: []answer{breaks(1), breaks(0), breaks(0), breaks(0), breaks(0), breaks(1), breaks(0), breaks(0), breaks(0), right}, requests: 10},
		"B95 an encoding":                     {script: []answer{header("Content-Encoding", "gzip", right)}, requests: 1, want: errdefs.ErrUnavailable, says: `"gzip"`},
		"B31 a page for people":               {script: []answer{page}, requests: 1, want: errdefs.ErrDataLoss, says: `"text/html"`},
		"B37 not there":                       {script: []answer{answers(404, `{"errors":[{"code":"BLOB_UNKNOWN","message":"no"}]}`)}, requests: 1, want: errdefs.ErrNotFound, says: "BLOB_UNKNOWN"},
		"401":                                 {script: []answer{answers(401, "")}, requests: 1, want: errdefs.ErrPermissionDenied},
		"403":                                 {script: []answer{answers(403, "")}, requests: 1, want: errdefs.ErrPermissionDenied},
		"413":                                 {script: []answer{answers(413, "")}, requests: 1, want: errdefs.ErrResourceExhausted},
		"429 after all retries":               {script: []answer{answers(429, "")}, requests: 1, want: errdefs.ErrUnavailable},
		"500 on resume":                       {script: []answer{half, answers(500, "")}, requests: 2, want: errdefs.ErrUnavailable},
		"no content":                          {script: []answer{answers(204, "")}, requests: 1, want: errdefs.ErrUnavailable},
		"an error of a megabyte":              {script: []answer{answers(404, strings.Repeat("\x00oops", 1<<18))}, requests: 1, want: errdefs.ErrNotFound},
		"ranges answered with all":            {script: []answer{whole}, opts: inRanges, requests: 1},
		"four ranges":                         {script: []answer{ranges("")}, opts: inRanges, requests: 4},
		"gone between the ranges":             {script: []answer{right, answers(404, "")}, opts: inRanges, want: errdefs.ErrNotFound}, // the range after it may have been asked for, or not
		"connection closed without an answer": {script: []answer{half, func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) }}, requests: 2, want: errdefs.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, desc := random(10, scripted)
			var n atomic.Int64
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tc.script[min(int(n.Add(1)), len(tc.script))-1](w, r, data)
			}))
			got, err := pull(t.Context(), s.repo(t, "team/app", tc.opts), desc, 0)
			if !errors.Is(err, tc.want) || tc.want == nil && !bytes.Equal(got, data) {
				t.Fatalf("pulled %d bytes, %v; want %v", len(got), err, tc.want)
			}
			if len(got) > scripted {
				t.Errorf("%d bytes of %d were given out", len(got), scripted)
			}
			if asked := s.asked(); len(asked) != tc.requests && tc.requests > 0 {
				t.Errorf("%d requests, want %d", len(asked), tc.requests)
			}
			if tc.want != nil {
				for _, part := range []string{s.url.Host, "team/app", desc.Digest.String(), tc.says} {
					if !strings.Contains(err.Error(), part) || len(err.Error()) > 2<<10 || errors.Is(err, io.EOF) {
						t.Errorf("the error does not name %s, or is too long, or is the end: %v", part, err)
					}
				}
			}
		})
	}
}

// TestRangesNotHonouredLater reads by ranges of which some are answered otherwise.
func TestRangesNotHonouredLater(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]answer{
		"with all":         whole,
		"with 416":         answers(416, ""),
		"with another one": ranges("bytes 7-8/100000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, desc := random(11, scripted)
			var n atomic.Int64
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) > 3 && r.Header.Get("Range") != "" {
					other(w, r, data)
					return
				}
				right(w, r, data)
			}))
			r := s.repo(t, "team/app", Options{RangesAbove: 1000, RangeSize: 9000, Ranges: 3})
			if got, err := pull(t.Context(), r, desc, 0); err != nil || !bytes.Equal(got, data) {
				t.Errorf("pulled %d bytes, %v", len(got), err)
			}
			if free := len(r.opts.Window.slabs); free != cap(r.opts.Window.slabs) {
				t.Errorf("%d of %d slabs came back", free, cap(r.opts.Window.slabs))
			}
			n.Store(0)
			file := &memory{}
			if err := r.FetchTo(t.Context(), desc, file, 0); err != nil || !bytes.Equal(file.data, data) {
				t.Errorf("wrote %d bytes, %v", len(file.data), err)
			}
		})
	}
}

// TestRedirects shows that ranges are asked for where the registry sent us, until that
// is good no more.
func TestRedirects(t *testing.T) {
	t.Parallel()
	data, desc := random(12, scripted)
	for _, gone := range []int{400, 401, 403, 404, 410} {
		t.Run(strconv.Itoa(gone), func(t *testing.T) {
			t.Parallel()
			var uses atomic.Int64
			store := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if uses.Add(1)%5 == 0 {
					w.WriteHeader(gone)
					return
				}
				right(w, r, data)
			}))
			origin := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, store.URL+"/signed?n=1", http.StatusTemporaryRedirect)
			}))
			var direct atomic.Int64
			r := origin.repo(t, "team/app", Options{RangesAbove: 1000, RangeSize: 10_000, Ranges: 2})
			client := r.clients.Download
			r.clients.Download = doFunc(func(req *http.Request) (*http.Response, error) {
				if req.URL.Host == store.url.Host {
					direct.Add(1)
					if req.Response == nil || req.Response.Request.URL.Host != origin.url.Host {
						return nil, errors.New("a request to where a redirect led does not say so")
					}
				}
				return client.Do(req)
			})
			if got, err := pull(t.Context(), r, desc, 0); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("pulled %d bytes, %v", len(got), err)
			}
			asked, all := len(origin.asked()), len(store.asked())
			if asked < 2 || asked > 5 || direct.Load() < 7 || all < 11 {
				t.Errorf("%d requests to the registry, %d to where it sent us, %d of those directly", asked, all, direct.Load())
			}
		})
	}
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(req *http.Request) (*http.Response, error) { return f(req) }

func TestOpenUnknownSize(t *testing.T) {
	t.Parallel()
	data, desc := random(14, scripted)
	for name, tc := range map[string]struct {
		script answer
		want   error
		asked  []string
	}{
		"as the registry has it": {right, nil, []string{"HEAD", "GET"}},
		"not there":              {answers(404, ""), errdefs.ErrNotFound, []string{"HEAD"}},
		"not said":               {header("Transfer-Encoding", "chunked", answers(200, "")), errdefs.ErrUnavailable, []string{"HEAD"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tc.script(w, r, data) }))
			unsized := desc
			unsized.Size = -1
			got, err := pull(t.Context(), s.repo(t, "team/app", Options{}), unsized, 0)
			if !errors.Is(err, tc.want) || tc.want == nil && !bytes.Equal(got, data) {
				t.Errorf("pulled %d bytes, %v; want %v", len(got), err, tc.want)
			}
			s.wantAsked(t, tc.asked...)
		})
	}
}

func TestOpenArguments(t *testing.T) {
	t.Parallel()
	s := serve(t, http.NotFoundHandler())
	r := s.repo(t, "team/app", Options{})
	_, desc := random(13, 10)
	bad, other := desc, desc
	bad.Digest, other.Digest = "sha256:../../x", "md5:00000000000000000000000000000000"
	for name, open := range map[string]func() (io.ReadCloser, error){
		"no digest":         func() (io.ReadCloser, error) { return r.Open(t.Context(), bad, 0) },
		"negative offset":   func() (io.ReadCloser, error) { return r.Open(t.Context(), desc, -1) },
		"offset beyond end": func() (io.ReadCloser, error) { return r.Open(t.Context(), desc, 11) },
	} {
		if _, err := open(); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Open(t.Context(), other, 0); !errdefs.IsNotImplemented(err) {
		t.Errorf("another algorithm: %v", err)
	}
	if got, err := pull(context.Background(), r, desc, 10); err != nil || len(got) > 0 {
		t.Errorf("from the end: %d bytes, %v", len(got), err)
	}
	s.wantAsked(t)
}
