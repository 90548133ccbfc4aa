package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/dhowhq/dhow/transport"
)

// fake is a registry that takes uploads by the specification, but for what a script
// has it do instead.
type fake struct {
	// script is asked first; it reports whether it has answered.
	script func(f *fake, w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	session  int
	has      []byte // of that session
	open     bool
	stored   map[string][]byte
	requests map[string]int // by method
	queries  []string       // of requests at a session
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stored == nil {
		f.stored, f.requests = map[string][]byte{}, map[string]int{}
	}
	f.requests[r.Method]++
	if f.script == nil || !f.script(f, w, r) {
		f.serve(w, r)
	}
}

// nth reports whether it is the nth request of that method.
func (f *fake) nth(r *http.Request, method string, n int) bool {
	return r.Method == method && f.requests[method] == n
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		f.session, f.has, f.open = f.session+1, nil, true
		f.accept(w, http.StatusAccepted)
		return
	}
	if r.Method == http.MethodHead {
		if _, ok := f.stored[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]; !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	f.queries = append(f.queries, r.URL.RawQuery)
	if !f.open || !strings.HasSuffix(r.URL.Path, "/session/"+strconv.Itoa(f.session)) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodGet:
		f.accept(w, http.StatusNoContent)
	case http.MethodDelete:
		f.open = false
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		if first, _, _ := strings.Cut(r.Header.Get("Content-Range"), "-"); first != strconv.Itoa(len(f.has)) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		f.take(r)
		f.accept(w, http.StatusAccepted)
	case http.MethodPut:
		f.take(r)
		d := digest.Digest(r.URL.Query().Get("digest"))
		if f.open = false; d.Algorithm().FromBytes(f.has) != d {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DIGEST_INVALID"}]}`)
			return
		}
		f.stored[d.String()] = f.has
		w.WriteHeader(http.StatusCreated)
	}
}

// take adds what comes of a body.
func (f *fake) take(r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	f.has = append(f.has, data...)
}

// accept answers with the state of the session.
func (f *fake) accept(w http.ResponseWriter, status int) {
	w.Header().Set("Location", fmt.Sprintf("/session/%d?a=b%%2Fc&state=%d", f.session, len(f.has)))
	if len(f.has) > 0 {
		w.Header().Set("Range", fmt.Sprintf("0-%d", len(f.has)-1))
	}
	w.WriteHeader(status)
}

