package describe_test

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dhowhq/dhow/cmd/dhow/internal/describe"
	"github.com/dhowhq/dhow/service"
)

// TestInstanceBranches has a line for each instance, and for a list that is not there.
func TestInstanceBranches(t *testing.T) {
	t.Parallel()
	amd, nested := digest.FromString("amd"), digest.FromString("nested")
	linux := &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	branches := describe.InstanceBranches(describe.InstancesOf([]service.Instance{
		{Kind: service.KindImage, Presence: service.Complete, Descriptor: ocispec.Descriptor{Digest: amd}, Platform: linux, Content: 1000},
		{Kind: service.KindList, Presence: service.Absent, Descriptor: ocispec.Descriptor{Digest: nested}, Platform: linux},
		{Kind: service.KindAttestation, Presence: service.Absent, Descriptor: ocispec.Descriptor{Digest: digest.FromString("of amd")}, For: amd},
	}), nil)
	var lines []string
	for _, b := range branches {
		lines = append(lines, b.Text)
	}
	if want := []string{"linux/amd64  " + amd.String() + "  1.0 kB", "list  " + nested.String() + "  absent"}; !slices.Equal(lines, want) {
		t.Errorf("%q; want %q", lines, want)
	}
	if below := branches[0].Branches; len(below) != 1 || below[0].Text != "attestation  "+digest.FromString("of amd").String()+"  absent" {
		t.Errorf("below the image: %+v; want its attestation", below)
	}
}
