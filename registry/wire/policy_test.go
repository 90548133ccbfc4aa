package wire

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// decision is a question to the policy, written short, and its answer.
type decision struct {
	name    string
	ask     ask
	policy  Policy
	target  string   // URL
	via     []string // URLs
	refused string   // part of the refusal; empty where there is none
	key     string   // of configuration, in the refusal
	cred    bool     // the credential goes along
	reach   reach    // 0 is not checked
}

const (
	hub = "https://registry-1.docker.io"
	reg = "https://registry.example.com"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, table := range [][]decision{ownDecisions(), realmDecisions(), sentDecisions(), redirectDecisions(), literalDecisions()} {
		for _, d := range table {
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				d.check(t)
			})
		}
	}
}

func (d decision) check(t *testing.T) {
	t.Helper()
	if d.ask.endpoint == (Origin{}) {
		d.ask.endpoint = origin0(t, reg)
	}
	d.ask.url = parse(t, d.target)
	for _, v := range d.via {
		d.ask.via = append(d.ask.via, parse(t, v))
	}
	if err := d.policy.check(); err != nil {
		t.Fatal(err)
	}
	got, err := d.policy.decide(d.ask)
	if d.refused == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if got.credential != d.cred || d.reach != 0 && got.reach != d.reach {
			t.Fatalf("credential %t, reach %b; want %t, %b", got.credential, got.reach, d.cred, d.reach)
		}
		return
	}
	var refused *RefusedError
	if !errors.As(err, &refused) || !errdefs.IsPermissionDenied(err) {
		t.Fatalf("error %v, want a refusal", err)
	}
	if !strings.Contains(refused.Reason, d.refused) || refused.Key != d.key {
		t.Fatalf("refused as %q with the key %q, want %q and %q", refused.Reason, refused.Key, d.refused, d.key)
	}
	if d.key != "" && !strings.Contains(err.Error(), d.key) {
		t.Errorf("%q does not name the key %s", err, d.key)
	}
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func from(t Purpose, endpoint string, near reach) ask {
	u, err := url.Parse(endpoint)
	if err != nil {
		panic(err)
	}
	o, err := OriginOf(u)
	if err != nil {
		panic(err)
	}
	return ask{purpose: t, endpoint: o, near: near}
}

func ownDecisions() []decision {
	return []decision{
		{name: "own origin", target: reg + "/v2/", cred: true, reach: anywhere},
		{name: "own origin with its port written", target: reg + ":443/v2/", cred: true},
		{name: "own origin in capitals and with a last dot", target: "HTTPS://Registry.Example.COM./v2/", cred: true},
		{name: "other port", target: reg + ":444/v2/", refused: "not the registry", key: keyHosts},
		{name: "other scheme", target: "http://registry.example.com/v2/", refused: "https to http"},
		{name: "sub-domain", target: "https://a.registry.example.com/v2/", refused: "not the registry", key: keyHosts},
		{name: "domain above", target: "https://example.com/v2/", refused: "not the registry", key: keyHosts},
		{name: "name that begins alike", target: "https://registry.example.com.evil.org/v2/", refused: "not the registry", key: keyHosts},
		{name: "allowed host gets no credential", target: "https://b.example.net/v2/", policy: Policy{AllowedHosts: []string{"b.example.net"}}, reach: anywhere},
		{name: "allowed host, other port", target: "https://b.example.net:8443/v2/", policy: Policy{AllowedHosts: []string{"b.example.net:443"}}, refused: "not the registry", key: keyHosts},
		{name: "allowed host, any port", target: "https://b.example.net:8443/v2/", policy: Policy{AllowedHosts: []string{"b.example.net"}}},
		{name: "allowed domain", target: "https://a.b.example.net/v2/", policy: Policy{AllowedHosts: []string{"*.example.net"}}},
		{name: "allowed domain is not its own name", target: "https://example.net/v2/", policy: Policy{AllowedHosts: []string{"*.example.net"}}, refused: "not the registry", key: keyHosts},
		{name: "allowed domain is not what ends alike", target: "https://evilexample.net/v2/", policy: Policy{AllowedHosts: []string{"*.example.net"}}, refused: "not the registry", key: keyHosts},
		{name: "allowed host by http", target: "http://b.example.net/v2/", policy: Policy{AllowedHosts: []string{"b.example.net"}}, refused: "https to http"},
		{name: "userinfo", target: "https://user:secret@registry.example.com/v2/", refused: "user name"},
		{name: "file", target: "file:///etc/passwd", refused: "is neither https nor http"},
		{name: "no host", target: "https:///v2/", refused: "no host"},
		{name: "port 0", target: reg + ":0/", refused: "no port"},
		{name: "port 65536", target: reg + ":65536/", refused: "no port"},
		{name: "own origin on loopback", ask: from(Registry, "http://127.0.0.1:5000", loopback), target: "http://127.0.0.1:5000/v2/", cred: true, reach: anywhere},
		{name: "a mirror is asked with its own credential", ask: from(Registry, "https://mirror.example.net", 0), target: "https://mirror.example.net/v2/", cred: true},
		{name: "a mirror that sends to its registry", ask: from(Registry, "https://mirror.example.net", 0), target: reg + "/v2/", refused: "not the registry", key: keyHosts},
	}
}

