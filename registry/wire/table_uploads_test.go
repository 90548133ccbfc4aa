package wire_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

// uploads is a registry that takes blobs, but for what is said of the nth request of a
// method, as in "PATCH 2".
func uploads(instead map[string]http.HandlerFunc) http.HandlerFunc {
	var has []byte
	asked := map[string]int{}
	at := func(w http.ResponseWriter, status int) {
		w.Header().Set("Location", "/v2/app/blobs/uploads/1?state=a%2Fb")
		if len(has) > 0 {
			w.Header().Set("Range", fmt.Sprintf("0-%d", len(has)-1))
		}
		w.WriteHeader(status)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		asked[r.Method]++
		if a := instead[fmt.Sprint(r.Method, " ", asked[r.Method])]; a != nil {
			a(w, r)
			return
		}
		if r.Method != http.MethodPost && r.Method != http.MethodHead && r.URL.Query().Get("state") != "a/b" {
			w.WriteHeader(http.StatusTeapot) // the query of the Location is lost
			return
		}
		switch r.Method {
		case http.MethodPost:
			has = nil
			at(w, http.StatusAccepted)
		case http.MethodPatch, http.MethodPut:
			body, err := io.ReadAll(r.Body)
			if has = append(has, body...); err != nil {
				return // what has come is kept
			}
			if r.Method == http.MethodPatch {
				at(w, http.StatusAccepted)
				return
			}
			if string(digest.FromBytes(has)) != r.URL.Query().Get("digest") {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusCreated)
		case http.MethodGet:
			at(w, http.StatusNoContent)
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			http.NotFound(w, r)
		}
	}
}

// session begins an upload at a place.
func session(location string) http.HandlerFunc { return say(202, "", "Location: "+location) }

// authorized wants a credential first.
func authorized(challenge string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			_, _ = io.WriteString(w, `{"token":"good"}`)
		case r.Header.Get("Authorization") == "Bearer good", strings.HasPrefix(r.Header.Get("Authorization"), "Basic "):
			next(w, r)
		default:
			say(401, "", "WWW-Authenticate: "+challenge)(w, r)
		}
	}
}
