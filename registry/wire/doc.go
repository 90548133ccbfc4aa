// Package wire is the one way out: every HTTP request to a registry, to a token
// server and to wherever these send us is made by a Client of this package.
//
// A Factory holds what is shared: connections, and what was learned of each host.
// Of it comes a Client for each endpoint, a registry or a mirror of one, and of
// that an http.Client for each Purpose and Traffic. All of them end in one chain:
//
//	account     counts, and tells the hooks and the log
//	govern      waits for a place on the host, and while the host wants a pause
//	retry       asks again, by one rule for all methods
//	egress      decides whether the URL may be asked, and with what credential
//	transport   sends, checks the address that is connected, watches the flow
//
// A link of the chain sees an exchange: one request that net/http sent us, which a
// redirect follows as another one. What the caller means is in the http.Client
// that it uses and not in the context, so that a library that makes requests of its
// own, such as an authenticating client, cannot lose it and need not know of it.
// Such a library asks token servers through the same http.Client; the chain knows
// their URLs because it read the challenge that named them first. What may be
// asked, and why, is in docs/egress.md.
//
// # Errors
//
// An error of the chain is a *RefusedError where the policy does not allow the
// request (errdefs.ErrPermissionDenied), a *StalledError where a body stopped
// flowing (context.DeadlineExceeded), a *ResponseError for an answer that is an
// error, by the kind of its status, or a *GaveUpError around one of them or around
// a failed connection (errdefs.ErrUnavailable), which tells the attempts; or it is
// ErrNotRegistry for a page for people (errdefs.ErrUnavailable). net/http
// wraps what its transport returns into a *url.Error; Client.Do and Redact take the
// query, which may be a signature, out of its text.
package wire
