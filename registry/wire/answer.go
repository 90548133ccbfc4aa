package wire

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
)

// answerError is an answer that nothing can be made of, and that would be the same
// for another attempt.
type answerError struct {
	text string
	kind error
}

func (e *answerError) Error() string { return e.text }
func (e *answerError) Unwrap() error { return e.kind }

// answerErrorf returns one of kind errdefs.ErrUnavailable. It wraps nothing: that an
// argument of ours was not valid is not what an answer can say.
func answerErrorf(format string, args ...any) error {
	return &answerError{text: fmt.Sprintf(format, args...), kind: errdefs.ErrUnavailable}
}

// ErrNotRegistry is an answer of success that no registry gives, such as a page for
// people. It is of the kind errdefs.ErrUnavailable.
var ErrNotRegistry error = &answerError{text: "not a registry response", kind: errdefs.ErrUnavailable}

// maxPage is how much of a page is shown that is no registry's.
const maxPage = 200

// readable refuses an answer to Control, whose body was read, that is no registry's:
// a page for people, as a login or a proxy shows it with status 200 (ErrNotRegistry),
// or one that is encoded although that was not accepted.
func readable(x *exchange, resp *http.Response) error {
	if resp.StatusCode/100 != 2 {
		return nil
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return answerErrorf("the answer has the Content-Encoding %s, and only identity was accepted", quote(encoding))
	}
	body, ok := resp.Body.(*inMemory)
	if !ok || resp.StatusCode != http.StatusOK {
		return nil
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if media != "text/html" && media != "application/xhtml+xml" {
		return nil
	}
	text := strings.TrimSpace(string(body.data))
	if !strings.HasPrefix(text, "<") { // some registries call what is JSON a page
		return nil
	}
	return &answerError{kind: ErrNotRegistry, text: fmt.Sprintf("%v: a page of %s that begins %s", ErrNotRegistry,
		quote(media), quoteBegin(scrub(text, x.secrets()), maxPage))}
}

// redirects refuses a redirect that leads nowhere. Whether it may be followed is
// decided when that is asked.
func redirects(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	raw := resp.Header.Get("Location")
	if raw == "" {
		return answerErrorf("a redirect (%d) without a Location", resp.StatusCode)
	}
	if _, err := resolve(resp.Request.URL, raw); err != nil {
		return answerErrorf("a redirect (%d) with a Location that is none: %v", resp.StatusCode, err)
	}
	return nil
}
