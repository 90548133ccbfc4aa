package wire

// Purpose says why a URL is asked, and with that who chose it and what the policy
// makes of it. The zero value is Registry.
type Purpose uint8

// The purposes. A mirror has none of its own: it is an endpoint with a Client of its
// own, and what holds for a registry holds for it.
const (
	// Registry is the endpoint itself. The URL is of its origin, or of a token
	// server that it named in a challenge, or of a host in Policy.AllowedHosts.
	Registry Purpose = iota
	// Realm is a token server: for a client that reads challenges by itself.
	Realm
	// Location is where the endpoint wants the content of a blob uploaded.
	Location
	// Link is where the endpoint says that a list goes on.
	Link
	// Foreign is a URL for a layer that a manifest has. It gets no credential, and
	// is not asked at all without Policy.ForeignLayers.
	Foreign
)

// String names what is asked as it stands in a message.
func (p Purpose) String() string {
	switch p {
	case Realm:
		return "token server"
	case Location:
		return "upload location"
	case Link:
		return "next page"
	case Foreign:
		return "foreign layer"
	}
	return "registry"
}

// Traffic says what an exchange mostly moves, and with that which places it waits
// for, which connections it uses and how it is timed. The zero value is Control.
//
// An exchange keeps its place until its answer was read to the end or closed. Who
// holds an Upload may wait for a Download, as when a blob streams from one registry
// to another one; who holds a Download must not wait for an Upload, or each could
// wait for the other's place. An upload therefore opens its source when its body is
// first read.
type Traffic uint8

// The kinds of traffic.
const (
	// Control is for short answers: HTTP/2 where the server speaks it. The answer, up
	// to 4 MiB of it, is read before it is handed on, so that one that breaks off is
	// asked for again.
	Control Traffic = iota
	// Download is for an answer with a long body, on a connection of HTTP/1.1.
	Download
	// Upload is for a request with a long body, on a connection of HTTP/1.1. The
	// server may take 5 minutes to answer where others have 30 seconds: many move the
	// blob then, or look for all that a manifest names.
	Upload
)

// String names the traffic.
func (t Traffic) String() string {
	switch t {
	case Download:
		return "download"
	case Upload:
		return "upload"
	}
	return "control"
}
