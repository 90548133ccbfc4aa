package requests

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCount(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Location", "http://"+r.Host+"/next")
		w.WriteHeader(http.StatusAccepted)
		if r.Method != http.MethodHead {
			_, _ = w.Write(append([]byte(r.URL.RequestURI()+" "), body...)) // the client sees what is missing
		}
	}))
	defer server.Close()
	counter, err := Start(t.Context(), server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path, body, ranges string) string {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+counter.Addr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if ranges != "" {
			request.Header.Set("Range", ranges)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if want := "http://" + counter.Addr() + "/next"; response.Header.Get("Location") != want {
			t.Errorf("Location %s, want %s: the tool would leave the counter", response.Header.Get("Location"), want)
		}
		data, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		return string(data)
	}
	if got := do(http.MethodPut, "/v2/x?digest=sha256:1", "body", ""); got != "/v2/x?digest=sha256:1 body" {
		t.Errorf("the server saw %q", got)
	}
	do(http.MethodGet, "/v2/a", "", "")
	do(http.MethodGet, "/v2/b", "", "bytes=0-1")
	do(http.MethodHead, "/v2/b", "", "bytes=0-1")
	got, err := counter.Count()
	if err != nil {
		t.Error(err)
	}
	want := Count{Total: 4, Ranged: 1, ByMethod: map[string]int{"GET": 2, "HEAD": 1, "PUT": 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("count (-want +got):\n%s", diff)
	}
	if text := got.String(); text != "4 (GET 2, HEAD 1, PUT 1)" {
		t.Errorf("as text: %s", text)
	}
	if err := counter.Close(); err != nil {
		t.Error(err)
	}
}

func TestServerThatIsGone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	counter, err := Start(t.Context(), server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := counter.Close(); err != nil {
			t.Error(err)
		}
	}()
	server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+counter.Addr(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := counter.Count(); err == nil {
		t.Error("a request that was not passed on is no error of the counter")
	}
}
