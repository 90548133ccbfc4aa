package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry"
	"github.com/dhowhq/dhow/registry/credentials"
	"github.com/dhowhq/dhow/registry/hosts"
)

// local starts a registry without TLS and returns a client that may ask it so.
func local() (c *registry.Client, host string, end func()) {
	server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true)))
	host = server.Listener.Addr().String()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	file := filepath.Join(dir, "registries.conf")
	if err := os.WriteFile(file, []byte(insecure(host)), 0o600); err != nil {
		panic(err)
	}
	conf, err := hosts.Load(hosts.Options{RegistriesConf: file, CertsDirs: []string{}})
	if err != nil {
		panic(err)
	}
	c, err = registry.NewClient(registry.Options{Hosts: conf})
	if err != nil {
		panic(err)
	}
	return c, host, func() { server.Close(); _ = os.RemoveAll(dir) }
}

// team returns a repository of a local registry.
func team(use hosts.Use) (r *registry.Repository, end func()) {
	c, host, end := local()
	name, err := ref.Parse(host + "/team/app")
	if err != nil {
		panic(err)
	}
	if r, err = c.Repository(name, use); err != nil {
		panic(err)
	}
	return r, end
}

// An index is written under two tags, listed, read, and its tag deleted.
func Example() {
	c, host, end := local()
	defer end()
	ctx := context.Background()
	name, err := ref.Parse(host + "/team/app")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := c.Repository(name, hosts.Push)
	if err != nil {
		fmt.Println(err)
		return
	}

	desc, data := emptyIndex("an example")
	for _, tag := range []string{"v1", "latest"} {
		if err := r.Put(ctx, desc, data, tag); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := r.Tags(ctx, func(tag string) bool {
		fmt.Println("tag", tag)
		return true
	}); err != nil {
		fmt.Println(err)
		return
	}
	got, _, err := r.Get(ctx, "v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(got.MediaType, got.Digest == desc.Digest)
	// Output:
	// tag latest
	// tag v1
	// application/vnd.oci.image.index.v1+json true
}

func ExampleRepository_Referrers() {
	r, end := team(hosts.Push)
	defer end()
	ctx := context.Background()

	subject, data := emptyIndex("an example")
	signature, bytes := referrerOf(subject, "a signature")
	err := errors.Join(
		r.Put(ctx, subject, data, "v1"),
		r.Put(ctx, signature, bytes, signature.Digest.String()),
		r.AddReferrer(ctx, subject.Digest, signature),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	all, err := r.Referrers(ctx, subject.Digest)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(all), all[0].Digest == signature.Digest)
	// Output: 1 true
}

func ExampleClient_Check() {
	c, host, end := local()
	defer end()
	cred := credentials.Credential{Username: "user", Password: credentials.NewSecret("secret")}
	fmt.Println(c.Check(context.Background(), host, cred))
	// Output: <nil>
}

func ExampleRepository_DeleteTag() {
	r, end := team(hosts.Delete)
	defer end()
	err := r.DeleteTag(context.Background(), "v1")
	fmt.Println(errdefs.IsNotFound(err))
	// Output: true
}
