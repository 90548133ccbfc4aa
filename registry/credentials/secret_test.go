package credentials

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// leaks reports whether a text has the canary, in one of the forms that printing
// might give it.
func leaks(text string) bool {
	for _, form := range []string{
		canary, hex.EncodeToString([]byte(canary)), strings.ToUpper(hex.EncodeToString([]byte(canary))),
		strings.Trim(fmt.Sprint([]byte(canary)), "[]"), base64.StdEncoding.EncodeToString([]byte(canary))[:14],
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// TestSecretIsNotPrinted shows it for a secret alone and in all that it may be in,
// unexported fields too, for which package fmt calls no methods.
func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	s := NewSecret(canary)
	c := Credential{Username: "me", Password: s, RefreshToken: s, AccessToken: s}
	kept, err := Static("example.com", c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "credential", c, "pointer", &c, "all", []Credential{c})
	logTo(&log).Info("x", "secret", s, "credential", c, "pointer", &c, "all", []Credential{c}, "store", kept)
	values := []any{
		s, &s, c, &c, []Secret{s}, []Credential{c}, map[string]Secret{"a": s}, map[Secret]int{s: 1}, struct{ Secret }{s}, struct{ hidden Credential }{c},
		struct{ hidden *Credential }{&c}, kept, Chain{kept}, authFile{auths: []auth{{auth: s, pass: s, ident: s, token: s}}}, errors.Join(fmt.Errorf("%v", c)),
	}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%t", "%e", "%p", "%08.3v", "%z"} {
			if text := fmt.Sprintf(verb, v); leaks(text) {
				t.Errorf("%T as %s: %s", v, verb, text)
			}
		}
		fmt.Fprint(&log, v)
	}
	for _, v := range values[:7] {
		text, err := json.Marshal(v)
		if err != nil || leaks(string(text)) {
			t.Errorf("%T as JSON: %s, %v", v, text, err)
		}
	}
	if text, err := xml.Marshal(c); err != nil || leaks(string(text)) {
		t.Errorf("as XML: %s, %v", text, err)
	}
	if leaks(log.String()) {
		t.Errorf("logged: %s", log.String())
	}
	if got := fmt.Sprintln(s, s.String()); got != "[redacted] [redacted]\n" {
		t.Errorf("printed as %q", got)
	}
	if got, err := json.Marshal(s); err != nil || string(got) != `"[redacted]"` {
		t.Errorf("as JSON: %s, %v", got, err)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	if s := NewSecret(canary); s.Reveal() != canary || s.IsEmpty() {
		t.Error("the text is not what it was")
	}
	for _, s := range []Secret{{}, NewSecret("")} {
		if !s.IsEmpty() || s.Reveal() != "" || fmt.Sprintf("%v%s%#v%q", s, s, s, s) != "" || s != (Secret{}) {
			t.Errorf("empty: %q", s.Reveal())
		}
	}
	if !(Credential{}).IsEmpty() || !(Credential{Password: NewSecret("")}).IsEmpty() || (Credential{Username: "me"}).IsEmpty() || (Credential{AccessToken: NewSecret("x")}).IsEmpty() {
		t.Error("IsEmpty")
	}
}
