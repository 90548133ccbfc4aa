package imagechange

import (
	"strings"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// maxDepth bounds variables within variables.
const maxDepth = 16

// words splits a line into words, which still have their quotes.
func words(line string) []string {
	var all []string
	for i := 0; i < len(line); {
		if strings.IndexByte(space, line[i]) >= 0 {
			i++
			continue
		}
		begin := i
		for quote := byte(0); i < len(line) && (quote != 0 || strings.IndexByte(space, line[i]) < 0); i++ {
			switch b := line[i]; {
			case b == '\\' && quote != '\'':
				i++
			case quote == 0 && (b == '"' || b == '\''):
				quote = b
			case b == quote:
				quote = 0
			}
		}
		i = min(i, len(line))
		all = append(all, line[begin:i])
	}
	return all
}

// expand takes the quotes from a word, and puts the values of variables in.
func (c *Config) expand(word string) (string, error) {
	e := &expansion{c: c, text: word}
	return e.until("", 0)
}

// expansion is a word that is being read.
type expansion struct {
	c    *Config
	text string
	at   int
}

// until reads up to one of the characters of end, which it does not consume, or else to the
// end.
func (e *expansion) until(end string, depth int) (string, error) {
	var b strings.Builder
	for e.at < len(e.text) {
		ch := e.text[e.at]
		if strings.IndexByte(end, ch) >= 0 {
			return b.String(), nil
		}
		var part string
		var err error
		switch ch {
		case '\'':
			part, err = e.single()
		case '"':
			part, err = e.double(depth)
		case '$':
			part, err = e.variable(depth)
		case '\\':
			e.at++
			if e.at < len(e.text) {
				part = e.text[e.at : e.at+1]
				e.at++
			}
		default:
			part = e.text[e.at : e.at+1]
			e.at++
		}
		if err != nil {
			return "", err
		}
		b.WriteString(part)
	}
	if end != "" {
		return "", invalid("a ${ is not closed in %s", strictjson.Quote(e.text))
	}
	return b.String(), nil
}

// single reads what is in single quotes.
func (e *expansion) single() (string, error) {
	inside, _, ok := strings.Cut(e.text[e.at+1:], "'")
	if !ok {
		return "", invalid("a quote is not closed in %s", strictjson.Quote(e.text))
	}
	e.at += len(inside) + 2
	return inside, nil
}

// double reads what is in double quotes.
func (e *expansion) double(depth int) (string, error) {
	var b strings.Builder
	for e.at++; e.at < len(e.text); {
		switch ch := e.text[e.at]; ch {
		case '"':
			e.at++
			return b.String(), nil
		case '$':
			value, err := e.variable(depth)
			if err != nil {
				return "", err
			}
			b.WriteString(value)
			continue
		case '\\':
			if e.at+1 < len(e.text) && strings.IndexByte(`"$\`, e.text[e.at+1]) >= 0 {
				e.at++
			}
		}
		b.WriteByte(e.text[e.at])
		e.at++
	}
	return "", invalid("a quote is not closed in %s", strictjson.Quote(e.text))
}

// variable reads $NAME, or ${NAME} with what is to be taken where it is not set (-, or :-
// where it is empty too) or where it is (+, :+), or else is an error (?, :?).
func (e *expansion) variable(depth int) (string, error) {
	if depth == maxDepth {
		return "", invalid("variables are more than %d deep in %s", maxDepth, strictjson.Quote(e.text))
	}
	e.at++
	if !strings.HasPrefix(e.text[e.at:], "{") {
		name := e.name()
		if name == "" {
			return "$", nil
		}
		value, _ := e.c.lookUp(name)
		return value, nil
	}
	e.at++
	name := e.name()
	if name == "" {
		return "", invalid("a variable has no name in %s", strictjson.Quote(e.text))
	}
	value, set := e.c.lookUp(name)
	if strings.HasPrefix(e.text[e.at:], ":") {
		e.at++
		set = value != ""
		if strings.HasPrefix(e.text[e.at:], "}") {
			return "", invalid("what is behind : is missing in %s", strictjson.Quote(e.text))
		}
	}
	if strings.HasPrefix(e.text[e.at:], "}") {
		e.at++
		return value, nil
	}
	if e.at == len(e.text) || strings.IndexByte("-+?", e.text[e.at]) < 0 {
		return "", invalid("a variable is not understood in %s", strictjson.Quote(e.text))
	}
	operator := e.text[e.at]
	e.at++
	other, err := e.until("}", depth+1)
	if err != nil {
		return "", err
	}
	e.at++
	switch {
	case operator == '?' && !set:
		return "", invalid("%s: %s", name, strictjson.Quote(other))
	case operator == '-' && !set, operator == '+' && set:
		return other, nil
	case operator == '+':
		return "", nil
	}
	return value, nil
}

// name reads the name of a variable; empty if there is none.
func (e *expansion) name() string {
	begin := e.at
	for e.at < len(e.text) && isNameByte(e.text[e.at], e.at > begin) {
		e.at++
	}
	return e.text[begin:e.at]
}

func isNameByte(b byte, further bool) bool {
	return b == '_' || 'a' <= b|0x20 && b|0x20 <= 'z' || further && '0' <= b && b <= '9'
}

// lookUp returns the value of a variable, and whether it is set.
func (c *Config) lookUp(name string) (string, bool) {
	for _, v := range c.Env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
