package hosts

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

const exampleHosts = "etc/containerd/certs.d/example.com/hosts.toml"

// TestHostsTOML shows the rules of hosts.toml.
func TestHostsTOML(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hosts string
		rows  []asked
	}{
		"nothing": {
			rows: []asked{{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1"}}},
		},
		"hosts in order, then the registry itself": {
			hosts: `[host."https://b.test"]
				[host."https://a.test".header]
				x-one = "1"
				[host."https://a.test"]
				[host."https://c.test/path"]`,
			rows: []asked{
				{name: "example.com/a:v1", want: []string{
					"https://b.test/v2 a:v1 mirror ns=example.com",
					"https://a.test/v2 a:v1 mirror ns=example.com X-One=1",
					"https://c.test/path/v2 a:v1 mirror ns=example.com",
					"https://example.com/v2 a:v1",
				}},
				{name: "example.com/a:v1", use: Push, want: []string{"https://example.com/v2 a:v1"}},
				{name: "example.com/a:v1", use: Delete, want: []string{"https://example.com/v2 a:v1"}},
				{name: "example.com/a", use: List, want: []string{"https://example.com/v2 a"}},
				{name: "example.com/*", use: List, want: []string{"https://example.com/v2 "}},
			},
		},
		"a server in its place": {
			hosts: `server = "https://internal.local:8443/root/"`,
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://internal.local:8443/root/v2 a:v1 ns=example.com"}},
				{name: "example.com/a:v1", use: Push, want: []string{"https://internal.local:8443/root/v2 a:v1 ns=example.com"}},
			},
		},
		"a server that is the registry": {
			hosts: `server = "https://example.com/v2"`,
			rows:  []asked{{name: "example.com/a:v1", want: []string{"https://example.com/v2 a:v1"}}},
		},
		"no scheme is https": {
			hosts: "server = \"httpbin.test\"\n[host.\"one.test:80\"]",
			rows:  []asked{{name: "example.com/a:v1", want: []string{"https://one.test:80/v2 a:v1 mirror ns=example.com", "https://httpbin.test/v2 a:v1 ns=example.com"}}},
		},
		"capabilities": {
			hosts: `[host."https://blobs.test"]
				capabilities = ["pull"]
				[host."https://tags.test"]
				capabilities = ["pull", "resolve"]
				[host."https://writes.test"]
				capabilities = ["Push", "referrers"]`,
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://tags.test/v2 a:v1 mirror ns=example.com", "https://example.com/v2 a:v1"}},
				{name: "example.com/a@" + digest1, want: []string{"https://blobs.test/v2 a mirror ns=example.com", "https://tags.test/v2 a mirror ns=example.com", "https://example.com/v2 a"}},
				{name: "example.com/a:v1", use: Push, want: []string{"https://writes.test/v2 a:v1 mirror ns=example.com"}},
				{name: "example.com/a:v1", use: Delete, want: []string{"https://writes.test/v2 a:v1 mirror ns=example.com"}},
				{name: "example.com/a", use: List, want: []string{"https://example.com/v2 a"}},
			},
		},
		"the registry is not for everything": {
			hosts: `capabilities = ["resolve"]
				[host."https://mirror.test"]`,
			rows: []asked{
				{name: "example.com/a:v1", want: []string{"https://mirror.test/v2 a:v1 mirror ns=example.com"}},
				{name: "example.com/a", use: List, want: []string{"https://mirror.test/v2 a mirror ns=example.com"}},
				{name: "example.com/a:v1", use: Push, err: "example.com/hosts.toml is for this use, push"},
				{name: "example.com/a:v1", use: Delete, err: "hosts.toml is for this use, delete"},
			},
		},
		"nobody may be pulled from": {
			hosts: `capabilities = []`,
			rows:  []asked{{name: "example.com/a:v1", err: "is for this use, pull"}},
		},
		"http": {
			hosts: `server = "http://example.com:8080"
				[host."http://tls.test:5000"]
				skip_verify = true
				[host."http://checked.test:5000"]
				ca = "ca.pem"`,
			rows: []asked{{name: "example.com/a:v1", want: []string{
				"https://tls.test:5000/v2 a:v1 unverified or-http mirror ns=example.com",
				"https://checked.test:5000/v2 a:v1 ca=etc/containerd/certs.d/example.com/ca.pem or-http mirror ns=example.com",
				"http://example.com:8080/v2 a:v1 ns=example.com",
			}}},
		},
		"a path of its own": {
			hosts: `server = "https://odd.test"
				override_path = true
				[host."https://one.test/v2/upstream/"]
				override_path = true
				[host."https://two.test/v2/upstream"]`,
			rows: []asked{{name: "example.com/a:v1", want: []string{
				"https://one.test/v2/upstream a:v1 mirror ns=example.com",
				"https://two.test/v2/upstream/v2 a:v1 mirror ns=example.com",
				"https://odd.test a:v1 ns=example.com",
			}}},
		},
		"certificates": {
			hosts: `ca = "ca.pem"
				client = "both.pem"
				skip_verify = true
				[host."https://one.test"]
				ca = ["a.pem", "sub/b.pem"]
				client = ["c.pem", ["d.cert", "d.key"], ["e.pem", ""]]`,
			rows: []asked{{name: "example.com/a:v1", want: []string{
				"https://one.test/v2 a:v1" + below("ca=%s/a.pem ca=%s/sub/b.pem client=%s/c.pem+%s/c.pem client=%s/d.cert+%s/d.key client=%s/e.pem+%s/e.pem") + " mirror ns=example.com",
				"https://example.com/v2 a:v1" + below("ca=%s/ca.pem client=%s/both.pem+%s/both.pem") + " unverified",
			}}},
		},
		"header fields": {
			hosts: `[header]
				Authorization = "Basic c2VjcmV0"
				[host."https://one.test"]
				header = {"x-two" = ["a", "b"]}`,
			rows: []asked{{name: "example.com/a:v1", want: []string{
				"https://one.test/v2 a:v1 mirror ns=example.com X-Two=a,b",
				"https://example.com/v2 a:v1 Authorization=Basic c2VjcmV0",
			}}},
		},
		"a time to connect, and a proxy": {
			hosts: `dial_timeout = "1m"
				[host."https://one.test"]
				dial_timeout = "500ms"
				proxy = "http://user:secret@proxy.test:8080/"`,
			rows: []asked{{name: "example.com/a:v1", want: []string{
				"https://one.test/v2 a:v1 mirror ns=example.com dial=500ms proxy=proxy.test:8080",
				"https://example.com/v2 a:v1 dial=1m0s",
			}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, options(tree{exampleHosts: test.hosts}.Write(t), nil), test.rows...)
		})
	}
}

// below writes the directory of exampleHosts for each %s.
func below(format string) string {
	return " " + strings.ReplaceAll(format, "%s", "etc/containerd/certs.d/example.com")
}

func TestBadHostsTOML(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ hosts, err string }{
		"not TOML":                 {hosts: "server = \"a\"\n[host", err: "hosts.toml, line 2: "},
		"a host twice":             {hosts: "[host.\"https://a.b\"]\n[host.\"https://a.b\"]", err: "line 2: "},
		"another scheme":           {hosts: "server = \"ftp://a.b\"", err: "line 1: the URL of a host is neither https nor http"},
		"B18 a password":           {hosts: "server = \"https://me:secret@a.b\"", err: "line 1: the URL of a host has a user name"},
		"B18 a password as key":    {hosts: "\n[host.\"https://me:secret@a.b\"]\nfoo = 1", err: "line 2: the URL of a host has a user name"},
		"a bad URL with one":       {hosts: "[host.\"https://me:secret@a.b:x\"]", err: "line 1: the URL of a host is not a URL"},
		"a query":                  {hosts: "server = \"https://a.b?ns=x\"", err: "has a query"},
		"a fragment":               {hosts: "server = \"https://a.b#x\"", err: "has a query or a fragment"},
		"no host":                  {hosts: "server = \"https:///v2\"", err: "has a bad host"},
		"a bad host":               {hosts: "server = \"https://a_b\"", err: `bad host: "a_b" is not a DNS name`},
		"an unknown capability":    {hosts: "capabilities = [\"pull\", \"fly\"]", err: `line 1, capabilities: "fly" at position 1 is none of`},
		"capabilities as text":     {hosts: "capabilities = \"pull\"", err: "capabilities: is not an array of strings"},
		"no table":                 {hosts: "host = [\"https://a.b\"]", err: "line 1, host: is not a table"},
		"a host that is no table":  {hosts: "[host]\n\"https://a.b\" = 1", err: `line 2, host."https://a.b": is not a table`},
		"verify as text":           {hosts: "[host.\"https://a.b\"]\nskip_verify = \"true\"", err: `line 2, host."https://a.b".skip_verify: is not true or false`},
		"ca as a number":           {hosts: "ca = 1", err: "ca: is not an array of strings"},
		"ca as numbers":            {hosts: "ca = [1]", err: "ca[0]: is not a string"},
		"ca without a path":        {hosts: "ca = \"\"", err: "ca: at position 0 is an empty path"},
		"client as a number":       {hosts: "client = 1", err: "client: is not a path"},
		"client of three":          {hosts: "client = [[\"a\", \"b\", \"c\"]]", err: "client: at position 0 is not a pair"},
		"client of numbers":        {hosts: "client = [[1, 2]]", err: "client: at position 0 is not a pair"},
		"client of a table":        {hosts: "client = [{}]", err: "client: at position 0 is neither"},
		"a time without a unit":    {hosts: "dial_timeout = \"5\"", err: `dial_timeout: is "5", not a time`},
		"a time below zero":        {hosts: "dial_timeout = \"-5s\"", err: "not a time above zero"},
		"a time as a number":       {hosts: "dial_timeout = 5", err: "dial_timeout: is not a string"},
		"a header with a space":    {hosts: "[header]\n\"a b\" = \"secret\"", err: `line 2, header."a b": is not the name of a header field`},
		"a header with a line end": {hosts: "[header]\na = \"secret\\r\\nb: c\"", err: "header.a: has a control character"},
		"a header that is a table": {hosts: "[header.a]\nb = 1", err: "header.a: is not an array of strings"},
		"a proxy with a path":      {hosts: "proxy = \"http://me:secret@a.b/c\"", err: "proxy: is not the URL of a proxy"},
		"a proxy without a host":   {hosts: "proxy = \"proxy.test\"", err: "proxy: is not the URL of a proxy"},
		"a proxy of some kind":     {hosts: "proxy = \"ftp://me:secret@a.b\"", err: `proxy: has the scheme "ftp"`},
		"a key in another case":    {hosts: "[host.\"https://a.b\"]\nSkip_Verify = true", err: `is not a key; it is written "skip_verify"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, options(tree{exampleHosts: test.hosts}.Write(t), nil))
			_, err := c.Endpoints(mustParse(t, "example.com/a"), Pull)
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), "hosts.toml") || !errdefs.IsInvalidArgument(err) {
				t.Fatalf("got %v, want %q", err, test.err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("shows a secret: %v", err)
			}
		})
	}
}

// TestNothingSecretIsPrinted shows that header fields and the proxy are in no
// text that is made of an endpoint.
func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	opts := options(tree{exampleHosts: `
		proxy = "http://user:canary@proxy.test"
		[header]
		Authorization = "Bearer canary"`}.Write(t), &log)
	endpoints, err := mustLoad(t, opts).Endpoints(mustParse(t, "example.com/a"), Pull)
	if err != nil {
		t.Fatal(err)
	}
	e := endpoints[0]
	if e.Header.Get("Authorization") != "Bearer canary" {
		t.Error("the header is not there")
	}
	opts.Logger.Debug("x", "endpoint", e, "all", endpoints, "pointer", &e)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb+verb+verb, e, endpoints, &e)
	}
	text, err := json.Marshal(endpoints)
	if err != nil {
		t.Fatal(err)
	}
	log.Write(text)
	if strings.Contains(log.String(), "canary") || strings.Contains(log.String(), fmt.Sprintf("%x", "canary")) {
		t.Errorf("printed: %s", log.String())
	}
	if !strings.Contains(log.String(), "https://example.com/v2/a") {
		t.Errorf("says nothing: %s", log.String())
	}
}
