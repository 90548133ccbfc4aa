package credentials

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Secret prints as.
const redacted = "[redacted]"

// Secret is a text that is not to be printed: whatever package fmt, log/slog or
// encoding/json makes of it is "[redacted]", or "" if it is empty. The zero value
// is empty. Secrets are not comparable in a useful way; to see whether there is
// one, use IsEmpty.
type Secret struct {
	// Behind a pointer, package fmt does not find it in unexported fields either,
	// for which it does not call methods.
	text *string
}

// NewSecret returns a text as a Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsEmpty reports whether there is no text.
func (s Secret) IsEmpty() bool { return s.text == nil }

// String returns "[redacted]", or "" if the secret is empty.
func (s Secret) String() string {
	if s.IsEmpty() {
		return ""
	}
	return redacted
}

// Format writes the String, whatever the verb and its flags.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt.State keeps no error
}

// LogValue returns the String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the String, also for JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Credential is what to log in with. The zero value is none: an anonymous request.
type Credential struct {
	// Username is for Password.
	Username string
	// Password may be a token that the registry takes for one.
	Password Secret
	// RefreshToken is an identity token, to be changed for an access token at the
	// registry's token server.
	RefreshToken Secret
	// AccessToken is a bearer token for the registry itself.
	AccessToken Secret
}

// IsEmpty reports whether the credential is none.
func (c Credential) IsEmpty() bool { return c == Credential{} }
