package hosts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/internal/userfile"
)

// ClientCert is a certificate that the client shows, and its key: two PEM files,
// which may be one.
type ClientCert struct {
	Cert, Key string
}

// TLS is how the server of an endpoint is verified, and what it is shown. The
// zero value trusts what the system trusts.
type TLS struct {
	// CA are PEM files of certificate authorities, trusted beside the system's.
	CA []string
	// Client are the client's certificates.
	Client []ClientCert
	// SkipVerify says that neither certificate nor name of the server are
	// checked.
	SkipVerify bool
}

// IsZero reports whether nothing is configured.
func (t TLS) IsZero() bool { return len(t.CA) == 0 && len(t.Client) == 0 && !t.SkipVerify }

// Config reads the files and returns what crypto/tls needs. Each call returns
// another one. A file that is not there is errdefs.ErrNotFound, one that holds no
// certificate or key errdefs.ErrInvalidArgument; no error shows any of a file.
func (t TLS) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipVerify} //nolint:gosec // as the operator configured it
	if len(t.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the system's certificate authorities: %w", err)
		}
		for _, file := range t.CA {
			data, err := readFile(file)
			if err != nil {
				return nil, fmt.Errorf("certificate authority: %w", err)
			}
			if !pool.AppendCertsFromPEM(data) {
				return nil, fmt.Errorf("%s holds no certificate authority in PEM: %w", file, errdefs.ErrInvalidArgument)
			}
		}
		config.RootCAs = pool
	}
	for _, c := range t.Client {
		cert, err := c.load()
		if err != nil {
			return nil, err
		}
		config.Certificates = append(config.Certificates, cert)
	}
	return config, nil
}

func (c ClientCert) load() (tls.Certificate, error) {
	cert, err := readFile(c.Cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate: %w", err)
	}
	key, err := readFile(c.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key of a client certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("client certificate %s with the key %s: %w: %w", c.Cert, c.Key, err, errdefs.ErrInvalidArgument)
	}
	return pair, nil
}

// readCerts returns the certificate files of a directory: *.crt are those of
// authorities, NAME.cert and NAME.key are the client's. A directory that may not
// be read counts as empty: without an authority a server is trusted less, not
// more.
func readCerts(dir string, log *slog.Logger) (TLS, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		log.Warn("certificates that may not be read are ignored", "directory", dir, "error", err)
		return TLS{}, nil
	}
	if err != nil {
		return TLS{}, fmt.Errorf("reading certificates: %w", userfile.Kind(err))
	}
	var t TLS
	files := map[string]bool{}
	for _, e := range entries {
		files[e.Name()] = !e.IsDir()
	}
	for _, e := range entries {
		base, ext := e.Name(), filepath.Ext(e.Name())
		stem := strings.TrimSuffix(base, ext)
		switch {
		case e.IsDir():
		case ext == ".crt":
			t.CA = append(t.CA, filepath.Join(dir, base))
		case ext == ".cert" && !files[stem+".key"]:
			return TLS{}, fmt.Errorf("%s has no key: %s is missing: %w", filepath.Join(dir, base), stem+".key", errdefs.ErrInvalidArgument)
		case ext == ".cert":
			t.Client = append(t.Client, ClientCert{Cert: filepath.Join(dir, base), Key: filepath.Join(dir, stem+".key")})
		case ext == ".key" && !files[stem+".cert"]:
			return TLS{}, fmt.Errorf("%s has no certificate: %s is missing: %w", filepath.Join(dir, base), stem+".cert", errdefs.ErrInvalidArgument)
		}
	}
	return t, nil
}
