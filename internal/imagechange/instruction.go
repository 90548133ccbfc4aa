package imagechange

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dhowhq/dhow/internal/strictjson"
)

// pair is a name with a value.
type pair struct{ name, value string }

// pairs reads NAME=VALUE ..., or NAME and the rest of the line as its value.
func (c *Config) pairs(instruction, rest string) ([]pair, error) {
	all := words(rest)
	if !strings.Contains(all[0], "=") {
		name, value := cutWord(rest)
		if value == "" {
			return nil, invalid("%s must have two arguments", instruction)
		}
		p, err := c.pair(instruction, name, value)
		return []pair{p}, err
	}
	var found []pair
	for _, word := range all {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, invalid("can't find = in %s, which must be of the form name=value", strictjson.Quote(word))
		}
		p, err := c.pair(instruction, name, value)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

func (c *Config) pair(instruction, name, value string) (p pair, err error) {
	if p.name, err = c.expand(name); err != nil {
		return p, err
	}
	if p.name == "" {
		return p, invalid("%s names can not be blank", instruction)
	}
	p.value, err = c.expand(value)
	return p, err
}

func (c *Config) env(_, rest string) error {
	all, err := c.pairs("ENV", rest)
	if err != nil {
		return err
	}
	for _, p := range all {
		now := p.name + "=" + p.value
		if i := slices.IndexFunc(c.Env, func(v string) bool { return strings.HasPrefix(v, p.name+"=") }); i >= 0 {
			c.Env[i] = now
		} else {
			c.Env = append(c.Env, now)
		}
	}
	return nil
}

func (c *Config) label(_, rest string) error {
	all, err := c.pairs("LABEL", rest)
	if err != nil {
		return err
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	for _, p := range all {
		c.Labels[p.name] = p.value
	}
	return nil
}

// maxPorts bounds the ports of an image.
const maxPorts = 1 << 16

func (c *Config) expose(_, rest string) error {
	if c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	for _, word := range words(rest) {
		word, err := c.expand(word)
		if err != nil {
			return err
		}
		from, to, protocol, err := ports(word)
		if err != nil {
			return err
		}
		for n := from; n <= to; n++ {
			c.ExposedPorts[strconv.Itoa(n)+"/"+protocol] = struct{}{}
		}
		if len(c.ExposedPorts) > maxPorts {
			return invalid("more than %d ports", maxPorts)
		}
	}
	return nil
}

// ports reads PORT[-PORT][/PROTOCOL].
func ports(text string) (from, to int, protocol string, err error) {
	numbers, protocol, ok := strings.Cut(text, "/")
	if !ok {
		protocol = "tcp"
	}
	protocol = strings.ToLower(protocol)
	if protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return 0, 0, "", invalid("invalid proto: %s", strictjson.Quote(protocol))
	}
	first, last, ok := strings.Cut(numbers, "-")
	if !ok {
		last = first
	}
	from, to = port(first), port(last)
	if from < 0 || to < from {
		return 0, 0, "", invalid("invalid containerPort: %s", strictjson.Quote(text))
	}
	return from, to, protocol, nil
}

// port reads the number of a port; -1 for what is none.
func port(text string) int {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

func (c *Config) onBuild(_, rest string) error {
	trigger, _ := cutWord(rest)
	switch trigger = strings.ToUpper(trigger); trigger {
	case "ONBUILD":
		return invalid("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
	case "MAINTAINER", "FROM":
		return invalid("%s isn't allowed as an ONBUILD trigger", trigger)
	}
	c.OnBuild = append(c.OnBuild, rest)
	return nil
}

func (c *Config) stopSignal(_, rest string) error {
	signal, err := c.expand(rest)
	if err != nil {
		return err
	}
	if !isSignal(signal) {
		return invalid("invalid signal: %s", strictjson.Quote(signal))
	}
	c.StopSignal = signal
	return nil
}

// isSignal reports whether text is the number or the name of a signal of Linux.
func isSignal(text string) bool {
	if n, err := strconv.Atoi(text); err == nil {
		return 1 <= n && n <= 64
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	for base, room := range map[string]int{"RTMIN+": 15, "RTMAX-": 14} {
		if n, ok := strings.CutPrefix(name, base); ok {
			k, err := strconv.Atoi(n)
			return err == nil && 1 <= k && k <= room
		}
	}
	return slices.Contains(strings.Fields(`ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT
		RTMAX RTMIN SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ`), name)
}

func (c *Config) user(_, rest string) (err error) {
	c.User, err = c.expand(rest)
	return err
}

func (c *Config) volume(_, rest string) error {
	all, ok, err := jsonStrings(rest)
	if err != nil {
		return err
	}
	if !ok {
		all = words(rest)
	}
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	for _, word := range all {
		dir, err := c.expand(word)
		if err != nil {
			return err
		}
		if dir = strings.TrimSpace(dir); dir == "" {
			return invalid("VOLUME specified can not be an empty string")
		}
		c.Volumes[dir] = struct{}{}
	}
	return nil
}

func (c *Config) workDir(os, rest string) error {
	dir, err := c.expand(rest)
	if err != nil {
		return err
	}
	if dir == "" {
		return invalid("WORKDIR needs a directory")
	}
	if os != "windows" {
		if !path.IsAbs(dir) {
			dir = path.Join("/", c.WorkingDir, dir)
		}
		dir = path.Clean(dir)
	}
	c.WorkingDir = dir
	return nil
}
