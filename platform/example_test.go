package platform_test

import (
	"fmt"
	"log"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/platform"
)

// An ARMv7 board takes the most capable variant that it can run.
func ExampleSelect() {
	entries := []ocispec.Descriptor{
		{Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}},
		{Platform: &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v5"}},
		{Platform: &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}},
		{Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}},
	}
	asked, err := platform.Parse("linux/arm/v7")
	if err != nil {
		log.Fatal(err)
	}
	chosen, err := platform.Select(platform.CopyOne, &asked, entries, platform.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("take", platform.Format(*entries[chosen[0]].Platform))

	asked.Architecture = "mips64"
	_, err = platform.Select(platform.CopyOne, &asked, entries, platform.Options{})
	fmt.Println(err)
	// Output:
	// take linux/arm/v6
	// no instance for linux/mips64/v7 (there are: linux/amd64, linux/arm/v5, linux/arm/v6, linux/arm64/v8): not found
}

func ExampleParse() {
	for _, s := range []string{"linux/arm64/v8", "aarch64", "windows(10.0.20348.2402)/x86_64", "arm65"} {
		p, err := platform.Parse(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(platform.Format(p))
	}
	// Output:
	// linux/arm64/v8
	// linux/arm64
	// windows(10.0.20348.2402)/amd64
	// platform "arm65": neither an operating system nor an architecture that is known: invalid argument
}

func ExampleParseList() {
	list, err := platform.ParseList("linux/amd64, linux/arm64, linux/x86_64")
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range list {
		fmt.Println(platform.Format(p))
	}
	// Output:
	// linux/amd64
	// linux/arm64
}

// A config's platform is checked without an index.
func ExampleMatcher() {
	asked := ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
	m, err := platform.Matcher(platform.Classic, &asked, platform.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Match(ocispec.Platform{OS: "linux", Architecture: "arm"}))
	fmt.Println(m.Match(ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}))
	// Output:
	// true
	// false
}