func realmDecisions() []decision {
	realm := ask{purpose: Realm}
	withBody := ask{purpose: Realm, body: true}
	return []decision{
		{name: "realm on the own origin", ask: realm, target: reg + "/token", cred: true},
		{name: "realm on another port", ask: realm, target: reg + ":5001/token", cred: true, reach: public},
		{name: "realm in the own domain", ask: realm, target: "https://auth.example.com/token", cred: true},
		{name: "realm with a form in the own domain", ask: withBody, target: "https://auth.example.com/token", cred: true},
		{name: "Docker Hub", ask: from(Realm, hub, 0), target: "https://auth.docker.io/token", cred: true},
		{name: "Docker Hub by its other name", ask: from(Realm, "https://registry.hub.docker.com", 0), target: "https://auth.docker.io/token", cred: true},
		{name: "auth.docker.io for another registry", ask: realm, target: "https://auth.docker.io/token"},
		{name: "B86 realm of another domain is asked anonymously", ask: realm, target: "https://evil.org/token"},
		{name: "B86 but not with a form", ask: withBody, target: "https://evil.org/token", refused: "not of the registry's domain", key: keyRealms},
		{name: "trusted realm", ask: realm, target: "https://sso.corp.net/token", policy: Policy{TrustedRealms: []string{"sso.corp.net"}}, cred: true, reach: anywhere},
		{name: "trusted realm with a form", ask: withBody, target: "https://sso.corp.net/token", policy: Policy{TrustedRealms: []string{"sso.corp.net"}}, cred: true},
		{name: "allowed host is no trusted realm", ask: realm, target: "https://sso.corp.net/token", policy: Policy{AllowedHosts: []string{"sso.corp.net"}}},
		{name: "trusted realm of another port", ask: realm, target: "https://sso.corp.net:444/token", policy: Policy{TrustedRealms: []string{"sso.corp.net:443"}}},
		{name: "B86 realm by http", ask: realm, target: "http://auth.example.com/token", refused: "https to http"},
		{name: "B86 trusted realm by http", ask: realm, target: "http://sso.corp.net/token", policy: Policy{TrustedRealms: []string{"sso.corp.net"}}, refused: "https to http"},
		{name: "realm by http of a registry by http", ask: from(Realm, "http://registry.example.com", 0), target: "http://auth.example.com/token", cred: true},
		{name: "realm by https of a registry by http", ask: from(Realm, "http://registry.example.com", 0), target: "https://auth.example.com/token", cred: true},
		{name: "a public suffix is no domain: github.io", ask: from(Realm, "https://a.github.io", 0), target: "https://b.github.io/token"},
		{name: "a public suffix is no domain: co.uk", ask: from(Realm, "https://a.co.uk", 0), target: "https://b.co.uk/token"},
		{name: "names without a domain", ask: from(Realm, "http://registry:5000", private), target: "http://auth:5001/token"},
		{name: "one name without a domain, two ports", ask: from(Realm, "http://registry:5000", private), target: "http://registry:5001/token", cred: true},
		{name: "addresses have no domain", ask: from(Realm, "https://8.8.8.8", 0), target: "https://8.8.4.8/token"},
		{name: "B85 realm at a metadata service", ask: realm, target: "https://169.254.169.254/latest", refused: "link-local or metadata", key: keyRealms},
		{name: "realm of a local registry", ask: from(Realm, "http://localhost:5000", loopback), target: "http://localhost:5001/token", cred: true, reach: public | loopback},
		{name: "file realm", ask: realm, target: "file:///etc/passwd", refused: "is neither https nor http"},
		{name: "gopher realm", ask: realm, target: "gopher://auth.example.com/", refused: "is neither https nor http"},
	}
}