// reply answers the nth request of a method with a status, and headers as pairs.
func reply(method string, n, status int, headers ...string) func(*fake, http.ResponseWriter, *http.Request) bool {
	return func(f *fake, w http.ResponseWriter, r *http.Request) bool {
		if !f.nth(r, method, n) {
			return false
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// always answers each request of a method so.
func always(method string, status int, headers ...string) func(*fake, http.ResponseWriter, *http.Request) bool {
	return func(f *fake, w http.ResponseWriter, r *http.Request) bool {
		return reply(method, f.requests[method], status, headers...)(f, w, r)
	}
}

// lost has the nth request of a method done, and cuts the connection instead of
// answering.
func lost(method string, n int, status int) func(*fake, http.ResponseWriter, *http.Request) bool {
	return func(f *fake, _ http.ResponseWriter, r *http.Request) bool {
		if !f.nth(r, method, n) {
			return false
		}
		f.take(r)
		if status == http.StatusCreated {
			f.stored[digest.FromBytes(f.has).String()], f.open = f.has, false
		}
		panic(http.ErrAbortHandler)
	}
}

// first tries scripts one after another.
func first(scripts ...func(*fake, http.ResponseWriter, *http.Request) bool) func(*fake, http.ResponseWriter, *http.Request) bool {
	return func(f *fake, w http.ResponseWriter, r *http.Request) bool {
		return slices.ContainsFunc(scripts, func(s func(*fake, http.ResponseWriter, *http.Request) bool) bool { return s(f, w, r) })
	}
}

func TestUploadMisbehaviour(t *testing.T) {
	t.Parallel()
	data, desc := random(20, scripted)
	inPieces := Options{PutUpTo: -1, PieceSize: 30_000}
	other := digest.FromString("another one").String()
	for name, tc := range map[string]struct {
		script func(*fake, http.ResponseWriter, *http.Request) bool
		opts   Options
		push   PushOptions
		want   error
		asked  string // the methods; empty: not checked
		says   string
	}{
		"right":                              {asked: "POST PUT"},
		"right, in pieces":                   {opts: inPieces, asked: "POST PATCH*4 PUT"},
		"B87 no Location":                    {script: reply("POST", 1, 202), want: errdefs.ErrUnavailable, says: "missing or empty"},
		"B87 Location with a space":          {script: reply("POST", 1, 202, "Location", "/a b"), want: errdefs.ErrUnavailable},
		"B87 Location of no host":            {script: reply("POST", 1, 202, "Location", "javascript:alert(1)"), want: errdefs.ErrUnavailable},
		"B87 Location with userinfo":         {script: reply("POST", 1, 202, "Location", "http://u:secret@h/"), want: errdefs.ErrUnavailable},
		"B87 Location too long":              {script: reply("POST", 1, 202, "Location", "/"+strings.Repeat("a", 9000)), want: errdefs.ErrUnavailable},
		"no Location after a piece":          {script: reply("PATCH", 1, 202), opts: inPieces, want: errdefs.ErrUnavailable},
		"an upload that is there at once":    {script: reply("POST", 1, 201), asked: "POST", push: PushOptions{MountFrom: "team/other"}},
		"created without being asked":        {script: noMount(201), asked: "POST*2", want: errdefs.ErrUnavailable},
		"B89 mounted something else":         {script: reply("POST", 1, 201, "Docker-Content-Digest", other), asked: "POST*2 PUT"},
		"mount refused":                      {script: reply("POST", 1, 404), asked: "POST*2 PUT"},
		"mount and upload refused":           {script: always("POST", 403), asked: "POST*2", want: errdefs.ErrPermissionDenied},
		"POST answers 429":                   {script: reply("POST", 1, 429), asked: "POST", want: errdefs.ErrUnavailable},
		"B80 stored under another digest":    {script: reply("PUT", 1, 201, "Docker-Content-Digest", other), want: errdefs.ErrDataLoss, says: other},
		"digest by another algorithm":        {script: reply("PUT", 1, 201, "Docker-Content-Digest", "sha512:"+strings.Repeat("0", 128)), asked: "POST PUT"},
		"digest that is none":                {script: reply("PUT", 1, 201, "Docker-Content-Digest", "x"), asked: "POST PUT"},
		"B88 202 instead of 201, not there":  {script: reply("PUT", 1, 202), asked: "POST PUT HEAD", want: errdefs.ErrUnavailable},
		"B88 202 instead of 201, there":      {script: first(reply("PUT", 1, 202), reply("HEAD", 1, 200)), asked: "POST PUT HEAD"},
		"answer to the last request lost":    {script: lost("PUT", 1, 201), asked: "POST PUT HEAD"},
		"PUT broke off, all of it kept":      {script: lost("PUT", 1, 0), asked: "POST PUT HEAD GET PUT"},
		"piece broke off, all of it kept":    {script: lost("PATCH", 2, 0), opts: inPieces, asked: "POST PATCH*2 GET PATCH*2 PUT"},
		"B88 416":                            {script: reply("PATCH", 2, 416), opts: inPieces, asked: "POST PATCH*2 GET PATCH*3 PUT"},
		"B88 offset behind":                  {script: behind, opts: inPieces, asked: "POST PATCH*4 PUT"},
		"B88 offset ahead":                   {script: reply("PATCH", 1, 202, "Location", "/session/1", "Range", "0-70000"), opts: inPieces, asked: "POST PATCH POST PATCH*4 PUT"},
		"a Range that is none":               {script: reply("PATCH", 1, 202, "Location", "/session/1", "Range", "1-x"), opts: inPieces, asked: "POST PATCH POST PATCH*4 PUT"},
		"B88 session lost":                   {script: reply("PATCH", 2, 404), opts: inPieces, asked: "POST PATCH*2 POST PATCH*4 PUT"},
		"session always lost":                {script: always("PATCH", 404), opts: inPieces, want: errdefs.ErrUnavailable, asked: strings.TrimSpace(strings.Repeat("POST PATCH ", 6)), says: "5 tries in a row"},
		"no status for a session":            {script: first(reply("PATCH", 2, 500), reply("GET", 1, 405)), opts: inPieces, asked: "POST PATCH*2 GET POST PATCH*4 PUT"},
		"B88 smallest piece that is none":    {script: minPiece("-1"), opts: inPieces, want: errdefs.ErrUnavailable, says: `"-1"`},
		"B88 smallest piece of an exabyte":   {script: minPiece("1152921504606846976"), opts: inPieces, want: errdefs.ErrUnavailable},
		"smallest piece":                     {script: minPiece("60000"), opts: inPieces, asked: "POST PATCH*2 PUT"},
		"smallest piece, not needed":         {script: minPiece("-1"), asked: "POST PUT"},
		"too large":                          {script: always("PUT", 413), opts: Options{PieceSize: 1 << 20}, want: errdefs.ErrResourceExhausted},
		"too large in one":                   {script: reply("PUT", 1, 413), opts: Options{PieceSize: 40_000}, asked: "POST PUT GET PATCH*3 PUT"},
		"pieces too large":                   {script: always("PATCH", 413), opts: inPieces, want: errdefs.ErrResourceExhausted, asked: "POST PATCH DELETE"},
		"no pieces":                          {script: always("PATCH", 405), opts: inPieces, asked: "POST PATCH POST PUT"},
		"the registry has other bytes":       {script: corrupt(1), asked: "POST PUT DELETE", want: errdefs.ErrDataLoss, says: "DIGEST_INVALID"},
		"other bytes after a break":          {script: first(lost("PATCH", 1, 0), corrupt(1)), opts: inPieces, asked: "POST PATCH GET PATCH*3 PUT POST PATCH*4 PUT"},
		"redirected":                         {script: reply("PUT", 1, 307, "Location", "/session/1?moved"), asked: "POST PUT*2"},
		"redirected in circles":              {script: always("PUT", 307, "Location", "/session/1"), asked: "POST PUT*6", want: errdefs.ErrUnavailable},
		"redirected nowhere":                 {script: reply("PUT", 1, 308), want: errdefs.ErrUnavailable},
		"500 to a piece":                     {script: reply("PATCH", 1, 500), opts: inPieces, asked: "POST PATCH GET PATCH*4 PUT"},
		"503 to all of it":                   {script: reply("PUT", 1, 503), asked: "POST PUT GET PUT"},
		"503 to a piece":                     {script: reply("PATCH", 2, 503), opts: inPieces, asked: "POST PATCH*2 GET PATCH*3 PUT"},
		"429 always":                         {script: always("PUT", 429), want: errdefs.ErrUnavailable, says: "429"},
		"status fails":                       {script: first(always("PUT", 500), always("GET", 500)), want: errdefs.ErrUnavailable, says: "5 tries"},
		"denied":                             {script: reply("PUT", 1, 403), want: errdefs.ErrPermissionDenied, asked: "POST PUT"},
		"not authorised":                     {script: reply("PUT", 1, 401), want: errdefs.ErrPermissionDenied, asked: "POST PUT"},
		"created before all of it has come":  {script: early, want: errdefs.ErrUnavailable},
		"not verified here":                  {push: PushOptions{Verify: VerifyAtDestination}, asked: "POST PUT"},
		"a piece that brings no progress":    {script: always("PATCH", 202, "Location", "/session/1", "Range", "0-0"), opts: inPieces, want: errdefs.ErrUnavailable},
		"status without Location and Range":  {script: first(reply("PATCH", 1, 500), reply("GET", 1, 204)), opts: inPieces, asked: "POST PATCH GET PATCH*4 PUT"},
		"status with a Location of nothing":  {script: first(reply("PATCH", 1, 500), reply("GET", 1, 204, "Location", "ftp://h/")), opts: inPieces, want: errdefs.ErrUnavailable},
		"the status has a page":              {script: first(reply("PATCH", 1, 500), reply("GET", 1, 200, "Range", "<html>")), opts: inPieces, asked: "POST PATCH GET POST PATCH*4 PUT"},
		"a session that cannot be cancelled": {script: first(reply("PUT", 1, 400), always("DELETE", 500)), want: errdefs.ErrInvalidArgument, says: "could not be cancelled"},
	} {
		misbehave := func(t *testing.T, push PushOptions) {
			t.Helper()
			t.Parallel()
			f := &fake{script: tc.script}
			s := serve(t, f)
			out, err := s.repo(t, "team/app", tc.opts).Push(t.Context(), desc, opener(data), push)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%+v, %v; want %v", out, err, tc.want)
			}
			if asked := brief(s.asked()); tc.asked != "" && asked != tc.asked {
				t.Errorf("requests %s\nwant     %s", asked, tc.asked)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if got, ok := f.stored[desc.Digest.String()]; ok && !bytes.Equal(got, data) {
				t.Errorf("%d bytes are stored, and not those", len(got))
			}
			for _, q := range f.queries {
				if !strings.HasPrefix(q, "a=b%2Fc&state=") && q != "" && !strings.HasPrefix(q, "digest=") && !strings.HasPrefix(q, "moved") {
					t.Errorf("the query of the Location became %q", q)
				}
			}
			if tc.want != nil {
				for _, part := range []string{s.url.Host, "team/app", desc.Digest.String(), tc.says} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error does not name %s: %v", part, err)
					}
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
		}
		t.Run(name, func(t *testing.T) { misbehave(t, tc.push) })
		t.Run(name+", read ahead", func(t *testing.T) {
			push := tc.push
			push.Ahead = true
			misbehave(t, push)
		})
	}
}

// brief writes methods in a row as one.
func brief(methods []string) string {
	var out []string
	for i := 0; i < len(methods); {
		n := 1
		for i+n < len(methods) && methods[i+n] == methods[i] {
			n++
		}
		if out = append(out, methods[i]); n > 1 {
			out[len(out)-1] += "*" + strconv.Itoa(n)
		}
		i += n
	}
	return strings.Join(out, " ")
}

// behind has the second piece kept only in part.
func behind(f *fake, w http.ResponseWriter, r *http.Request) bool {
	if !f.nth(r, "PATCH", 2) {
		return false
	}
	f.take(r)
	f.has = f.has[:45_000]
	f.accept(w, http.StatusAccepted)
	return true
}

func minPiece(size string) func(*fake, http.ResponseWriter, *http.Request) bool {
	return func(_ *fake, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("OCI-Chunk-Min-Length", size)
		return false
	}
}

// corrupt has the registry damage what it got before the nth PUT.
func corrupt(n int) func(*fake, http.ResponseWriter, *http.Request) bool {
	return func(f *fake, _ http.ResponseWriter, r *http.Request) bool {
		if f.nth(r, "PUT", n) {
			f.take(r)
			f.has[0]++
		}
		return false
	}
}

// early answers a PUT at once.
func early(_ *fake, w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPut {
		return false
	}
	w.WriteHeader(http.StatusCreated)
	panic(http.ErrAbortHandler)
}

// noMount refuses a mount, and answers what begins an upload with the status, unless
// that is 0.
func noMount(status int) func(*fake, http.ResponseWriter, *http.Request) bool {
	return func(_ *fake, w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method != http.MethodPost:
		case r.URL.Query().Has("mount"):
			w.WriteHeader(http.StatusBadRequest)
			return true
		case status != 0:
			w.WriteHeader(status)
			return true
		}
		return false
	}
}

func TestMountIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, &fake{script: noMount(0)})
	r := s.repo(t, "team/app", Options{})
	for i, want := range [][]string{{"POST", "POST", "PUT"}, {"POST", "PUT"}} {
		data, desc := random(uint64(30+i), 100)
		if _, err := r.Push(t.Context(), desc, opener(data), PushOptions{}); err != nil {
			t.Fatal(err)
		}
		s.wantAsked(t, want...)
	}
}

func TestPushSourceFails(t *testing.T) {
	t.Parallel()
	cable := errors.New("the cable was cut")
	data, desc := random(32, scripted)
	for name, open := range map[string]transport.Opener{
		"when it is opened": func(context.Context, int64) (io.ReadCloser, error) { return nil, cable },
		"when it is read": func(context.Context, int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(data[:70_000]), &failing{cable})), nil
		},
		"at its end": func(context.Context, int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(data), &failing{cable})), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			s := serve(t, f)
			_, err := s.repo(t, "team/app", Options{}).Push(t.Context(), desc, open, PushOptions{})
			if !errors.Is(err, cable) || errdefs.IsUnavailable(err) {
				t.Errorf("%v", err)
			}
			if f.mu.Lock(); f.open || len(f.stored) > 0 {
				t.Errorf("the session is open: %v; %d blobs are stored", f.open, len(f.stored))
			}
			f.mu.Unlock()
		})
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
