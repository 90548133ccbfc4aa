package main

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/copy"
)

func TestPlanTable(t *testing.T) {
	t.Parallel()
	subject, tagged, referrer := digest.FromString("subject"), digest.FromString("tagged"), digest.FromString("referrer")
	tag := "sha256-" + subject.Encoded() + ".sig"
	entry := func(d, of digest.Digest, platform string) copy.Entry {
		return copy.Entry{Digest: d, Role: "manifest", Action: copy.Copied, Subject: of, Platform: platform}
	}
	var b strings.Builder
	err := planReport{
		Destination: "dir:out",
		Root:        ocispec.Descriptor{Digest: subject},
		Descriptors: []copy.Entry{
			entry(subject, "", strings.Repeat("x", 5000)),
			entry(tagged, subject, ""),
			entry(referrer, subject, ""),
		},
		Names: []copy.Name{{Name: tag, Digest: tagged}},
	}.table(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  " + strings.Repeat("x", 80) + "… (5000 bytes)  ",
		"  tag ….sig of sha256:" + subject.Encoded()[:12] + "\n",
		"  refers to sha256:" + subject.Encoded()[:12] + "\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