func sentDecisions() []decision {
	location, link, foreign := ask{purpose: Location, body: true}, ask{purpose: Link}, ask{purpose: Foreign}
	on := Policy{ForeignLayers: true}
	return []decision{
		{name: "B87 Location on the own origin", ask: location, target: reg + "/upload?state=1", cred: true},
		{name: "B87 Location on another host", ask: location, target: "https://evil.org/upload", refused: "not the registry", key: keyHosts},
		{name: "B87 Location on another port", ask: location, target: reg + ":444/upload", refused: "not the registry", key: keyHosts},
		{name: "B87 Location by http", ask: location, target: "http://registry.example.com/upload", refused: "https to http"},
		{name: "B87 Location on an allowed host", ask: location, target: "https://up.example.net/", policy: Policy{AllowedHosts: []string{"up.example.net"}}},
		{name: "B91 Link on the own origin", ask: link, target: reg + "/v2/_catalog?last=a", cred: true},
		{name: "B91 Link on another host", ask: link, target: "https://evil.org/v2/_catalog", refused: "not the registry", key: keyHosts},
		{name: "B91 Link on loopback", ask: link, target: "https://127.0.0.1/v2/_catalog", refused: "not the registry", key: keyHosts},
		{name: "B98 foreign layers are not fetched", ask: foreign, target: "https://layers.example.net/1", refused: "not fetched", key: keyForeign},
		{name: "B98 foreign layers have no credential", ask: foreign, policy: on, target: "https://layers.example.net/1", reach: public},
		{name: "B98 not on the own origin either", ask: foreign, policy: on, target: reg + "/1"},
		{name: "B98 foreign layers by http", ask: foreign, policy: on, target: "http://layers.example.net/1", refused: "https to http"},
		{name: "B98 an image does not choose private addresses, even of a private registry", ask: from(Foreign, "https://10.0.0.1", private), policy: on, target: "https://10.0.0.2/1", refused: "a private address", key: keyHosts},
		{name: "B98 unless the host is allowed", ask: from(Foreign, "https://10.0.0.1", private), policy: Policy{ForeignLayers: true, AllowedHosts: []string{"10.0.0.2"}}, target: "https://10.0.0.2/1"},
	}
}

func redirectDecisions() []decision {
	own := reg + "/v2/a/blobs/1"
	body := ask{body: true}
	return []decision{
		{name: "redirect on the own origin", via: []string{own}, target: reg + "/other", cred: true, reach: anywhere},
		{name: "B84 redirect to another host", via: []string{own}, target: "https://cdn.example.net/1?sig=x", reach: public},
		{name: "B84 redirect to another port", via: []string{own}, target: reg + ":444/1"},
		{name: "B84 redirect to a sub-domain", via: []string{own}, target: "https://a.registry.example.com/1"},
		{name: "B84 redirect by http", via: []string{own}, target: "http://cdn.example.net/1", refused: "https to http"},
		{name: "B84 redirect by http later", ask: from(Registry, "http://registry.example.com", 0), via: []string{"http://registry.example.com/1", "https://cdn.example.net/1"}, target: "http://cdn.example.net/1", refused: "https to http"},
		{name: "B84 redirect away and back", via: []string{own, "https://cdn.example.net/1"}, target: reg + "/1"},
		{name: "B84 redirect away, and on from there", via: []string{own, "https://cdn.example.net/1"}, target: "https://cdn.example.net/2"},
		{name: "redirect 5", via: []string{own, own, own, own, own}, target: own, cred: true},
		{name: "B83 redirect 6", via: []string{own, own, own, own, own, own}, target: own, refused: "redirect 6, and 5 are allowed"},
		{name: "redirect of a body on the own origin", ask: body, via: []string{own}, target: reg + "/2", cred: true},
		{name: "redirect of a body to another host", ask: body, via: []string{own}, target: "https://cdn.example.net/1", refused: "has a body", key: keyHosts},
		{name: "redirect of a body to an allowed host", ask: body, policy: Policy{AllowedHosts: []string{"cdn.example.net"}}, via: []string{own}, target: "https://cdn.example.net/1"},
		{name: "redirect of a token server on its origin", ask: ask{purpose: Realm}, via: []string{"https://auth.example.com/1"}, target: "https://auth.example.com/2", cred: true},
		{name: "redirect of a token server into the own domain", ask: ask{purpose: Realm}, via: []string{"https://auth.example.com/1"}, target: "https://auth2.example.com/2"},
		{name: "redirect of an anonymous token server", ask: ask{purpose: Realm}, via: []string{"https://auth.example.net/1"}, target: "https://auth.example.net/2"},
		{name: "redirect of a form to another domain", ask: ask{purpose: Realm, body: true}, via: []string{"https://auth.example.com/1"}, target: "https://evil.org/2", refused: "has a body", key: keyRealms},
		{name: "redirect of a form to an allowed host", ask: ask{purpose: Realm, body: true}, policy: Policy{AllowedHosts: []string{"evil.org"}}, via: []string{"https://auth.example.com/1"}, target: "https://evil.org/2", refused: "has a body", key: keyRealms},
		{name: "redirect of a form to the token server's domain", ask: ask{purpose: Realm, body: true}, via: []string{"https://auth.example.com/1"}, target: "https://auth2.example.com/2"},
		{name: "B98 redirect of a foreign layer", ask: ask{purpose: Foreign}, policy: Policy{ForeignLayers: true}, via: []string{"https://layers.example.net/1"}, target: "https://cdn.example.net/1"},
		{name: "B98 redirect of a foreign layer to the registry", ask: ask{purpose: Foreign}, policy: Policy{ForeignLayers: true}, via: []string{"https://layers.example.net/1"}, target: own},
		{name: "a private registry to a private store", ask: from(Registry, "https://registry.corp.example", private), via: []string{"https://registry.corp.example/1"}, target: "https://10.0.0.9:9000/1", reach: public | private},
		{name: "a private registry to this machine", ask: from(Registry, "https://registry.corp.example", private), via: []string{"https://registry.corp.example/1"}, target: "https://127.0.0.1/1", refused: "loopback", key: keyHosts},
		{name: "a private registry to a metadata service", ask: from(Registry, "https://registry.corp.example", private), via: []string{"https://registry.corp.example/1"}, target: "https://100.100.100.200/1", refused: "metadata", key: keyHosts},
		{name: "an allowed host at a private address", policy: Policy{AllowedHosts: []string{"10.0.0.9"}}, via: []string{own}, target: "https://10.0.0.9/1", reach: anywhere},
	}
}

