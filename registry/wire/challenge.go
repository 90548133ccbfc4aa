package wire

import (
	"net/http"
	"net/url"
	"strings"
)

// challenge is one of those in a WWW-Authenticate header (RFC 9110, 11.3).
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

const (
	maxChallenges = 8
	maxParams     = 16
)

// parseChallenges reads the challenges in the values of a header. The error says
// what is wrong, and is of the kind errdefs.ErrInvalidArgument.
func parseChallenges(values []string) ([]challenge, error) {
	var all []challenge
	for _, value := range values {
		p := &challengeParser{rest: value}
		for p.skip(" \t,"); p.rest != ""; p.skip(" \t,") {
			c, err := p.challenge()
			if err != nil {
				return nil, err
			}
			if len(all) == maxChallenges {
				return nil, malformed("more than %d challenges", maxChallenges)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// challengeParser reads one header value from its beginning.
type challengeParser struct{ rest string }

func (p *challengeParser) skip(chars string) { p.rest = strings.TrimLeft(p.rest, chars) }

func (p *challengeParser) challenge() (challenge, error) {
	c := challenge{scheme: strings.ToLower(p.token()), params: map[string]string{}}
	if c.scheme == "" {
		return c, malformed("a challenge without a scheme at %s", quote(p.rest))
	}
	if p.rest != "" && !strings.ContainsAny(p.rest[:1], " \t,") {
		return c, malformed("the scheme of a challenge goes on with %s", quote(p.rest))
	}
	for p.skip(" \t"); p.rest != ""; p.skip(" \t,") {
		before := p.rest
		name := strings.ToLower(p.token())
		p.skip(" \t")
		if name == "" || !strings.HasPrefix(p.rest, "=") || isToken68(before) {
			// The next challenge, or a token68, which none of ours has.
			p.rest = before
			if len(c.params) > 0 || !isToken68(before) {
				return c, nil
			}
			_, p.rest, _ = strings.Cut(before, ",")
			return c, nil
		}
		p.rest = strings.TrimLeft(p.rest[1:], " \t")
		value, err := p.value()
		if err != nil {
			return c, malformed("the parameter %s of a %s challenge: %v", quote(name), quote(c.scheme), err)
		}
		if _, twice := c.params[name]; twice || len(c.params) == maxParams {
			return c, malformed("a %s challenge has the parameter %s twice, or more than %d", quote(c.scheme), quote(name), maxParams)
		}
		c.params[name] = value
		if p.skip(" \t"); p.rest != "" && p.rest[0] != ',' {
			return c, malformed("the parameter %s of a %s challenge goes on with %s", quote(name), quote(c.scheme), quote(p.rest))
		}
	}
	return c, nil
}

// token reads the characters of a token (RFC 9110, 5.6.2), which may be none.
func (p *challengeParser) token() string {
	end := strings.IndexFunc(p.rest, func(c rune) bool { return !isTokenChar(c) })
	if end < 0 {
		end = len(p.rest)
	}
	token := p.rest[:end]
	p.rest = p.rest[end:]
	return token
}

// value reads a token or a quoted string of printable ASCII.
func (p *challengeParser) value() (string, error) {
	if !strings.HasPrefix(p.rest, `"`) {
		if token := p.token(); token != "" {
			return token, nil
		}
		return "", malformed("it has no value")
	}
	var text []byte
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		if c == '"' {
			p.rest = p.rest[i+1:]
			return string(text), nil
		}
		if c == '\\' && i+1 < len(p.rest) {
			i++
			c = p.rest[i]
		}
		if c < ' ' || c > '~' {
			return "", malformed("it has the character %q", rune(c))
		}
		text = append(text, c)
	}
	return "", malformed("its quote is not closed")
}

func isTokenChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// isToken68 reports whether a challenge goes on with a token68 rather than with
// parameters: "=" at the end of it, or nothing after it.
func isToken68(rest string) bool {
	word, _, _ := strings.Cut(rest, ",")
	word = strings.TrimRight(word, " \t")
	if strings.ContainsAny(word, " \t\"") {
		return false
	}
	body := strings.TrimRight(word, "=")
	return body != "" && !strings.Contains(body, "=") && (body == word || strings.HasSuffix(word, "="))
}

// choose returns the challenge to answer: one for a token rather than for the
// password itself. It reports false if there is neither.
func choose(all []challenge) (challenge, bool) {
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range all {
			if c.scheme == scheme {
				return c, true
			}
		}
	}
	return challenge{}, false
}

// header returns the challenge as the value of a header that is read alike by all:
// one challenge, and of parameters only those that authentication needs.
func (c challenge) header() string {
	name := http.CanonicalHeaderKey(c.scheme)
	var params []string
	for _, key := range []string{"realm", "service", "scope", "error"} {
		value, ok := c.params[key]
		if ok {
			params = append(params, key+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)+`"`)
		}
	}
	if len(params) == 0 {
		return name
	}
	return name + " " + strings.Join(params, ",")
}

// realm returns the token server of a Bearer challenge.
func (c challenge) realm() (*url.URL, error) {
	raw := c.params["realm"]
	if raw == "" {
		return nil, malformed("it has no realm")
	}
	return absolute(raw)
}
