package containerd_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/dhowhq/dhow/store"
	"github.com/dhowhq/dhow/store/containerd"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]containerd.Address{
		"containerd://":                                 {Socket: "/run/containerd/containerd.sock", Namespace: "default"},
		"containerd:///":                                {Socket: "/run/containerd/containerd.sock", Namespace: "default"},
		"containerd:///?namespace=moby":                 {Socket: "/run/containerd/containerd.sock", Namespace: "moby"},
		"containerd:///run/k3s/c.sock":                  {Socket: "/run/k3s/c.sock", Namespace: "default"},
		"containerd:///run/k3s/c.sock?namespace=k8s.io": {Socket: "/run/k3s/c.sock", Namespace: "k8s.io"},
		"containerd:///a%20b/c.sock?namespace=a-b_c.d":  {Socket: "/a b/c.sock", Namespace: "a-b_c.d"},
		"":                                                          {},
		"/run/containerd/containerd.sock":                           {},
		"unix:///run/containerd.sock":                               {},
		"containerd:run/c.sock":                                     {},
		"containerd://host/c.sock":                                  {},
		"containerd://user@/c.sock":                                 {},
		"containerd:///c.sock#x":                                    {},
		"containerd:///../c.sock":                                   {},
		"containerd:///run//c.sock":                                 {},
		"containerd:///run/c.sock/":                                 {},
		"containerd:///c.sock?namespace=":                           {},
		"containerd:///c.sock?namespace=a&namespace=b":              {},
		"containerd:///c.sock?name=a":                               {},
		"containerd:///c.sock?namespace=%zz":                        {},
		"containerd:///c.sock?namespace=../x":                       {},
		"containerd:///c.sock?namespace=a\",topic~=\"":              {},
		"containerd:///c.sock?namespace=" + strings.Repeat("x", 77): {},
		"containerd:///c.sock?namespace=-a":                         {},
		"containerd:///%00":                                         {Socket: "/\x00", Namespace: "default"}, // the system refuses it
	} {
		have, err := containerd.ParseAddress(in)
		if have != want || (err != nil) != (want == containerd.Address{}) || err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %+v, %v; want %+v", in, have, err, want)
		}
		if again, bad := containerd.ParseAddress(have.String()); err == nil && (bad != nil || again != have) {
			t.Errorf("%q is written %q, which is %+v, %v", in, have, again, bad)
		}
	}
}

// TestNobody shows what is told where no daemon is.
func TestNobody(t *testing.T) {
	t.Parallel()
	address := "containerd://" + filepath.Join(t.TempDir(), "c.sock")
	if s, err := containerd.Open(t.Context(), address, containerd.Options{}); !errdefs.IsUnavailable(err) {
		t.Errorf("Open: %v, %v; want %v", s, err, errdefs.ErrUnavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := containerd.Open(ctx, address, containerd.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v, %v; want %v", s, err, context.Canceled)
	}
}

func ExampleParseAddress() {
	a, err := containerd.ParseAddress("containerd:///run/containerd/containerd.sock?namespace=k8s.io")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Socket, a.Namespace)
	// Output: /run/containerd/containerd.sock k8s.io
}

func ExampleOpen() { //nolint:testableexamples // it wants a daemon, and is only compiled
	ctx := context.Background()
	s, err := containerd.Open(ctx, "containerd:///?namespace=default", containerd.Options{})
	if err != nil {
		log.Fatal(err)
	}
	err = s.View(ctx, func(names store.NameReader) error {
		all, err := names.List("", 0)
		for _, r := range all {
			fmt.Println(r.Key(), r.Target.Digest)
		}
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		log.Fatal(err)
	}
}