func literalDecisions() []decision {
	own := []string{reg + "/v2/"}
	refused := func(name, host, why, key string) decision {
		return decision{name: "B85 " + name, via: own, target: "https://" + host + "/", refused: why, key: key}
	}
	odd := "not in the usual form"
	all := []decision{
		refused("link-local", "169.254.169.254", "link-local", keyHosts),
		refused("loopback", "127.0.0.1", "loopback", keyHosts),
		refused("loopback, another one", "127.8.9.10", "loopback", keyHosts),
		refused("loopback by name", "localhost", "loopback", keyHosts),
		refused("loopback by a name below", "x.LOCALHOST", "loopback", keyHosts),
		refused("unspecified", "0.0.0.0", "loopback", keyHosts),
		refused("private 10", "10.1.2.3", "private", keyHosts),
		refused("private 172", "172.31.255.255", "private", keyHosts),
		refused("private 192", "192.168.0.1", "private", keyHosts),
		refused("carrier", "100.64.0.1", "private", keyHosts),
		refused("multicast", "224.0.0.1", "reserved", keyHosts),
		refused("broadcast", "255.255.255.255", "reserved", keyHosts),
		refused("loopback v6", "[::1]", "loopback", keyHosts),
		refused("unspecified v6", "[::]", "loopback", keyHosts),
		refused("link-local v6", "[fe80::1]", "link-local", keyHosts),
		refused("link-local v6 with a zone", "[fe80::1%25eth0]", "link-local", keyHosts),
		refused("unique local v6", "[fd00::1]", "private", keyHosts),
		refused("IPv4-mapped", "[::ffff:169.254.169.254]", "link-local", keyHosts),
		refused("IPv4-mapped in hexadecimal", "[::ffff:7f00:1]", "loopback", keyHosts),
		refused("IPv4-compatible", "[::127.0.0.1]", "loopback", keyHosts),
		refused("NAT64", "[64:ff9b::a9fe:a9fe]", "link-local", keyHosts),
		refused("6to4", "[2002:7f00:1::]", "loopback", keyHosts),
		refused("decimal", "2130706433", odd, ""),
		refused("octal", "0177.0.0.1", odd, ""),
		refused("hexadecimal", "0x7f.0.0.1", odd, ""),
		refused("hexadecimal in one", "0x7f000001", odd, ""),
		refused("short", "127.1", odd, ""),
		refused("letters that are not ASCII", "ⅼocalhost", "is no host", ""),
		refused("a host with an underscore and a number", "a_b.1", odd, ""),
	}
	proxied := func(name, host, why string) decision {
		return decision{name: "by a proxy: " + name, ask: ask{proxied: true}, via: own, target: "https://" + host + "/", refused: why, key: keyHosts}
	}
	return append(all,
		decision{name: "a public address", via: own, target: "https://93.184.216.34/"},
		decision{name: "a public address in an address", via: own, target: "https://[64:ff9b::808:808]/"},
		decision{name: "a name whose address is not known yet", via: own, target: "https://metadata.google.internal/"},
		proxied("an address", "10.0.0.1", "private"),
		proxied("a name of this machine", "localhost", "loopback"),
		proxied("a name without a dot", "intranet", "private"),
		proxied("a metadata service", "metadata.google.internal", "private"),
		proxied("a name on the local link", "printer.local", "private"),
		decision{name: "by a proxy: a public name", ask: ask{proxied: true}, via: own, target: "https://cdn.example.net/"},
		decision{name: "by a proxy: the registry itself", ask: ask{purpose: Registry, endpoint: Origin{"http", "registry", 5000}, proxied: true}, target: "http://registry:5000/", cred: true},
	)
}

