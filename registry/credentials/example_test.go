package credentials_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dhowhq/dhow/registry/credentials"
)

func Example() {
	dir, err := os.MkdirTemp("", "credentials")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	// A program uses its machine's: credentials.Options{LookupEnv: os.LookupEnv}.
	keyring := credentials.New(credentials.Options{AuthFile: filepath.Join(dir, "auth.json")})

	team := credentials.Credential{Username: "team", Password: credentials.NewSecret("horse staple")}
	where, err := keyring.Save(ctx, "registry.example.com/team", team)
	fmt.Println(filepath.Base(where), err)
	found, err := keyring.Get(ctx, "registry.example.com", "team/app")
	fmt.Println(found.Username, found.Password, found == credentials.Credential{}, err)
	found, err = keyring.Get(ctx, "registry.example.com", "other/app")
	fmt.Println("anonymous:", found.IsEmpty(), err)
	_, err = keyring.Erase(ctx, "registry.example.com/team")
	fmt.Println(err)
	// Output:
	// auth.json <nil>
	// team [redacted] false <nil>
	// anonymous: true <nil>
	// <nil>
}

// A credential from flags goes before those of the machine, and only to the
// registry that it was given for.
func ExampleChain() {
	flag, err := credentials.Static("registry.example.com", credentials.Credential{
		Username: "captain", Password: credentials.NewSecret("secret"),
	})
	if err != nil {
		panic(err)
	}
	store := credentials.Chain{flag, credentials.New(credentials.Options{Root: os.TempDir()})}
	for _, host := range []string{"registry.example.com", "mirror.example.com"} {
		c, err := store.Get(context.Background(), host, "team/app")
		fmt.Printf("%s: %q %v\n", host, c.Username, err)
	}
	// Output:
	// registry.example.com: "captain" <nil>
	// mirror.example.com: "" <nil>
}

func ExampleSecret() {
	s := credentials.NewSecret("horse staple")
	fmt.Printf("%v %q %#v %x\n", s, s, s, s)
	fmt.Println(len(s.Reveal()))
	// Output:
	// [redacted] [redacted] [redacted] [redacted]
	// 12
}
