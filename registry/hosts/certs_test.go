package hosts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// authority makes certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return sign(t, template, nil)
}

// issue returns a certificate and its key in PEM, for 127.0.0.1.
func (a authority) issue(t *testing.T) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	issued := sign(t, template, &a)
	der, err := x509.MarshalPKCS8PrivateKey(issued.key)
	if err != nil {
		t.Fatal(err)
	}
	return issued.pem, encode("PRIVATE KEY", der)
}

// sign makes a certificate, signed by itself if there is no authority.
func sign(t *testing.T, template *x509.Certificate, by *authority) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}
}

func encode(what string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: what, Bytes: der}))
}

// TestConnect shows, against a server that wants a certificate of its client,
// which settings make a connection.
func TestConnect(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	serverCert, serverKey := ca.issue(t)
	cert, key := ca.issue(t)
	pair, err := tls.X509KeyPair([]byte(serverCert), []byte(serverKey))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.StartTLS()
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")

	const dir = "etc/docker/certs.d/"
	for name, test := range map[string]struct {
		files   tree
		verify  Verify
		refused bool
	}{
		"nothing known":            {refused: true},
		"authority, no client":     {files: tree{dir + host + "/ca.crt": ca.pem}, refused: true},
		"client, no authority":     {files: tree{dir + host + "/me.cert": cert, dir + host + "/me.key": key}, refused: true},
		"another authority":        {files: tree{dir + host + "/ca.crt": newAuthority(t).pem, dir + host + "/me.cert": cert, dir + host + "/me.key": key}, refused: true},
		"both":                     {files: tree{dir + host + "/ca.crt": ca.pem, dir + host + "/me.cert": cert, dir + host + "/me.key": key}},
		"for another port":         {files: tree{dir + "127.0.0.1/ca.crt": ca.pem, dir + "127.0.0.1/me.cert": cert, dir + "127.0.0.1/me.key": key}, refused: true},
		"not verified":             {files: tree{dir + host + "/me.cert": cert, dir + host + "/me.key": key}, verify: VerifyNever},
		"hosts.toml, one file":     {files: tree{dir + host + "/hosts.toml": "ca = \"x.pem\"\nclient = \"y.pem\"", dir + host + "/x.pem": ca.pem, dir + host + "/y.pem": cert + key}},
		"hosts.toml, not verified": {files: tree{dir + host + "/hosts.toml": "skip_verify = true\nclient = [[\"y.pem\", \"z.pem\"]]", dir + host + "/y.pem": cert, dir + host + "/z.pem": key}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := options(test.files.Write(t), nil)
			opts.Verify = test.verify
			endpoints, err := mustLoad(t, opts).Endpoints(mustParse(t, host+"/a"), Pull)
			if err != nil {
				t.Fatal(err)
			}
			config, err := endpoints[0].TLS.Config()
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
			defer client.CloseIdleConnections()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close() // it is empty
			}
			if refused := err != nil; refused != test.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestBadCertificates shows that what was named has to be there and be what it is
// named as.
func TestBadCertificates(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue(t)
	_, otherKey := ca.issue(t)
	root := tree{"ca.crt": ca.pem, "me.cert": cert, "me.key": key, "other.key": otherKey, "text": "canary", "large": strings.Repeat("x", 1<<20+1)}.Write(t)
	in := func(name string) string { return filepath.Join(root, name) }
	for name, test := range map[string]struct {
		tls  TLS
		err  string
		kind func(error) bool
	}{
		"no authority there":   {tls: TLS{CA: []string{in("none")}}, err: "none", kind: errdefs.IsNotFound},
		"text for authority":   {tls: TLS{CA: []string{in("ca.crt"), in("text")}}, err: "text holds no certificate", kind: errdefs.IsInvalidArgument},
		"a large authority":    {tls: TLS{CA: []string{in("large")}}, err: "large has more than", kind: errdefs.IsResourceExhausted},
		"no certificate there": {tls: TLS{Client: []ClientCert{{Cert: in("none"), Key: in("me.key")}}}, err: "none", kind: errdefs.IsNotFound},
		"no key there":         {tls: TLS{Client: []ClientCert{{Cert: in("me.cert"), Key: in("none")}}}, err: "none", kind: errdefs.IsNotFound},
		"the key of another":   {tls: TLS{Client: []ClientCert{{Cert: in("me.cert"), Key: in("other.key")}}}, err: "other.key", kind: errdefs.IsInvalidArgument},
		"text for a key":       {tls: TLS{Client: []ClientCert{{Cert: in("me.cert"), Key: in("text")}}}, err: "text", kind: errdefs.IsInvalidArgument},
	} {
		_, err := test.tls.Config()
		if err == nil || !strings.Contains(err.Error(), test.err) || !test.kind(err) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForbiddenCertificates shows that a directory that may not be read is no
// error: nothing more is trusted than without it.
func TestForbiddenCertificates(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("needs a file that may not be read")
	}
	const dir = "etc/docker/certs.d/example.com"
	var logged strings.Builder
	root := tree{dir + "/ca.crt": "", "etc/containers/certs.d/example.com/ca.crt": ""}.Write(t)
	for _, forbidden := range []string{dir, "etc/containers/certs.d"} {
		forbidden = filepath.Join(root, forbidden)
		if err := os.Chmod(forbidden, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(forbidden, 0o700) }) // so that it can be removed
	}
	check(t, options(root, &logged), asked{name: "example.com/a", want: []string{"https://example.com/v2 a:latest"}})
	if n := strings.Count(logged.String(), "may not be read"); n != 2 {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
}