func TestPolicyEntries(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"example.com", "Example.com:5000", "*.example.com", "*.example.com:443", "10.0.0.1", "10.0.0.1:5000", "::1", "[::1]:5000", "registry"} {
		if err := (Policy{AllowedHosts: []string{good}}).check(); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "*", "*.", "https://example.com", "example.com/path", "user@example.com", "a b", "a.*.b", "example.com:x", "example.com:0", "0177.0.0.1", "."} {
		err := Policy{TrustedRealms: []string{"example.com", bad}}.check()
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "trusted-realms[1]") {
			t.Errorf("%q: %v, want an error that names trusted-realms[1]", bad, err)
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]reach{
		"8.8.8.8": public, "1.1.1.1": public, "2606:4700::1111": public, "::ffff:8.8.8.8": public, "2002:808:808::": public,
		"9.255.255.255": public, "11.0.0.0": public, "172.15.255.255": public, "172.32.0.0": public, "100.63.255.255": public, "100.128.0.0": public,
		"0.1.2.3": loopback, "127.255.255.255": loopback, "::": loopback, "::1": loopback, "::ffff:0.0.0.0": loopback, "::ffff:127.0.0.1": loopback,
		"10.0.0.0": private, "172.16.0.0": private, "192.168.255.255": private, "100.64.0.0": private, "100.127.255.255": private,
		"198.18.0.1": private, "fc00::": private, "fdff::1": private, "fec0::1": private, "64:ff9b:1::a00:1": private,
		"64:ff9b::10.0.0.1": private, "2002:c0a8:1::1": private, "::10.0.0.1": private,
		"169.254.0.0": segment, "fe80::1%eth0": segment, "febf::1": segment, "fd00:ec2::254": segment, "fd20:ce::254": segment,
		"100.100.100.200": segment, "168.63.129.16": segment, "::ffff:169.254.169.254": segment, "2002:a9fe:a9fe::": segment,
		"224.0.0.1": reserved, "239.1.2.3": reserved, "240.0.0.1": reserved, "255.255.255.255": reserved, "192.0.0.192": reserved,
		"192.0.2.1": reserved, "198.51.100.1": reserved, "203.0.113.1": reserved, "ff02::1": reserved, "2001:db8::1": reserved, "2001::1": reserved, "100::1": reserved,
	} {
		if got := kindOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://Example.COM/x":       "https://example.com",
		"https://example.com:443":     "https://example.com",
		"http://example.com:443":      "http://example.com:443",
		"http://example.com.:80/":     "http://example.com",
		"https://[::1]:5000/":         "https://[::1]:5000",
		"https://[0:0::1]/":           "https://[::1]",
		"https://my_host.internal/":   "https://my_host.internal",
		"https://xn--bcher-kva.test/": "https://xn--bcher-kva.test",
	} {
		o, err := OriginOf(parse(t, raw))
		if err != nil || o.String() != want {
			t.Errorf("%s: %s, %v; want %s", raw, o, err, want)
		}
		if err := o.check(); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	for _, o := range []Origin{{}, {Scheme: "https", Host: "Example.com", Port: 443}, {Scheme: "https", Host: "a/b", Port: 443}, {Scheme: "ftp", Host: "a", Port: 21}, {Scheme: "https", Host: "a"}} {
		if _, err := New(Options{}).Client(Endpoint{Origin: o}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%#v: %v, want an error", o, err)
		}
	}
}
