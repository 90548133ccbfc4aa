package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
)

// certificateError is a connection that TLS does not let come about, with what the
// operator could do. It is of the kind errdefs.ErrFailedPrecondition.
type certificateError struct {
	text string
	err  error
}

func (e *certificateError) Error() string   { return e.text }
func (e *certificateError) Unwrap() []error { return []error{errdefs.ErrFailedPrecondition, e.err} }

// explain returns a certificateError for an error that TLS ended a connection with,
// and nil for any other.
func explain(o Origin, err error) error {
	what, advice := certificateFault(o, err)
	if what == "" {
		what, advice = protocolFault(o, err)
	}
	if what == "" {
		return nil
	}
	return &certificateError{text: fmt.Sprintf("TLS with %s: %s: %s; %s", o, what, cut(err.Error(), maxShown), advice), err: err}
}

// certificateFault names what is wrong with a server's certificate.
func certificateFault(o Origin, err error) (what, advice string) {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		other     *tls.CertificateVerificationError
	)
	insecure := fmt.Sprintf("insecure = true for %s would accept it unverified", quote(o.authority()))
	switch {
	case errors.As(err, &authority):
		return "its certificate is signed by nobody who is trusted here",
			fmt.Sprintf("put the authority's certificate into certs.d/%s/ca.crt to trust it; %s", o.authority(), insecure)
	case errors.As(err, &host):
		return "its certificate is for another host", insecure
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate is expired or not valid yet", insecure
	case errors.As(err, &invalid):
		return "its certificate is not valid", insecure
	case errors.As(err, &roots):
		return "this system has no certificate authorities",
			fmt.Sprintf("put the authority's certificate into certs.d/%s/ca.crt", o.authority())
	case errors.As(err, &other):
		return "its certificate cannot be verified", insecure
	}
	return "", ""
}

// protocolFault names what the two sides cannot agree on.
func protocolFault(o Origin, err error) (what, advice string) {
	const unsafe, offer = "it speaks no version of TLS that is still safe", "it has to offer TLS 1.2 or later"
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "it does not speak TLS", fmt.Sprintf("insecure = true for %s would ask it by plain http", quote(o.authority()))
	}
	if strings.Contains(err.Error(), "tls: server selected unsupported protocol version") {
		return unsafe, offer
	}
	switch alertOf(err) {
	case alertText(40), alertText(42), alertText(48), alertText(116): // handshake failure, bad certificate, unknown CA, certificate required
		return "it refused us, as it does without a client certificate that it knows",
			fmt.Sprintf("put one into certs.d/%[1]s/client.cert, and its key into certs.d/%[1]s/client.key", o.authority())
	case alertText(70): // protocol version
		return unsafe, offer
	}
	return "", ""
}

// alertOf returns the text of the alert that the other side sent, if it did.
func alertOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" && op.Err != nil {
		return op.Err.Error()
	}
	return ""
}

// alertText returns the text of an alert (RFC 8446, 6), whose own type crypto/tls
// does not export.
func alertText(code uint8) string { return tls.AlertError(code).Error() }
