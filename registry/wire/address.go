package wire

import (
	"net/netip"
	"strings"
)

// reach is a set of kinds of addresses.
type reach uint32

// The kinds. Each address is of exactly one.
const (
	public   reach = 1 << iota // routed in the internet
	private                    // of some organisation's own network, or between a carrier and its customers
	loopback                   // this machine
	segment                    // link-local, or where a cloud tells its machines their secrets
	reserved                   // multicast, documentation, and what is no host at all

	anywhere = public | private | loopback | segment | reserved
)

// String names a kind as it stands in a message.
func (r reach) String() string {
	switch r {
	case public:
		return "a public address"
	case private:
		return "a private address"
	case loopback:
		return "a loopback address"
	case segment:
		return "a link-local or metadata address"
	}
	return "a reserved address"
}

// specialPrefix says of what kind the addresses of a prefix are.
type specialPrefix struct {
	prefix netip.Prefix
	kind   reach
}

// special has the prefixes that are not public, by the IANA registries of
// special-purpose addresses (RFC 6890) and of multicast, and the metadata services
// that are not link-local. The first that contains an address decides.
var special = []specialPrefix{
	{netip.MustParsePrefix("100.100.100.200/32"), segment}, // Alibaba Cloud
	{netip.MustParsePrefix("168.63.129.16/32"), segment},   // Azure
	{netip.MustParsePrefix("0.0.0.0/8"), loopback},         // to connect to 0.0.0.0 is to connect to this machine
	{netip.MustParsePrefix("10.0.0.0/8"), private},
	{netip.MustParsePrefix("100.64.0.0/10"), private}, // RFC 6598, carriers
	{netip.MustParsePrefix("127.0.0.0/8"), loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), segment},
	{netip.MustParsePrefix("172.16.0.0/12"), private},
	{netip.MustParsePrefix("192.0.0.0/24"), reserved},
	{netip.MustParsePrefix("192.0.2.0/24"), reserved},
	{netip.MustParsePrefix("192.88.99.0/24"), reserved},
	{netip.MustParsePrefix("192.168.0.0/16"), private},
	{netip.MustParsePrefix("198.18.0.0/15"), private}, // benchmarks, and the names of some local tunnels
	{netip.MustParsePrefix("198.51.100.0/24"), reserved},
	{netip.MustParsePrefix("203.0.113.0/24"), reserved},
	{netip.MustParsePrefix("224.0.0.0/3"), reserved}, // multicast, future use, broadcast

	{netip.MustParsePrefix("fd00:ec2::/32"), segment},    // Amazon EC2
	{netip.MustParsePrefix("fd20:ce::254/128"), segment}, // Google Compute Engine
	{netip.MustParsePrefix("::/127"), loopback},          // :: and ::1
	{netip.MustParsePrefix("64:ff9b:1::/48"), private},   // RFC 8215, translation within an organisation
	{netip.MustParsePrefix("100::/64"), reserved},        // discarded
	{netip.MustParsePrefix("2001::/23"), reserved},       // Teredo and other protocols
	{netip.MustParsePrefix("2001:db8::/32"), reserved},   // documentation
	{netip.MustParsePrefix("3fff::/20"), reserved},       // documentation
	{netip.MustParsePrefix("5f00::/16"), reserved},       // segment routing
	{netip.MustParsePrefix("fc00::/7"), private},         // RFC 4193
	{netip.MustParsePrefix("fe80::/10"), segment},        //
	{netip.MustParsePrefix("fec0::/10"), private},        // RFC 3879, once for sites
	{netip.MustParsePrefix("ff00::/8"), reserved},        // multicast
}

// embeddingPrefix says where in the 16 bytes of its addresses one of IPv4 stands.
type embeddingPrefix struct {
	prefix netip.Prefix
	at     int
}

// embedding has the prefixes of IPv6 whose addresses lead to one of IPv4.
var embedding = []embeddingPrefix{
	{netip.MustParsePrefix("::/96"), 12},        // RFC 4291, IPv4-compatible
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // RFC 6052, NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // RFC 3056, 6to4
}

// kindOf returns the kind of an address: of the one of IPv4, where it has one in it.
func kindOf(addr netip.Addr) reach {
	addr = addr.Unmap().WithZone("")
	for _, s := range special {
		if s.prefix.Contains(addr) {
			return s.kind
		}
	}
	for _, e := range embedding {
		if e.prefix.Contains(addr) {
			all := addr.As16()
			return kindOf(netip.AddrFrom4([4]byte(all[e.at : e.at+4])))
		}
	}
	return public
}

// kindOfHost returns the kind of a host that says it by itself: an address, or a
// name of this machine (RFC 6761). For any other name it reports false.
func kindOfHost(host string) (reach, bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return kindOf(addr), true
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "localhost.localdomain" {
		return loopback, true
	}
	return 0, false
}

// kindOfName guesses the kind of a host whose address a proxy will look up: a name
// that the internet's DNS cannot have is of a private network.
func kindOfName(host string) reach {
	if kind, ok := kindOfHost(host); ok {
		return kind
	}
	if !strings.Contains(host, ".") {
		return private
	}
	for _, end := range []string{".internal", ".local", ".home.arpa", ".lan", ".intranet", ".corp", ".home", ".private"} {
		if strings.HasSuffix(host, end) {
			return private
		}
	}
	return public
}
