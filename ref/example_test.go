package ref_test

import (
	"fmt"
	"log"

	"github.com/dhowhq/dhow/ref"
)

func ExampleParse() {
	for _, s := range []string{"busybox", "Registry.example.com:5000/team/app:v1", "captain:password@example.com/app", "busybox:\u0430lpine"} {
		r, err := ref.Parse(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(r.Tagged(), "is known as", r.Familiar())
	}
	// Output:
	// docker.io/library/busybox:latest is known as busybox
	// registry.example.com:5000/team/app:v1 is known as registry.example.com:5000/team/app:v1
	// reference: what follows the @ is not a digest (not shown: a user name and password do not belong here): invalid argument
	// reference "busybox:\u0430lpine": the tag has "\u0430", which is not a letter, digit, underscore, dot or dash: invalid argument
}

func ExampleReference_WithDigest() {
	r, err := ref.Parse("busybox:1.36")
	if err != nil {
		log.Fatal(err)
	}
	pinned, err := r.WithDigest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pinned.Familiar())
	// Output: busybox:1.36@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
}

func ExampleValidLayoutName() {
	fmt.Println(ref.ValidLayoutName("docker.io/library/busybox:1.36"))
	fmt.Println(ref.ValidLayoutName("@0"))
	// Output:
	// <nil>
	// layout reference "@0": "@0" in it is not letters and digits joined by one of - . _ : @ + or by two dashes: invalid argument
}
