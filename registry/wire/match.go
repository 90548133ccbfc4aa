package wire

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// pair is a registry whose token server is of another domain, as is publicly known.
type pair struct{ registry, realm string }

// The names of Docker Hub that are in docker.io are of one domain with its token server.
var pairs = []pair{
	{"registry.hub.docker.com", "auth.docker.io"},
}

// trusts reports whether a token server may have the credential of an endpoint.
func (p Policy) trusts(endpoint, realm Origin) bool {
	if endpoint.Scheme == "https" && realm.Scheme != "https" {
		return false
	}
	for _, known := range pairs {
		if known.registry == endpoint.Host && known.realm == realm.Host {
			return true
		}
	}
	return sameDomain(endpoint.Host, realm.Host) || matches(p.TrustedRealms, realm)
}

// sameDomain reports whether two hosts are one, or of one registrable domain: a name
// that somebody registered below a public suffix (publicsuffix.org).
func sameDomain(a, b string) bool {
	if a == b {
		return true
	}
	domain, err := registrable(a)
	if err != nil {
		return false
	}
	other, err := registrable(b)
	return err == nil && domain == other
}

func registrable(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return "", malformed("%s is an address", addr)
	}
	return publicsuffix.EffectiveTLDPlusOne(host)
}

// matches reports whether an entry of a policy's list stands for the origin.
func matches(entries []string, o Origin) bool {
	for _, entry := range entries {
		host, port, err := splitEntry(entry)
		if err != nil || port != 0 && port != o.Port {
			continue
		}
		if host == o.Host {
			return true
		}
		if domain, ok := strings.CutPrefix(host, "*"); ok && strings.HasSuffix(o.Host, domain) {
			return true
		}
	}
	return false
}

// splitEntry returns the host of an entry, in the form of Origin or as *.domain, and
// its port, 0 for all.
func splitEntry(entry string) (host string, port uint16, err error) {
	rest, wild := strings.CutPrefix(entry, "*.")
	if addr, err := netip.ParseAddr(rest); err == nil && !wild {
		return addr.String(), 0, nil // an address of IPv6 is also taken without brackets
	}
	u := url.URL{Scheme: "https", Host: rest}
	o, err := OriginOf(&u)
	if err != nil {
		return "", 0, err
	}
	if wild {
		o.Host = "*." + o.Host
	}
	if u.Port() != "" {
		port = o.Port
	}
	return o.Host, port, nil
}

// check tells whether all entries of the lists are ones.
func (p Policy) check() error {
	for key, entries := range map[string][]string{keyRealms: p.TrustedRealms, keyHosts: p.AllowedHosts} {
		for i, entry := range entries {
			if _, _, err := splitEntry(entry); err != nil {
				return malformed("%s[%s] = %s: %v", key, strconv.Itoa(i), quote(entry), err)
			}
		}
	}
	return nil
}
