package ref

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// splitHost splits a name at the end of its first component, if that is a host.
func splitHost(s string) (host, rest string) {
	first, rest, ok := strings.Cut(s, "/")
	if ok && (strings.ContainsAny(first, ".:") || strings.EqualFold(first, "localhost")) {
		return first, rest
	}
	return "", s
}

// normalHost checks a host with or without a port, and returns the one spelling
// of it that is used.
func normalHost(s string) (normal, problem string) {
	if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }); i >= 0 {
		return "", fmt.Sprintf("host %s has characters that are not ASCII or not printable; a name in another script is written as punycode", quoted(s))
	}
	s = strings.ToLower(s)
	name, port, ported := strings.Cut(s, ":")
	if end := strings.IndexByte(s, ']'); strings.HasPrefix(s, "[") && end > 0 {
		if name, problem = normalIPv6(s[:end+1]); problem != "" {
			return "", problem
		}
		if port, ported = strings.CutPrefix(s[end+1:], ":"); !ported && port != "" {
			return "", fmt.Sprintf("host %s has text after the address", quoted(s))
		}
	} else if problem = hostnameProblem(name); problem != "" {
		return "", problem
	}
	if !ported {
		return name, ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return "", fmt.Sprintf("port %s is not a number from 1 to 65535", quoted(port))
	}
	return name + ":" + port, ""
}

// normalIPv6 takes an address in brackets.
func normalIPv6(s string) (normal, problem string) {
	addr, err := netip.ParseAddr(s[1 : len(s)-1])
	switch {
	case err != nil || !addr.Is6():
		return "", fmt.Sprintf("%s is not an IPv6 address in brackets", quoted(s))
	case addr.Zone() != "":
		return "", fmt.Sprintf("the IPv6 address %s has a zone, which means something on one machine only", quoted(s))
	case addr.Is4In6():
		return "", fmt.Sprintf("the IPv6 address %s is an IPv4 address; write it as one", quoted(s))
	}
	return "[" + addr.String() + "]", ""
}

// hostnameProblem says why a host is neither a DNS name (RFC 1123) nor an IPv4
// address.
func hostnameProblem(s string) string {
	const maxName, maxLabel = 253, 63
	switch {
	case s == "":
		return "the host is empty"
	case len(s) > maxName:
		return fmt.Sprintf("the host has %d bytes of at most %d", len(s), maxName)
	case strings.HasSuffix(s, "."):
		return fmt.Sprintf("host %s ends in a dot", quoted(s))
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		bad := strings.IndexFunc(label, func(r rune) bool { return !lowerOrDigit(r) && r != '-' }) >= 0
		if bad || label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Sprintf("%s in host %s is not letters, digits and inner dashes, 1 to %d of them", quoted(label), quoted(s), maxLabel)
		}
	}
	// A name that ends in a number is an address, or meant to pass for one.
	if last := labels[len(labels)-1]; len(labels) > 1 && strings.Trim(last, "0123456789") == "" {
		if _, err := netip.ParseAddr(s); err != nil {
			return fmt.Sprintf("host %s is not an IPv4 address", quoted(s))
		}
	}
	return ""
}

func lowerOrDigit(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }
