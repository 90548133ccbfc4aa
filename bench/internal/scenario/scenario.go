// Package scenario lists what is measured.
package scenario

import (
	"time"

	"github.com/dhowhq/dhow/bench/internal/images"
)

// Route is between what an image is copied.
type Route string

// The routes.
const (
	Registries   Route = "registry → registry"
	ToLayout     Route = "registry → OCI layout"
	FromLayout   Route = "OCI layout → registry"
	SameRegistry Route = "registry → same registry, other repository"
)

// Scenario is a copy that every tool makes.
type Scenario struct {
	Name  string
	Image images.Spec
	Route Route
	// RTT is the round trip to each registry; BytesPerSecond limits each connection to the
	// source, and 0 does not.
	RTT            time.Duration
	BytesPerSecond int64
	// Complete says that everything is at the destination already.
	Complete bool
	// Tools are those that take part, by their IDs.
	Tools []string
}

// Images returns what the scenarios are made of.
func imageSpecs() (busybox, medium, large, blob images.Spec) {
	return images.Spec{Name: "busybox", Platforms: 11, Layers: 1, LayerSize: 1_090_000},
		images.Spec{Name: "medium", Platforms: 4, Layers: 3, LayerSize: 45_800_000},
		images.Spec{Name: "large", Platforms: 2, Layers: 8, LayerSize: 100_000_000},
		images.Spec{Name: "blob", Layers: 1, LayerSize: 256 << 20}
}

// All returns every scenario, in the order of the report.
func All() []Scenario {
	const (
		far   = 40 * time.Millisecond
		limit = 40_000_000
	)
	busybox, medium, large, blob := imageSpecs()
	peers := []string{"crane", "regctl", "oras", "skopeo"}
	own := append([]string{"dhow"}, peers...)
	small := append([]string{"dhow", "dhow-bare"}, peers...)
	tuned := append(small[:len(small):len(small)], "crane-16", "regctl-16", "oras-16")
	trusting := append([]string{"dhow", "dhow-dest"}, peers...)
	return []Scenario{
		{Name: "busybox", Image: busybox, Route: Registries, Tools: tuned},
		{Name: "busybox-40ms", Image: busybox, Route: Registries, RTT: far, Tools: tuned},
		{Name: "medium", Image: medium, Route: Registries, Tools: trusting},
		{Name: "medium-40ms", Image: medium, Route: Registries, RTT: far, Tools: append(trusting[:len(trusting):len(trusting)], "crane-16", "regctl-16", "oras-16")},
		{Name: "large", Image: large, Route: Registries, Tools: trusting},
		{Name: "nothing", Image: busybox, Route: Registries, Complete: true, Tools: small},
		{Name: "nothing-40ms", Image: busybox, Route: Registries, RTT: far, Complete: true, Tools: small},
		{Name: "mount", Image: medium, Route: SameRegistry, Tools: small},
		{Name: "pull-busybox", Image: busybox, Route: ToLayout, Tools: own},
		{Name: "pull-medium", Image: medium, Route: ToLayout, Tools: own},
		{Name: "pull-large", Image: large, Route: ToLayout, Tools: own},
		{Name: "push-busybox", Image: busybox, Route: FromLayout, Tools: trusting},
		{Name: "push-medium", Image: medium, Route: FromLayout, Tools: trusting},
		{Name: "push-large", Image: large, Route: FromLayout, Tools: trusting},
		{Name: "blob-layout", Image: blob, Route: ToLayout, BytesPerSecond: limit, Tools: own},
		{Name: "blob-registry", Image: blob, Route: Registries, BytesPerSecond: limit, Tools: own},
	}
}
