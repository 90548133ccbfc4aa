package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dhowhq/dhow/internal/testregistry"
	"github.com/dhowhq/dhow/internal/testregistry/distribution"
)

// Where the registry verifies blobs, the line and the receipt say so.
func TestVerifyDestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := newRegistry(t)
	args := []string{"copy", "-q", "--verify=destination", "--digest-tags=false", "--dest-creds", "me:" + canary, "--dest-tls-verify=false", "--receipt", "receipt.json"}
	line := w.must(t, append(args, "oci:layout:single", "docker://"+host+"/app:1")...)
	if want := "copied 4, reused 0; 4.9 kB moved, 4.1 kB of it verified by the destination alone\n"; !strings.HasSuffix(line, want) {
		t.Errorf("standard output is %q, want %q", line, want)
	}
	receipt := w.read(t, "receipt.json")
	if err := schema(t, "").Validate(decode(t, receipt)); err != nil {
		t.Errorf("%#v", err)
	}
	golden(t, "receipt-verified-at-destination.json", strings.ReplaceAll(string(receipt), host, "HOST"))

	// Here is the default, and what everything else says nothing of.
	args[2] = "--verify=here"
	if line := w.must(t, append(args, "oci:layout:big", "docker://"+host+"/app:2")...); strings.Contains(line, "verified") {
		t.Errorf("standard output is %q", line)
	}
	if receipt := w.read(t, "receipt.json"); strings.Contains(string(receipt), `"verifier"`) {
		t.Errorf("the receipt is %s", receipt)
	}
}

// What the registry refuses for its digest is damage, whoever verifies, and gets no name.
func TestVerifyDestinationOfDamage(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(testing.TB) http.Handler{
		"olareg": testregistry.Olareg, "distribution": distribution.New,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := httptest.NewServer(handler(t))
			t.Cleanup(s.Close)
			image := "docker://" + strings.TrimPrefix(s.URL, "http://") + "/app:1"
			r := w.run(t, "copy", "-q", "--verify=destination", "--dest-tls-verify=false", "oci:layout:damaged", image)
			if r.code != 3 || !strings.Contains(r.stderr, "data loss") || r.stdout != "" {
				t.Errorf("got %+v", r)
			}
			if r := w.run(t, "inspect", "--tls-verify=false", image); r.code != 2 {
				t.Errorf("it has a name: %+v", r)
			}
		})
	}
}
