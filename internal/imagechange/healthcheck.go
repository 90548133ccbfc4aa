package imagechange

import (
	"strconv"
	"strings"
	"time"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// Healthcheck says how it is found out whether a container works. Durations are in
// nanoseconds; 0 stands for what the runtime does without.
type Healthcheck struct {
	Test          []string      `json:"Test,omitempty"`
	Interval      time.Duration `json:"Interval,omitempty"`
	Timeout       time.Duration `json:"Timeout,omitempty"`
	StartPeriod   time.Duration `json:"StartPeriod,omitempty"`
	StartInterval time.Duration `json:"StartInterval,omitempty"`
	Retries       int           `json:"Retries,omitempty"`
}

func (c *Config) healthcheck(_, rest string) error {
	h, flags := &Healthcheck{}, false
	for strings.HasPrefix(rest, "--") {
		var flag string
		flag, rest = cutWord(rest)
		flags = true
		if err := h.flag(flag); err != nil {
			return err
		}
	}
	kind, args := cutWord(rest)
	switch strings.ToUpper(kind) {
	case "NONE":
		if args != "" || flags {
			return invalid("HEALTHCHECK NONE takes no arguments")
		}
		h.Test = []string{"NONE"}
	case "CMD":
		if args == "" {
			return invalid("missing command after HEALTHCHECK CMD")
		}
		all, ok, err := jsonStrings(args)
		switch {
		case err != nil:
			return err
		case ok && len(all) == 0:
			return invalid("missing command after HEALTHCHECK CMD")
		case ok:
			h.Test = append([]string{"CMD"}, all...)
		default:
			h.Test = []string{"CMD-SHELL", args}
		}
	default:
		return invalid("unknown type %s in HEALTHCHECK (try CMD)", strictjson.Quote(kind))
	}
	c.Healthcheck = h
	return nil
}

// flag reads --NAME=VALUE.
func (h *Healthcheck) flag(text string) error {
	name, value, _ := strings.Cut(strings.TrimPrefix(text, "--"), "=")
	var to *time.Duration
	switch name {
	case "interval":
		to = &h.Interval
	case "timeout":
		to = &h.Timeout
	case "start-period":
		to = &h.StartPeriod
	case "start-interval":
		to = &h.StartInterval
	case "retries":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 0 {
			return invalid("--retries cannot be %s", strictjson.Quote(value))
		}
		h.Retries = int(n)
		return nil
	default:
		return invalid("unknown flag %s", strictjson.Quote(text))
	}
	d, err := time.ParseDuration(value)
	if err != nil || d != 0 && d < time.Millisecond {
		return invalid("--%s cannot be %s: it is 0 or at least 1ms", name, strictjson.Quote(value))
	}
	*to = d
	return nil
}
