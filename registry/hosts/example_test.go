package hosts_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/dhowhq/dhow/ref"
	"github.com/dhowhq/dhow/registry/hosts"
)

// load reads a registries.conf. A program reads those of its machine:
// hosts.Load(hosts.Options{LookupEnv: os.LookupEnv}).
func load(registriesConf string) *hosts.Config {
	root, err := os.MkdirTemp("", "hosts")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(root)
	file := filepath.Join(root, "registries.conf")
	if err := os.WriteFile(file, []byte(registriesConf), 0o600); err != nil {
		panic(err)
	}
	config, err := hosts.Load(hosts.Options{Root: root, RegistriesConf: file})
	if err != nil {
		panic(err)
	}
	return config
}

func ExampleConfig_Endpoints() {
	config := load(`
		[[registry]]
		prefix = "example.com/team"
		location = "registry.internal/team"
		[[registry.mirror]]
		location = "mirror.internal:5000/cache"
		insecure = true
	`)
	name, err := ref.Parse("example.com/team/app:v1")
	if err != nil {
		log.Fatal(err)
	}
	for _, use := range []hosts.Use{hosts.Pull, hosts.Push} {
		endpoints, err := config.Endpoints(name, use)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range endpoints {
			fmt.Println(use, e, "mirror:", e.Mirror, "http:", e.PlainHTTP)
		}
	}
	// Output:
	// pull https://mirror.internal:5000/v2/cache/app mirror: true http: true
	// pull https://registry.internal/v2/team/app mirror: false http: false
	// push https://registry.internal/v2/team/app mirror: false http: false
}

func ExampleConfig_HostEndpoints() {
	config := load(`
		[[registry]]
		location = "blocked.example.com"
		blocked = true
	`)
	endpoints, err := config.HostEndpoints("docker.io", hosts.List)
	fmt.Println(endpoints, err)
	_, err = config.HostEndpoints("blocked.example.com", hosts.List)
	fmt.Println(err != nil)
	// Output:
	// [https://registry-1.docker.io/v2] <nil>
	// true
}

func ExampleConfig_Resolve() {
	config := load(`
		unqualified-search-registries = ["registry.internal", "docker.io"]
		[aliases]
		app = "registry.internal/team/app"
	`)
	fmt.Println(config.Resolve("app:v1"))
	fmt.Println(config.Resolve("busybox"))
	// Output:
	// [registry.internal/team/app:v1] <nil>
	// [registry.internal/busybox docker.io/library/busybox] <nil>
}

func ExampleTLS_Config() {
	config, err := hosts.TLS{}.Config()
	fmt.Println(config.InsecureSkipVerify, config.RootCAs == nil, err)
	// Output: false true <nil>
}
