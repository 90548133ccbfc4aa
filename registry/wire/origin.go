package wire

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Origin is a scheme, a host and a port (RFC 6454): what a registry is, and what a
// credential belongs to. Origins are compared with ==. The zero value is none.
type Origin struct {
	Scheme string // "https" or "http"
	Host   string // in lower case: a name without a dot at its end, or an address without brackets
	Port   uint16
}

// OriginOf returns the origin of an absolute URL, with the scheme's port where the
// URL has none. It is an error of kind errdefs.ErrInvalidArgument for a scheme
// other than http and https, for userinfo, and for a host that is neither a
// name of letters, digits, '-', '_' and '.' nor an address in its usual form: other
// spellings of an address (2130706433, 0177.0.0.1, 127.1) are read differently by
// different programs.
func OriginOf(u *url.URL) (Origin, error) {
	o := Origin{Scheme: strings.ToLower(u.Scheme)}
	switch {
	case o.Scheme != "https" && o.Scheme != "http":
		return Origin{}, malformed("the scheme %s is neither https nor http", quote(u.Scheme))
	case u.Opaque != "" || u.Host == "":
		return Origin{}, malformed("it has no host")
	case u.User != nil:
		return Origin{}, malformed("it has a user name before the host")
	}
	host, err := cleanHost(u.Hostname())
	if err != nil {
		return Origin{}, err
	}
	o.Host = host
	o.Port = defaultPort(o.Scheme)
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Origin{}, malformed("%s is no port", quote(port))
		}
		o.Port = uint16(n)
	}
	return o, nil
}

// String returns the origin as the beginning of a URL, as in https://example.com.
func (o Origin) String() string { return o.Scheme + "://" + o.authority() }

// HostPort returns host and port, as in example.com:443 or [::1]:5000.
func (o Origin) HostPort() string {
	return net.JoinHostPort(o.Host, strconv.Itoa(int(o.Port)))
}

// IsLoopback reports whether the host is this machine by its name: localhost, or a
// loopback address. Where another name leads is not looked up.
func (o Origin) IsLoopback() bool {
	addr, err := netip.ParseAddr(o.Host)
	return err == nil && addr.IsLoopback() || o.Host == "localhost" || strings.HasSuffix(o.Host, ".localhost")
}

// authority returns the host, with its port unless that is the scheme's own.
func (o Origin) authority() string {
	if o.Port != defaultPort(o.Scheme) {
		return o.HostPort()
	}
	if strings.Contains(o.Host, ":") {
		return "[" + o.Host + "]"
	}
	return o.Host
}

// check tells whether the origin is one that OriginOf could have returned.
func (o Origin) check() error {
	u, err := url.Parse(o.String())
	if err != nil {
		return malformed("%s is no origin", quote(o.String()))
	}
	again, err := OriginOf(u)
	if err != nil {
		return err
	}
	if again != o {
		return malformed("%s is written %s", quote(o.String()), quote(again.String()))
	}
	return nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "http" {
		return 80
	}
	return 443
}

// cleanHost returns a host in the form that Origin has it in.
func cleanHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" || len(name) > 253 {
		return "", malformed("%s is no host", quote(host))
	}
	label := ""
	for label = range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return "", malformed("%s is no host", quote(host))
		}
	}
	if isNumber(label) {
		return "", malformed("the host %s looks like an address, but is not in the usual form of one", quote(host))
	}
	return name, nil
}

// isLabel reports whether s can stand between the dots of a name. Names on private
// networks do have underscores.
func isLabel(s string) bool {
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// isNumber reports whether a last label makes a name an address for those who read
// addresses as inet_aton does.
func isNumber(label string) bool {
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = "0"+hex, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}

// malformedError is a URL, or a part of a header, that nothing can be made of. It is
// of the kind errdefs.ErrInvalidArgument.
type malformedError struct{ text string }

func (e *malformedError) Error() string { return e.text }
func (e *malformedError) Unwrap() error { return errdefs.ErrInvalidArgument }

func malformed(format string, args ...any) error {
	return &malformedError{fmt.Sprintf(format, args...)}
}
